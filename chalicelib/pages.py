"""The documents: the page at `/` and its data, the API reference at `/docs` and `openapi.json`.

Each is a file in this package, read on its first request to keep `import app` fast.
"""

import base64
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from chalice.app import Request, Response

from chalicelib.problems import Problem
from chalicelib.urls import Target

_FOLDER = Path(__file__).parent
_CACHE = {"Cache-Control": "public, max-age=300"}


_PREVIEW = "<!--preview-->"


def page(address: str = "", url: str = "") -> Response:
    """Return the page for trying the API.

    Its link preview shows the image at `url`, or else a drawing; `address` is the page's own URL.
    Its images come from local files (blob:), from the URL that the visitor entered (http:, https:),
    and from the page's own data (data:).
    """
    response = _html("page.html", "blob: data: http: https:")
    response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
    response.body = response.body.replace(_PREVIEW, _link_preview(address, url))
    return response


def page_data() -> Response:
    """Return facts about breeds, by name, and sample drawings as data: URLs, by breed."""
    return Response(_text("page.json"), {"Content-Type": "application/json", **_CACHE})


def preview() -> Response:
    """Return the image that link previews of the page show."""
    return Response(_preview_image(), {"Content-Type": "image/jpeg", **_CACHE})


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


def address(request: Request) -> str:
    """Return the absolute URL of the page, with a slash at its end.

    API Gateway's context has the domain, and the path with the stage or the base path of a domain.
    """
    domain = request.context.get("domainName")
    scheme, host = ("https", domain) if domain else ("http", request.headers.get("host", ""))
    return f"{scheme}://{host}{request.context.get('path', '/').rstrip('/')}/"


def _link_preview(address: str, url: str) -> str:
    """Return the elements of https://ogp.me that describe the page, or the image at `url`."""
    title, image = "What breed is this dog?", f"{address}preview.jpg"
    try:
        Target.parse(url)
    except Problem:
        link = address
    else:
        link, image = f"{address}?{urlencode({'url': url})}", url
    properties = {
        "og:type": "website",
        "og:site_name": "WhatBreed",
        "og:title": title,
        "og:description": "WhatBreed names the breed of the dog in a photo.",
        "og:url": link,
        "og:image": image,
    }
    elements = [
        f'<meta property="{name}" content="{escape(content)}">'
        for name, content in properties.items()
    ]
    return "\n".join([*elements, '<meta name="twitter:card" content="summary_large_image">'])


@cache
def _preview_image() -> bytes:
    return (_FOLDER / "preview.jpg").read_bytes()


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
