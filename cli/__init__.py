"""The command line that `python -m training` and `python -m ops` share: commands and settings."""
