"""Fetch one large file over HTTP and go on where the connection broke."""

import hashlib
import json
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
    """Download `url` to `path`; a file that is there already is taken as it is.

    What has arrived lies in `path` + `.part` until it is complete, so the next call goes on there
    too, provided the server still has the same file (Range with If-Range, RFC 9110 section 14).
    Raises `DownloadError` where the server refuses, sends less than it promised in all `attempts`,
    sends more than `max_bytes`, or the content is not of that `sha256`.
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
            if _continue(url, part, max_bytes):
                break
            reason = "the server sent less than it promised"
        except _NETWORK_ERRORS as error:
            reason = _reason(error)
    else:
        raise DownloadError(f"{url}: {reason}, {attempts} times; call again to go on")
    if sha256 and (found := _digest(part)) != sha256:
        _forget(part)
        raise DownloadError(f"{url}: sha256 is {found}, not {sha256}; thrown away")
    part.replace(path)
    _note(part).unlink(missing_ok=True)


def _continue(url: str, part: Path, max_bytes: int) -> bool:
    """Ask for what is missing of `part` and append it; True once it is complete."""
    have = part.stat().st_size if part.exists() else 0
    validator = _validator(part)
    headers = {"Accept-Encoding": "identity"}
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if answer.status_code == 416:  # nothing beyond what we have, or a shorter file than that
            _forget(part)
            return False
        if not answer.ok:
            raise DownloadError(f"{url}: the server answers {answer.status_code} {answer.reason}")
        if answer.status_code != 206 or _first_byte(answer) != have:
            have = 0  # the file changed, or the server does not know Range: from the start
            _forget(part)
        _note(part).write_text(json.dumps(_validator_of(answer)), encoding="utf-8")
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        if total is not None and total > max_bytes:
            raise DownloadError(f"{url} has {total} bytes, more than the limit of {max_bytes}")
        with part.open("ab") as stream, _bar(part, have, total) as bar:
            for chunk in _chunks(answer):
                have += len(chunk)
                if have > max_bytes:
                    raise DownloadError(f"{url} has more than the limit of {max_bytes} bytes")
                stream.write(chunk)
                bar.update(len(chunk))
    return total is None or have == total


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    """What has arrived, as it arrives: iter_content would lose its buffer when the line breaks."""
    while chunk := answer.raw.read1(CHUNK_BYTES):
        yield chunk


def _bar(part: Path, have: int, total: int | None) -> "tqdm[None]":
    return tqdm(
        total=total,
        initial=have,
        desc=part.stem,
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None,
    )


def _first_byte(answer: requests.Response) -> int | None:
    """Where the answer's bytes belong: `Content-Range: bytes 100-199/200` says 100."""
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else None


def _validator_of(answer: requests.Response) -> str:
    """What tells this version of the file from another: a strong ETag, or its date."""
    etag = answer.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _validator(part: Path) -> str:
    try:
        return str(json.loads(_note(part).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return ""


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """The cause in a few words; requests wraps its own in a chain of addresses and objects."""
    if isinstance(error, requests.Timeout):
        return "the server is too slow"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection broke"
    if isinstance(error, requests.ConnectionError):
        return "there is no connection"
    return type(error).__name__
