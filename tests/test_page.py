"""The files that the API serves to read: small, self-contained, under a strict policy."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator

import pytest
import requests

from chalicelib import pages
from tests.servers import answer, api_server, web_server

MAX_PAGE_BYTES = 40_000


@pytest.mark.parametrize("serve", [pages.page, pages.docs])
def test_html_is_small_and_names_nothing_elsewhere(serve: Callable[[], object]) -> None:
    text = pages._text(f"{serve.__name__}.html")
    assert len(text.encode()) <= MAX_PAGE_BYTES
    loaded = re.findall(r"""(?:src|href|action)=["']([^"'#]*)""", text)
    assert [where for where in loaded if re.match(r"(?:[a-z]+:)?//|/", where)] == []
    assert re.findall(r"@import|\burl\(", text) == []
    # What the policy would forbid: its hashes cover whole elements, not attributes.
    assert re.findall(r"<[^>]+\s(?:style|on[a-z]+)=", text.partition("<script>")[0]) == []


@pytest.mark.parametrize("serve", [pages.page, pages.docs])
def test_the_policy_lets_the_pages_own_code_run_and_no_other(serve: Callable[[], object]) -> None:
    response = serve()
    policy = dict(
        part.split(" ", 1)
        for part in response.headers["Content-Security-Policy"].split("; ")  # type: ignore[attr-defined]
    )
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    for element in ("script", "style"):
        inner = re.findall(f"<{element}>(.*?)</{element}>", response.body, re.DOTALL)  # type: ignore[attr-defined]
        assert len(inner) == 1
        digest = base64.b64encode(hashlib.sha256(inner[0].encode()).digest()).decode()
        assert policy[f"{element}-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in str(policy)


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """The API alone: what it serves to read needs no model."""
    with web_server(answer(500)) as nobody, api_server(nobody) as address:
        yield address


@pytest.mark.server
@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/openapi.json", "application/json"),
    ],
)
def test_they_are_served_without_the_model(api: str, path: str, media_type: str) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.8"}
    for headers in ({}, browser):
        response = requests.get(f"{api}{path}", headers=headers, timeout=20)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == media_type
        assert response.headers["Cache-Control"] == "public, max-age=300"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Request-Id"]
        is_html = media_type.startswith("text/html")
        assert ("Content-Security-Policy" in response.headers) == is_html
