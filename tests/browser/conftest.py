"""Chromium, with a record of its console and its requests."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import npm_packages
from tests.conftest import ROOT
from tests.servers import answer, web_server

TIMEOUT_MS = 60_000  # slow machines need more than Playwright's 5 s
expect.set_options(timeout=TIMEOUT_MS)
SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"
# These keep Chromium from using the network for itself.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--use-fake-device-for-media-stream",  # a camera that shows a pattern
]


@dataclasses.dataclass
class Watch:
    """The console messages and requests of a page."""

    console: list[str] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def elsewhere(self, *allowed: str) -> list[str]:
        """Return the network requests to URLs other than `allowed`."""
        local = ("data:", "blob:", *allowed)
        return [url for url in self.requests if not url.startswith(local)]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def product(product: str) -> str:
    """The page of the product, with the shipped model."""
    return f"{product}/"


@pytest.fixture(scope="session")
def api(api: str) -> str:
    """The page of the API, with the tiny model."""
    return f"{api}/"


@pytest.fixture(scope="session")
def images(encode: Callable[..., bytes]) -> Iterator[str]:
    """A host of images: /red, /lime, /blue, /black; /text is none, and all else is 404."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        name = request.path.strip("/")
        if name in ("red", "lime", "blue", "black"):
            answer(200, encode(name), {"Content-Type": "image/png"})(request)
        elif name == "text":
            answer(200, b"<html>")(request)
        else:
            answer(404)(request)

    with web_server(handle) as address:
        yield f"{address}/"


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def visit(chromium: Browser, watch: Watch) -> Iterator[Callable[..., Page]]:
    """`visit(url)` opens a page in a new browser context with the given options."""
    contexts = []

    def visit(url: str, **options: Any) -> Page:
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        watch.follow(page)
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    return (npm_packages.installed() / "axe-core" / "axe.min.js").read_text()
