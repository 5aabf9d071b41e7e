"""Debian's Chromium, watched: what its pages say in the console, and whom they ask."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests import npm_packages
from tests.conftest import ROOT
from tests.servers import answer, api_server, model_server, web_server, whole_product

SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"
# Without these, Chromium looks for updates and the like, on a network that tests must not need.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]


@dataclasses.dataclass
class Watch:
    """What a page did that a visitor does not see."""

    console: list[str] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def elsewhere(self, *allowed: str) -> list[str]:
        """The requests over the network that went to none of the `allowed` addresses."""
        local = ("data:", "blob:", *allowed)
        return [url for url in self.requests if not url.startswith(local)]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def product() -> Iterator[str]:
    """The whole product with its own model."""
    with whole_product() as address:
        yield f"{address}/"


@pytest.fixture(scope="session")
def tiny_runtime(tiny_model_dir: Path) -> Iterator[str]:
    with model_server(tiny_model_dir) as address:
        yield address


@pytest.fixture(scope="session")
def api(tiny_runtime: str) -> Iterator[str]:
    """The API in front of the tiny model, which knows plain colours."""
    with api_server(tiny_runtime, FETCH_TIMEOUT_S="1", MAX_IMAGE_BYTES="2000000") as address:
        yield f"{address}/"


@pytest.fixture(scope="session")
def pictures(encode: Callable[..., bytes]) -> Iterator[str]:
    """A host of pictures: /red, /lime, /blue, /black; /text is none, and all else is 404."""

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
    """`visit(url)`: a page in a browser that knows nothing yet; options are the context's."""
    contexts = []

    def visit(url: str, **options: Any) -> Page:
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
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
