"""The pages: small, self-contained, with a strict Content-Security-Policy."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable

import pytest
import requests
from chalice.app import Request, Response
from PIL import Image

from chalicelib import pages
from tests.conftest import ROOT

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
        ("/page.json", "application/json"),
        ("/preview.jpg", "image/jpeg"),
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


def test_every_breed_of_the_model_has_facts() -> None:
    facts = json.loads(pages.page_data().body)["facts"]
    description = json.loads((ROOT / "model_code" / "default" / "model.json").read_text())
    assert sorted(facts) == sorted(description["display_names"])
    groups = ["Sporting", "Hound", "Working", "Terrier", "Toy", "Non-sporting", "Herding"]
    for breed, fact in facts.items():
        assert list(fact) == ["size", "origin", "group", "text"], breed
        assert re.fullmatch(r"(Small|Medium|Large|Giant)\b.* cm.*", fact["size"]), breed
        assert fact["group"] in groups, breed
        assert fact["text"].endswith("."), breed
        assert 20 <= len(fact["text"]) <= 110, breed


def preview(address: str, url: str = "") -> dict[str, str]:
    """The properties that a link preview reads."""
    html = pages.page(address, url).body
    return dict(re.findall(r'<meta (?:property|name)="([a-z:_]+)" content="([^"]*)">', html))


def test_link_previews() -> None:
    address = "https://api.example.com/prod/"
    shown = preview(address)
    assert shown["og:url"] == address
    assert shown["og:image"] == f"{address}preview.jpg"
    assert shown["og:title"]
    assert shown["og:description"]
    assert shown["twitter:card"] == "summary_large_image"
    shared = preview(address, "https://example.com/dog.jpg?a=1&b=2")
    assert shared["og:image"] == "https://example.com/dog.jpg?a=1&amp;b=2"
    assert shared["og:url"] == f"{address}?url=https%3A%2F%2Fexample.com%2Fdog.jpg%3Fa%3D1%26b%3D2"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "dog.jpg", "data:image/png;base64,AA", "x" * 9000]
)
def test_link_previews_of_what_is_not_an_image_url(url: str) -> None:
    assert preview("https://api.example.com/", url) == preview("https://api.example.com/")


def test_a_link_preview_cannot_add_html() -> None:
    html = pages.page("https://a.example/", 'https://b.example/"><script>alert(1)</script>').body
    assert html.count("<script>") == 1
    assert "alert(1)</script>" not in html


@pytest.mark.parametrize(
    ("headers", "context", "address"),
    [
        ({"host": "127.0.0.1:8000"}, {"path": "/"}, "http://127.0.0.1:8000/"),
        (
            {"host": "ignored.example"},
            {"domainName": "x.execute-api.eu-central-1.amazonaws.com", "path": "/prod"},
            "https://x.execute-api.eu-central-1.amazonaws.com/prod/",
        ),
        (
            {},
            {"domainName": "dogs.example.com", "path": "/breeds/"},
            "https://dogs.example.com/breeds/",
        ),
    ],
)
def test_the_address_of_the_page(
    headers: dict[str, str], context: dict[str, str], address: str
) -> None:
    event = {
        "httpMethod": "GET",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "multiValueQueryStringParameters": None,
        "pathParameters": {},
        "body": None,
        "stageVariables": {},
        "isBase64Encoded": False,
        "requestContext": {"httpMethod": "GET", "resourcePath": "/", **context},
    }
    assert pages.address(Request(event)) == address


@pytest.mark.server
def test_previews_over_http(failing_api: str) -> None:
    html = requests.get(
        f"{failing_api}/", params={"url": "https://a.example/b.jpg"}, timeout=60
    ).text
    assert 'property="og:image" content="https://a.example/b.jpg"' in html
    html = requests.get(f"{failing_api}/", timeout=60).text
    [image] = re.findall(r'og:image" content="([^"]*)"', html)
    response = requests.get(image, headers={"Accept": "image/*"}, timeout=60)
    with Image.open(io.BytesIO(response.content)) as image_file:
        assert image_file.size == (600, 315)
    head = requests.head(image, timeout=60)
    assert head.status_code == 200
    assert head.headers["Content-Type"] == "image/jpeg"
