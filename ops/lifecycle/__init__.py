"""Bring a stage up from an empty account, and take it down again."""
