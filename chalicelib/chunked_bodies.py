"""Chunked request bodies for `chalice local`, whose server only reads those with a Content-Length.

API Gateway supports them. `app.py` imports this module only under Chalice's command line.
"""

from typing import BinaryIO

from chalice.local import ChaliceRequestHandler

MAX_BYTES = 10_000_000
"""About API Gateway's limit."""
_MAX_LINE_BYTES = 1024


def support() -> None:
    """Let the server of `chalice local` read chunked bodies."""
    parse_payload = ChaliceRequestHandler._parse_payload

    def parse(handler: ChaliceRequestHandler) -> tuple[dict[str, str], bytes | None]:
        if handler.headers.get("transfer-encoding", "").strip().lower() != "chunked":
            headers, body = parse_payload(handler)
            return dict(headers), body
        try:
            body = read(handler.rfile)
        except ValueError:
            body = None
            handler.close_connection = True  # what follows is not a request
        return dict(handler.headers), body

    ChaliceRequestHandler._parse_payload = parse  # type: ignore[method-assign,assignment]


def read(stream: BinaryIO) -> bytes:
    """Return a chunked body (RFC 9112, 7.1). Raise `ValueError` if it is malformed or too large."""
    body = bytearray()
    while size := int(_line(stream).partition(b";")[0].strip(), 16):
        if not 0 < size <= MAX_BYTES - len(body):
            raise ValueError
        body += stream.read(size)
        if _line(stream):
            raise ValueError
    while _line(stream):  # trailers
        pass
    return bytes(body)


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(_MAX_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise ValueError
    return line.rstrip(b"\r\n")
