"""The page under a stage of API Gateway, with and without a trailing slash."""

import http.client
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watch
from tests.browser.test_page import enter, sentences
from tests.servers import answer, web_server

pytestmark = [pytest.mark.server, pytest.mark.browser]
STAGE = "/dev"


@pytest.fixture
def gateway(api: str) -> Iterator[str]:
    """The API under a stage. Other paths are 403, as in API Gateway."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        if request.path.partition("?")[0].split("/")[1] != STAGE.strip("/"):
            answer(403, b'{"message": "Missing Authentication Token"}')(request)
            return
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        behind = http.client.HTTPConnection(urlsplit(api).netloc)
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        behind.request(request.command, request.path.removeprefix(STAGE) or "/", body, headers)
        response = behind.getresponse()
        body = response.read()
        request.send_response(response.status)
        for name, value in response.getheaders():
            if name not in ("Server", "Date"):
                request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
        behind.close()

    with web_server(handle) as address:
        yield address


@pytest.mark.parametrize("end", ["", "/"])
def test_under_a_stage(
    visit: Callable[..., Page], gateway: str, images: str, watch: Watch, end: str
) -> None:
    page = visit(f"{gateway}{STAGE}{end}")
    enter(page, f"{images}red")
    assert sentences(page) == ["Very likely a Red setter."]
    enter(page, f"{images}red", f"{images}blue")
    expect(page.locator(".card")).to_have_count(2)
    assert sentences(page) == ["Very likely a Red setter.", "Very likely a Blue terrier."]
    page.locator("summary").first.click()
    expect(page.locator(".curl").first).to_contain_text(f'curl "{gateway}{STAGE}/predict?url=')
    assert watch.elsewhere(f"{gateway}{STAGE}", images) == []
    assert watch.console == []
    page.get_by_role("link", name="API reference").click()
    expect(page).to_have_url(f"{gateway}{STAGE}/docs")
    page.goto(f"{gateway}{STAGE}/docs{end}")
    expect(page.locator("section")).to_have_count(10)
    page.get_by_role("link", name="Try the API").click()
    expect(page).to_have_url(f"{gateway}{STAGE}/")
