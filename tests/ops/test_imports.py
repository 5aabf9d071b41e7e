"""Commands of `python -m ops` start fast: they import nothing that computes."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "numpy", "openvino", "PIL", "sagemaker")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["endpoint", "image", "--help"],
        ["endpoint", "deploy", "--help"],
        ["endpoint", "scale", "--help"],
        ["endpoint", "teardown", "--help"],
        ["policy", "--help"],
        ["audit", "--help"],
    ],
    ids=" ".join,
)
def test_no_heavy_imports(arguments: list[str]) -> None:
    code = f"""
import sys
from ops.__main__ import main
assert main({arguments!r}) == 0
heavy = sorted(set(sys.modules) & {set(HEAVY)!r})
assert not heavy, heavy
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
