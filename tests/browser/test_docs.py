"""/docs shows all of openapi.json."""

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


def texts(part: Any) -> Iterator[str]:
    """Yield every summary and description, without Markdown."""
    if isinstance(part, dict):
        for name in ("summary", "description"):
            if isinstance(part.get(name), str):
                yield part[name].replace("`", "").replace("**", "")
        for value in part.values():
            yield from texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from texts(value)


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(("width_px", "scheme"), [(320, "light"), (800, "dark"), (1280, "light")])
def test_axe_and_width(
    visit: Callable[..., Page], api: str, axe: str, width_px: int, scheme: str
) -> None:
    viewport = {"width": width_px, "height": 900}
    page = visit(f"{api}docs", viewport=viewport, color_scheme=scheme, bypass_csp=True)
    expect(page.locator("section")).to_have_count(10)
    page.locator("nav summary").click()
    assert violations(page, axe) == []
    for summary in page.locator("section summary").all():
        summary.click()
    assert violations(page, axe) == []
    scroll_px, client_px = page.locator("html").evaluate(
        "html => [html.scrollWidth, html.clientWidth]"
    )
    assert scroll_px <= client_px


@pytest.mark.parametrize("width_px", [320, 1280])
def test_the_contents_stay_in_view(visit: Callable[..., Page], api: str, width_px: int) -> None:
    page = visit(f"{api}docs", viewport={"width": width_px, "height": 700})
    contents = page.get_by_role("navigation", name="Contents")
    link = contents.get_by_role("link", name="GET /health")
    if width_px == 320:
        expect(link).to_be_hidden()
        contents.get_by_text("Contents").click()
    link.click()
    heading = page.locator("#health")
    expect(heading).to_be_in_viewport()
    expect(contents).to_be_in_viewport()
    above, below = contents.bounding_box(), heading.bounding_box()
    assert above
    assert below
    if width_px == 320:
        expect(link).to_be_hidden()
        assert above["y"] + above["height"] <= below["y"]
    else:
        assert above["x"] + above["width"] <= below["x"]


def test_all_texts_are_shown(visit: Callable[..., Page], api: str, watch: Watch) -> None:
    page = visit(f"{api}docs")
    expect(page.locator("section")).to_have_count(10)
    shown = words(page.locator("main").inner_text())
    paths = DESCRIPTION["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            heading = f"{method.upper()} {path} {operation['summary']}"
            expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    # Of a schema, only the fields are shown.
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
        for text in [*paragraphs, *map(words, texts(rest))]
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


def test_a_description_that_cannot_be_loaded(visit: Callable[..., Page], api: str) -> None:
    page = visit(api)
    page.route("**/openapi.json", lambda route: route.abort())
    page.goto(f"{api}docs")
    expect(page.get_by_role("status")).to_contain_text("could not be loaded")
