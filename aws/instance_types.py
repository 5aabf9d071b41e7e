"""Properties of an instance type that follow from its name."""

import re


def architecture(instance_type: str) -> str:
    """Return `arm64` for Graviton (a g after the generation: ml.c7g.large), else `amd64`."""
    return "arm64" if re.match(r"(ml\.)?[a-z]+\d+g[a-z]*\.", instance_type) else "amd64"
