"""Fixtures that several test modules use. Those that start processes are session-wide."""

import csv
import dataclasses
import io
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chalicelib.settings import Settings
from tests import tiny_model
from tests.servers import SwitchableHandler, api_server, model_server, web_server, whole_product

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs behind it so
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and children would inherit it

ROOT = Path(__file__).resolve().parent.parent
pytest_plugins = ["tests.emulator.fixtures"]
PHOTOS = ROOT.parent / "shared" / "photos"


@dataclasses.dataclass(frozen=True)
class PhotoCollection:
    """The photos listed in `index.csv`, one per row: file, split, label and more."""

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
def tiny_runtime(tiny_model_dir: Path) -> Iterator[str]:
    """The local Runtime API with the tiny model, which recognises plain colours."""
    with model_server(tiny_model_dir) as address:
        yield address


@pytest.fixture(scope="session")
def api(tiny_runtime: str) -> Iterator[str]:
    """The API with the tiny model, a short fetch timeout and a limit of 2 MB per image."""
    with api_server(tiny_runtime, FETCH_TIMEOUT_S="1", MAX_IMAGE_BYTES="2000000") as address:
        yield address


@pytest.fixture(scope="session")
def product() -> Iterator[str]:
    """What `make run` starts: the API with the shipped model."""
    with whole_product() as address:
        yield address


@pytest.fixture(scope="session")
def runtime_handler() -> SwitchableHandler:
    """The handler of the Runtime API behind `failing_api`, which tests set."""
    return SwitchableHandler()


@pytest.fixture(scope="session")
def failing_api(runtime_handler: SwitchableHandler) -> Iterator[str]:
    """The API with a Runtime API that responds with `runtime_handler`."""
    with (
        web_server(runtime_handler) as runtime,
        api_server(runtime, ENDPOINT_READ_TIMEOUT_S="0.4", ENDPOINT_ATTEMPTS="1") as address,
    ):
        yield address


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """`encode(image, "PNG")` encodes an image, or a plain one if given a colour."""

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
