"""Programs for the terminal of a developer."""
