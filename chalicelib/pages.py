"""What the API serves to read: the page, its description in OpenAPI, and that to read.

Each is one file beside this one, read when it is first asked for: `import app` stays fast.
"""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from chalice.app import Response

_FOLDER = Path(__file__).parent
_CACHE = {"Cache-Control": "public, max-age=300"}


def page() -> Response:
    """The page to try the API on.

    Its pictures come from the visitor's own files (blob:) and from the URL that the visitor gave,
    at any host (http:, https:): the browser shows what the API looked at. `data:` is the icon.
    """
    return _html("page.html", "blob: data: http: https:")


def docs() -> Response:
    """The page that shows `openapi.json`."""
    return _html("docs.html", "data:")


def openapi() -> Response:
    """The description of the API in OpenAPI 3.1."""
    return Response(_text("openapi.json"), {"Content-Type": "application/json", **_CACHE})


def _html(name: str, images: str) -> Response:
    text = _text(name)
    return Response(
        text,
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": _policy(text, images),
            "Referrer-Policy": "no-referrer",
            **_CACHE,
        },
    )


@cache
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def _policy(html: str, images: str) -> str:
    """A policy that runs the page's own scripts and styles, known by their hashes, and no other."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hashes(html, 'script')}",
            f"style-src {_hashes(html, 'style')}",
            f"img-src {images}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def _hashes(html: str, element: str) -> str:
    """The sources of the inline `element`s, as https://www.w3.org/TR/CSP3/#match-element-to-source-list
    has them: a hash of exactly what stands between the tags.
    """
    inner = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in inner)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
