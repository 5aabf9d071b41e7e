"""Everything that makes the model: `python -m training COMMAND`. See docs/training.md."""
