"""The servers that ours is compared with. They run in .venv-bench."""
