"""Measure the request rate that one instance can take. See docs/scaling.md."""
