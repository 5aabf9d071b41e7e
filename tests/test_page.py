"""The pages: small, self-contained, with a strict Content-Security-Policy."""

import base64
import hashlib
import re
from collections.abc import Callable

import pytest
import requests
from chalice.app import Response

from chalicelib import pages

MAX_PAGE_BYTES = 40_000


@pytest.mark.parametrize("serve", [pages.page, pages.docs])
def test_pages_are_small_and_self_contained(serve: Callable[[], Response]) -> None:
    text = serve().body
    assert len(text.encode()) <= MAX_PAGE_BYTES
    loaded = re.findall(r"""(?:src|href|action)=["']([^"'#]*)""", text)
    assert [url for url in loaded if re.match(r"(?:[a-z]+:)?//|/", url)] == []
    assert re.findall(r"@import|\burl\(", text) == []
    # The policy's hashes do not allow styles and handlers in attributes.
    assert re.findall(r"<[^>]+\s(?:style|on[a-z]+)=", text.partition("<script>")[0]) == []


@pytest.mark.parametrize("serve", [pages.page, pages.docs])
def test_the_policy_allows_only_inline_code(serve: Callable[[], Response]) -> None:
    response = serve()
    policy = dict(
        part.split(" ", 1) for part in str(response.headers["Content-Security-Policy"]).split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    for element in ("script", "style"):
        inner = re.findall(f"<{element}>(.*?)</{element}>", response.body, re.DOTALL)
        assert len(inner) == 1
        digest = base64.b64encode(hashlib.sha256(inner[0].encode()).digest()).decode()
        assert policy[f"{element}-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in str(policy)


@pytest.mark.server
@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/openapi.json", "application/json"),
    ],
)
def test_pages_do_not_need_the_model(failing_api: str, path: str, media_type: str) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.8"}
    for headers in ({}, browser):
        response = requests.get(f"{failing_api}{path}", headers=headers, timeout=60)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == media_type
        assert response.headers["Cache-Control"] == "public, max-age=300"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Request-Id"]
        is_html = media_type.startswith("text/html")
        assert ("Content-Security-Policy" in response.headers) == is_html
