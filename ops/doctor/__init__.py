"""Checks of what can be known before a deployment costs money: one function each."""
