"""Benchmarks: `make bench` runs those of `__main__`, each against a reference in the same run.

`make test` only checks that they still run, never their figures.
"""
