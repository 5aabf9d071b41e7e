"""/docs: all of openapi.json, readable."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watch
from tests.browser.test_accessibility import violations
from tests.conftest import ROOT

pytestmark = [pytest.mark.server, pytest.mark.browser]
DESCRIPTION = json.loads((ROOT / "chalicelib" / "openapi.json").read_text())


def sayings(part: Any) -> Iterator[str]:
    """Every summary and description, the marks of Markdown left out."""
    if isinstance(part, dict):
        for name in ("summary", "description"):
            if isinstance(part.get(name), str):
                yield part[name].replace("`", "").replace("**", "")
        for value in part.values():
            yield from sayings(value)
    elif isinstance(part, list):
        for value in part:
            yield from sayings(value)


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width_px", [320, 800, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_and_width(
    visit: Callable[..., Page], api: str, axe: str, width_px: int, scheme: str
) -> None:
    viewport = {"width": width_px, "height": 900}
    page = visit(f"{api}docs", viewport=viewport, color_scheme=scheme, bypass_csp=True)
    expect(page.locator("section")).to_have_count(8)
    for summary in page.locator("summary").all():
        summary.click()
    assert violations(page, axe) == []
    wide, seen = page.locator("html").evaluate("html => [html.scrollWidth, html.clientWidth]")
    assert wide <= seen


def test_it_says_all_that_the_description_says(
    visit: Callable[..., Page], api: str, watch: Watch
) -> None:
    page = visit(f"{api}docs")
    expect(page.locator("section")).to_have_count(8)
    shown = words(page.locator("main").inner_text())
    paths = DESCRIPTION["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            heading = f"{method.upper()} {path} {operation['summary']}"
            expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    # What a schema as a whole is for stands in the headings; its fields are what is shown.
    parts = [DESCRIPTION["info"]["description"], paths, DESCRIPTION["components"]["responses"]]
    parts += [
        schema.get("properties", {}) for schema in DESCRIPTION["components"]["schemas"].values()
    ]
    introduction, *rest = parts
    paragraphs = [
        words(text.replace("`", "").replace("**", "")) for text in introduction.split("\n\n")
    ]
    headers = {header["description"] for header in DESCRIPTION["components"]["headers"].values()}
    missing = [
        text
        for text in [*paragraphs, *map(words, sayings(rest))]
        if text not in shown and text not in headers
    ]
    assert missing == []
    assert watch.elsewhere(api) == []
    assert watch.console == []


def test_problems_are_linked(visit: Callable[..., Page], api: str) -> None:
    page = visit(f"{api}docs")
    page.get_by_role("link", name="424 image-unreachable").first.click()
    expect(page).to_have_url(f"{api}docs#problem-image-unreachable")
    expect(page.locator("#problem-image-unreachable")).to_be_in_viewport()


def test_without_a_description_it_says_so(visit: Callable[..., Page], api: str) -> None:
    page = visit(api)
    page.route("**/openapi.json", lambda route: route.abort())
    page.goto(f"{api}docs")
    expect(page.get_by_role("status")).to_contain_text("could not be read")
