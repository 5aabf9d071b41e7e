"""Estimate what a day of traffic needs and costs. See docs/scaling.md."""
