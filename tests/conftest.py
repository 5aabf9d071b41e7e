"""Fixtures that more than one house uses. Each is named after what it gives."""

import csv
import dataclasses
import io
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chalicelib.settings import Settings
from tests import tiny_model

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs behind it so
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and children would inherit it

ROOT = Path(__file__).resolve().parent.parent
pytest_plugins = ["tests.emulator.fixtures"]
PHOTOS = ROOT.parent / "shared" / "photos"


@dataclasses.dataclass(frozen=True)
class PhotoCollection:
    """The photos of `index.csv`, a row each: file, split, label and more."""

    folder: Path
    rows: list[dict[str, str]]

    def split(self, name: str) -> list[dict[str, str]]:
        return [row for row in self.rows if row["split"] == name]

    def read(self, row: dict[str, str]) -> bytes:
        return (self.folder / row["file"]).read_bytes()


@pytest.fixture(scope="session")
def photos() -> PhotoCollection:
    if not (PHOTOS / "index.csv").is_file():
        pytest.skip("the photo collection ../shared/photos is not on this machine")
    with (PHOTOS / "index.csv").open(newline="") as stream:
        return PhotoCollection(PHOTOS, list(csv.DictReader(stream)))


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encode a picture: `encode(image, "PNG")`; a colour makes a plain picture."""

    def encode(image: Any, format: str = "PNG", **options: Any) -> bytes:
        if not isinstance(image, Image.Image):
            image = Image.new("RGB", (64, 48), image)
        stream = io.BytesIO()
        image.save(stream, format, **options)
        return stream.getvalue()

    return encode


@pytest.fixture
def settings() -> Settings:
    """Settings of the local stage, with short timeouts."""
    return Settings(
        endpoint_name="whatbreed-local",
        endpoint_connect_timeout_s=1,
        endpoint_read_timeout_s=1,
        endpoint_attempts=1,
        fetch_timeout_s=1,
        fetch_connect_timeout_s=0.5,
        fetch_allow_loopback=True,
    )
