"""The stacks that ours is compared with. They run in .venv-bench, never in the product's own."""
