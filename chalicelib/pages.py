"""The static documents: the page at `/`, the API reference at `/docs` and `openapi.json`.

Each is a file in this package, read on its first request to keep `import app` fast.
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
    """Return the page for trying the API.

    Its images come from local files (blob:), from the URL that the visitor entered (http:, https:),
    and from the page itself (data:).
    """
    return _html("page.html", "blob: data: http: https:")


def docs() -> Response:
    """Return the API reference, a page that renders `openapi.json`."""
    return _html("docs.html", "data:")


def openapi() -> Response:
    """Return the OpenAPI 3.1 description of the API."""
    return Response(_text("openapi.json"), {"Content-Type": "application/json", **_CACHE})


def _html(name: str, image_sources: str) -> Response:
    text = _text(name)
    return Response(
        text,
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": _security_policy(text, image_sources),
            "Referrer-Policy": "no-referrer",
            **_CACHE,
        },
    )


@cache
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def _security_policy(html: str, image_sources: str) -> str:
    """Return a policy that allows the inline scripts and styles, by hash, and no others."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hashes(html, 'script')}",
            f"style-src {_hashes(html, 'style')}",
            f"img-src {image_sources}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def _hashes(html: str, element: str) -> str:
    """Return the hash sources of all inline `element`s: of the exact text between the tags.

    https://www.w3.org/TR/CSP3/#match-element-to-source-list
    """
    contents = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in contents)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
