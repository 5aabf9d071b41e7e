"""Programs that measure; each compares in one run. `make bench` runs those of __main__.py.

Nothing here is measured in `make test`, which only sees to it that the programs still run.
"""
