"""The checks of `audit`, one noun a module, each a function from an account to findings."""
