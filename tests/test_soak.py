"""Soak test of the API and the model server; 20,000 requests in `make nightly`."""

import io
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import soak
from tests.nightly import often

pytestmark = pytest.mark.server

COLORS: dict[str, str | tuple[int, int, int]] = {
    "Red setter": "red",
    "Green hound": (0, 255, 0),
    "Blue terrier": "blue",
}
"""The colors that the tiny model classifies."""


def test_no_wrong_breed_no_failure_no_leak(tiny_model_dir: Path) -> None:
    jpegs = []
    for color in COLORS.values():
        stream = io.BytesIO()
        Image.new("RGB", (256, 256), color).save(stream, "JPEG")
        jpegs.append(stream.getvalue())
    requests = often(2_000, nightly=20_000)
    assert soak.run(requests, 8, jpegs, model=tiny_model_dir, breeds=list(COLORS))
