"""axe-core over every state of the page, in light and dark, at three widths."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import ask, choose, file, sentences

pytestmark = [pytest.mark.server, pytest.mark.browser]

Visit = Callable[..., Page]
WIDTHS_PX = {"phone": 320, "tablet": 800, "desktop": 1280}


def violations(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("() => axe.run()")
    assert found["passes"]
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@pytest.fixture(params=[(w, s) for w in WIDTHS_PX for s in ("light", "dark")], ids="-".join)
def open_page(request: pytest.FixtureRequest, visit: Visit) -> Callable[[str], Page]:
    """`open_page(url)`, at a width and in a colour scheme. axe needs the page's policy off."""
    width, scheme = request.param

    def open_page(url: str) -> Page:
        return visit(
            url,
            viewport={"width": WIDTHS_PX[width], "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",  # colours that still move cannot be judged
            bypass_csp=True,
        )

    return open_page


def test_the_page(
    open_page: Callable[[str], Page],
    api: str,
    pictures: str,
    axe: str,
    encode: Callable[..., bytes],
) -> None:
    page = open_page(api)
    assert violations(page, axe) == []
    page.get_by_role("button", name="Name the breed").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert violations(page, axe) == []
    ask(page, f"{pictures}red")
    sentences(page)
    page.get_by_text("For programs").click()
    assert violations(page, axe) == []
    choose(page, file("red.png", encode("red")), file("none.png", encode("black")), file("x", b""))
    sentences(page)
    for summary in page.locator("summary").all():
        if summary.is_visible():  # a file that was never sent has nothing for programs
            summary.click()
    assert violations(page, axe) == []
    wide, seen = page.locator("html").evaluate("html => [html.scrollWidth, html.clientWidth]")
    assert wide <= seen


def test_while_it_waits(open_page: Callable[[str], Page], api: str, axe: str) -> None:
    page = open_page(api)
    page.route("**/predict", lambda route: None)
    ask(page, "https://example.com/dog.jpg")
    expect(page.get_by_role("status")).to_have_text("Looking at the picture.")
    assert violations(page, axe) == []
