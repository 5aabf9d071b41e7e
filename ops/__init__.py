"""Operate WhatBreed: `python -m ops COMMAND`. See docs/operations.md."""
