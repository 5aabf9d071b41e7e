"""Downloads from a real HTTP server that drops connections and sends wrong headers."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from training import download
from training.errors import DownloadError

CONTENT = bytes(range(256)) * 4000


@dataclass
class Behaviour:
    """What the server does, and the ranges that were requested."""

    content: bytes = CONTENT
    closes_after: list[int] = field(default_factory=list)  # bytes of each of the next responses
    supports_range: bool = True
    sends_wrong_range: bool = False
    content_length: int | None = None
    status: int = 200
    etag: str = '"one"'
    ranges: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        requested = self.headers.get("Range")
        behaviour = self.behaviour
        behaviour.ranges.append(requested)
        if behaviour.status != 200:
            self.send_error(behaviour.status)
            return
        first = 0
        fresh = self.headers.get("If-Range") in (None, behaviour.etag)
        if requested and behaviour.supports_range and fresh:
            first = int(requested.removeprefix("bytes=").removesuffix("-"))
        body = behaviour.content[first:]
        self.send_response(206 if first else 200)
        if first:
            start = first - 100 if behaviour.sends_wrong_range else first
            self.send_header("Content-Range", f"bytes {start}-{len(behaviour.content) - 1}/*")
        self.send_header("ETag", behaviour.etag)
        length = behaviour.content_length if behaviour.content_length is not None else len(body)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if behaviour.closes_after:
            body = body[: behaviour.closes_after.pop(0)]
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def url(behaviour: Behaviour) -> Iterator[str]:
    handler = type("Bound", (Handler,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dogs.zip"
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(url: str, path: Path, **options: object) -> None:
    download.fetch(url, path, pause_s=0, **options)  # type: ignore[arg-type]


def test_a_file_is_downloaded_once(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    fetch(url, tmp_path / "a" / "dogs.zip", sha256=hashlib.sha256(CONTENT).hexdigest())
    assert (tmp_path / "a" / "dogs.zip").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["dogs.zip"]
    fetch(url, tmp_path / "a" / "dogs.zip")
    assert behaviour.ranges == [None]


def test_it_resumes_after_a_broken_connection(
    url: str, behaviour: Behaviour, tmp_path: Path
) -> None:
    behaviour.closes_after = [300_000, 200_000]
    fetch(url, tmp_path / "dogs.zip")
    assert (tmp_path / "dogs.zip").read_bytes() == CONTENT
    assert behaviour.ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_resumes(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.closes_after = [300_000]
    with pytest.raises(DownloadError, match="Rerun to resume"):
        fetch(url, tmp_path / "dogs.zip", attempts=1)
    fetch(url, tmp_path / "dogs.zip", attempts=1)
    assert (tmp_path / "dogs.zip").read_bytes() == CONTENT
    assert behaviour.ranges[-1] == "bytes=300000-"


def test_a_file_that_has_changed_is_downloaded_again(
    url: str, behaviour: Behaviour, tmp_path: Path
) -> None:
    behaviour.closes_after = [300_000]
    with pytest.raises(DownloadError):
        fetch(url, tmp_path / "dogs.zip", attempts=1)
    behaviour.content, behaviour.etag = CONTENT[::-1], '"two"'
    fetch(url, tmp_path / "dogs.zip")
    assert (tmp_path / "dogs.zip").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("fault", ["supports_range", "sends_wrong_range"])
def test_without_support_for_ranges_the_download_starts_over(
    url: str, behaviour: Behaviour, tmp_path: Path, fault: str
) -> None:
    behaviour.closes_after = [300_000]
    setattr(behaviour, fault, fault == "sends_wrong_range")
    if fault == "sends_wrong_range":
        # The bytes of a wrong range are discarded, and the whole file is requested.
        with pytest.raises(DownloadError):
            fetch(url, tmp_path / "dogs.zip", attempts=2, sha256="0" * 64)
        assert not (tmp_path / "dogs.zip").exists()
        behaviour.sends_wrong_range = False
    fetch(url, tmp_path / "dogs.zip")
    assert (tmp_path / "dogs.zip").read_bytes() == CONTENT


def test_fewer_bytes_than_announced_are_an_error(
    url: str, behaviour: Behaviour, tmp_path: Path
) -> None:
    behaviour.content_length = len(CONTENT) + 1000
    behaviour.supports_range = False
    with pytest.raises(DownloadError, match="failed after 2 attempts: the connection broke"):
        fetch(url, tmp_path / "dogs.zip", attempts=2)
    assert not (tmp_path / "dogs.zip").exists()


def test_content_with_another_checksum_is_deleted(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"not 0000.*deleted"):
        fetch(url, tmp_path / "dogs.zip", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_and_a_file_that_is_too_large(
    url: str, behaviour: Behaviour, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match="the limit is 1000"):
        fetch(url, tmp_path / "dogs.zip", max_bytes=1000)
    behaviour.status = 404
    with pytest.raises(DownloadError, match="returned 404"):
        fetch(url, tmp_path / "dogs.zip")
    with pytest.raises(DownloadError, match="cannot connect"):
        fetch("http://127.0.0.1:9/dogs.zip", tmp_path / "dogs.zip", attempts=1)
