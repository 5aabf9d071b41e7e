"""Parts of a `multipart/form-data` body, as RFC 7578 defines them."""

import re
from dataclasses import dataclass

from chalicelib.problems import InvalidRequest

MEDIA_TYPE = "multipart/form-data"
MAX_PARTS = 20
MAX_HEADER_BYTES = 8192
"""Of one part."""

_PARAMETER = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))', re.DOTALL)
_BOUNDARY = re.compile(r"[!-~]([ -~]{0,68}[!-~])?")
_UNENCODED = ("", "7bit", "8bit", "binary")


@dataclass(frozen=True, slots=True)
class Part:
    """A file or a field of a form."""

    name: str
    is_file: bool
    content: bytes


def parse(content_type: str, body: bytes) -> list[Part]:
    """Return the parts of `body` in order. Raises `InvalidRequest`."""
    boundary = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequest(
            f"The Content-Type {MEDIA_TYPE} has no valid boundary. Do not set this header yourself:"
            " your HTTP library does, with the boundary."
        )
    return [_part(section) for section in _sections(boundary.encode(), body)]


def _sections(boundary: bytes, body: bytes) -> list[bytes]:
    """Return the headers and the content of each part."""
    _, *sections = (b"\r\n" + body).split(b"\r\n--" + boundary, MAX_PARTS + 1)
    if not sections:
        raise InvalidRequest(f"The {MEDIA_TYPE} body has no part with its Content-Type's boundary.")
    for count, section in enumerate(sections):
        if section.startswith(b"--"):
            return sections[:count]
    if len(sections) > MAX_PARTS:
        raise InvalidRequest(f"The {MEDIA_TYPE} body has more than {MAX_PARTS} parts.")
    raise InvalidRequest(f"The {MEDIA_TYPE} body is incomplete: its closing boundary is missing.")


def _part(section: bytes) -> Part:
    # Spaces may follow a boundary (RFC 2046, 5.1.1).
    head, blank_line, content = section.lstrip(b" \t").partition(b"\r\n\r\n")
    if not blank_line or not head.startswith(b"\r\n") or len(head) > MAX_HEADER_BYTES:
        raise InvalidRequest(f"The {MEDIA_TYPE} body has a part whose headers are invalid.")
    headers = _headers(head)
    disposition = headers.get("content-disposition", "")
    parameters = _parameters(disposition)
    if not disposition.lower().startswith("form-data") or "name" not in parameters:
        raise InvalidRequest(
            f"The {MEDIA_TYPE} body has a part without `Content-Disposition: form-data` and a name."
        )
    if headers.get("content-transfer-encoding", "").lower() not in _UNENCODED:
        raise InvalidRequest(
            f"The {MEDIA_TYPE} body has an encoded part. Send the file's bytes as they are."
        )
    media_type = headers.get("content-type", "").lower()
    is_file = not {"filename", "filename*"}.isdisjoint(parameters) or media_type.startswith(
        ("image/", "application/octet-stream")
    )
    return Part(parameters["name"], is_file, content)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("utf-8", "replace").split("\r\n")
    fields = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in fields}


def _parameters(header: str) -> dict[str, str]:
    """Return the parameters of a Content-Type or Content-Disposition header."""
    return {
        name.lower(): quoted or unquoted.strip()
        for name, quoted, unquoted in _PARAMETER.findall(header)
    }
