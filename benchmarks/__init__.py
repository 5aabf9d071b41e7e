"""Programs that measure; each compares in one run. Nothing here runs in `make test`."""
