"""Against a real HTTP server that breaks off, lies and changes its mind."""

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
class Manners:
    """How the server behaves, and what it was asked."""

    content: bytes = CONTENT
    breaks_after: list[int] = field(default_factory=list)  # bytes of each of the next answers
    knows_range: bool = True
    lies_about_range: bool = False
    says_length: int | None = None
    status: int = 200
    etag: str = '"one"'
    ranges: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    manners: Manners

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        manners = self.manners
        manners.ranges.append(asked)
        if manners.status != 200:
            self.send_error(manners.status)
            return
        first = 0
        fresh = self.headers.get("If-Range") in (None, manners.etag)
        if asked and manners.knows_range and fresh:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = manners.content[first:]
        self.send_response(206 if first else 200)
        if first:
            told = first - 100 if manners.lies_about_range else first
            self.send_header("Content-Range", f"bytes {told}-{len(manners.content) - 1}/*")
        self.send_header("ETag", manners.etag)
        length = manners.says_length if manners.says_length is not None else len(body)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if manners.breaks_after:
            body = body[: manners.breaks_after.pop(0)]
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def manners() -> Manners:
    return Manners()


@pytest.fixture
def url(manners: Manners) -> Iterator[str]:
    handler = type("Bound", (Handler,), {"manners": manners})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dogs.zip"
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(url: str, path: Path, **options: object) -> None:
    download.fetch(url, path, pause_s=0, **options)  # type: ignore[arg-type]


def test_a_file_arrives_whole(url: str, manners: Manners, tmp_path: Path) -> None:
    fetch(url, tmp_path / "a" / "dogs.zip", sha256=hashlib.sha256(CONTENT).hexdigest())
    assert (tmp_path / "a" / "dogs.zip").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["dogs.zip"]
    fetch(url, tmp_path / "a" / "dogs.zip")
    assert manners.ranges == [None]


def test_it_goes_on_where_the_connection_broke(url: str, manners: Manners, tmp_path: Path) -> None:
    manners.breaks_after = [300_000, 200_000]
    fetch(url, tmp_path / "dogs.zip")
    assert (tmp_path / "dogs.zip").read_bytes() == CONTENT
    assert manners.ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_goes_on_too(url: str, manners: Manners, tmp_path: Path) -> None:
    manners.breaks_after = [300_000]
    with pytest.raises(DownloadError, match="call again to go on"):
        fetch(url, tmp_path / "dogs.zip", attempts=1)
    fetch(url, tmp_path / "dogs.zip", attempts=1)
    assert (tmp_path / "dogs.zip").read_bytes() == CONTENT
    assert manners.ranges[-1] == "bytes=300000-"


def test_a_file_that_changed_meanwhile_is_begun_anew(
    url: str, manners: Manners, tmp_path: Path
) -> None:
    manners.breaks_after = [300_000]
    with pytest.raises(DownloadError):
        fetch(url, tmp_path / "dogs.zip", attempts=1)
    manners.content, manners.etag = CONTENT[::-1], '"two"'
    fetch(url, tmp_path / "dogs.zip")
    assert (tmp_path / "dogs.zip").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("fault", ["knows_range", "lies_about_range"])
def test_a_server_that_cannot_continue_starts_over(
    url: str, manners: Manners, tmp_path: Path, fault: str
) -> None:
    manners.breaks_after = [300_000]
    setattr(manners, fault, fault == "lies_about_range")
    if fault == "lies_about_range":
        # What comes is not what was asked for: it is thrown away, and the whole is asked for.
        with pytest.raises(DownloadError):
            fetch(url, tmp_path / "dogs.zip", attempts=2, sha256="0" * 64)
        assert not (tmp_path / "dogs.zip").exists()
        manners.lies_about_range = False
    fetch(url, tmp_path / "dogs.zip")
    assert (tmp_path / "dogs.zip").read_bytes() == CONTENT


def test_a_promise_of_more_than_comes(url: str, manners: Manners, tmp_path: Path) -> None:
    manners.says_length = len(CONTENT) + 1000
    manners.knows_range = False
    with pytest.raises(DownloadError, match="connection broke, 2 times"):
        fetch(url, tmp_path / "dogs.zip", attempts=2)
    assert not (tmp_path / "dogs.zip").exists()


def test_other_content_than_promised_is_thrown_away(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"not 0000.*thrown away"):
        fetch(url, tmp_path / "dogs.zip", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_and_a_file_without_end(url: str, manners: Manners, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="more than the limit of 1000"):
        fetch(url, tmp_path / "dogs.zip", max_bytes=1000)
    manners.status = 404
    with pytest.raises(DownloadError, match="answers 404"):
        fetch(url, tmp_path / "dogs.zip")
    with pytest.raises(DownloadError, match="there is no connection"):
        fetch("http://127.0.0.1:9/dogs.zip", tmp_path / "dogs.zip", attempts=1)
