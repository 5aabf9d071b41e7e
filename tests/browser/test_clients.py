"""The browser snippet of docs/clients.md, on a page of another origin."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watch
from tests.browser.test_page import file
from tests.servers import answer, api_server, web_server
from tests.test_clients import SNIPPETS

pytestmark = [pytest.mark.server, pytest.mark.browser]


def test_in_a_browser(
    visit: Callable[..., Page], tiny_runtime: str, encode: Callable[..., bytes], watch: Watch
) -> None:
    pages: list[bytes] = []
    headers = {"Content-Type": "text/html; charset=utf-8"}
    with (
        web_server(lambda request: answer(200, pages[0], headers)(request)) as origin,
        api_server(tiny_runtime, CORS_ALLOW_ORIGIN=origin) as api,
    ):
        snippet, count = re.subn(r'const API = ".*"', f'const API = "{api}"', SNIPPETS["html"])
        assert count == 1
        icon = '<link rel="icon" href="data:,">'
        pages.append(f"<!doctype html>{icon}{snippet}".encode())
        page = visit(origin)
        for colour, result in (("red", "Red setter"), ("black", "No dog.")):
            page.locator("#image").set_input_files(file("x.png", encode(colour)))
            expect(page.get_by_role("status")).to_have_text(result)
        assert watch.console == []
        page.locator("#image").set_input_files(file("x.png", b"no image"))
        expect(page.get_by_role("status")).to_contain_text("not an image of a supported format")
