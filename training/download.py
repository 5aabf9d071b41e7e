"""Download a large file over HTTP, resuming after broken connections."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from training.errors import DownloadError

CHUNK_BYTES = 1 << 20
TIMEOUT_S = (10.0, 60.0)  # to connect, and between two chunks
_NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str = "",
    max_bytes: int = 8 << 30,
    attempts: int = 5,
    pause_s: float = 1.0,
) -> None:
    """Download `url` to `path`, unless that exists.

    Incomplete content is kept in `path` + `.part`, from which the next attempt or call resumes if
    the server still has the same file (Range with If-Range, RFC 9110 section 14). Raises
    DownloadError if the server refuses, all `attempts` are incomplete, the content exceeds
    `max_bytes` or does not match `sha256`.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    reason = ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            if _resume(url, part, max_bytes):
                break
            reason = "the server sent fewer bytes than announced"
        except _NETWORK_ERRORS as error:
            reason = _reason(error)
    else:
        raise DownloadError(f"{url} failed after {attempts} attempts: {reason}. Rerun to resume.")
    if sha256 and (actual := _digest(part)) != sha256:
        _delete(part)
        raise DownloadError(f"{url} has SHA-256 {actual}, not {sha256}. The file was deleted.")
    part.replace(path)
    _validator_file(part).unlink(missing_ok=True)


def _resume(url: str, part: Path, max_bytes: int) -> bool:
    """Request what is missing of `part`, append it, and return whether it is complete."""
    size = part.stat().st_size if part.exists() else 0
    file = _validator_file(part)
    validator = file.read_text(encoding="utf-8") if file.exists() else ""
    headers = {"Accept-Encoding": "identity"}
    if size and validator:
        headers |= {"Range": f"bytes={size}-", "If-Range": validator}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == 416:  # the file is not longer than what we have
            _delete(part)
            return False
        if not response.ok:
            raise DownloadError(f"{url} returned {response.status_code} {response.reason}.")
        if response.status_code != 206 or _first_byte(response) != size:
            size = 0  # the file has changed, or the server does not support Range
            _delete(part)
        _validator_file(part).write_text(_validator(response), encoding="utf-8")
        length = response.headers.get("Content-Length", "")
        total = size + int(length) if length.isdigit() else None
        if total is not None and total > max_bytes:
            raise DownloadError(f"{url} has {total} bytes; the limit is {max_bytes}.")
        with part.open("ab") as stream, _progress_bar(part, size, total) as bar:
            for chunk in _chunks(response):
                size += len(chunk)
                if size > max_bytes:
                    raise DownloadError(f"{url} has more than {max_bytes} bytes, the limit.")
                stream.write(chunk)
                bar.update(len(chunk))
    return total is None or size == total


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield bytes as they arrive; iter_content loses its buffer if the connection breaks."""
    while chunk := response.raw.read1(CHUNK_BYTES):
        yield chunk


def _progress_bar(part: Path, size: int, total: int | None) -> "tqdm[None]":
    return tqdm(
        total=total,
        initial=size,
        desc=part.stem,
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None,
    )


def _first_byte(response: requests.Response) -> int | None:
    """Return 100 for `Content-Range: bytes 100-199/200`."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else None


def _validator(response: requests.Response) -> str:
    """Return what identifies this version of the file: a strong ETag, or its date."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _delete(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """Return the cause in a few words; the texts of requests are chains of objects."""
    if isinstance(error, requests.Timeout):
        return "the server timed out"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection broke"
    if isinstance(error, requests.ConnectionError):
        return "cannot connect"
    return type(error).__name__
