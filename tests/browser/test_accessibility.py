"""axe-core in every state of the page, light and dark, at three widths."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import choose, enter, file, sentences

pytestmark = [pytest.mark.server, pytest.mark.browser]

Visit = Callable[..., Page]
WIDTHS_PX = {"phone": 320, "tablet": 800, "desktop": 1280}


def violations(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    report: dict[str, Any] = page.evaluate("() => axe.run()")
    assert report["passes"]
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in report["violations"]
        for node in violation["nodes"]
    ]


# Each width and each scheme: contrast does not depend on the width.
@pytest.fixture(params=[("phone", "light"), ("tablet", "dark"), ("desktop", "light")], ids="-".join)
def open_page(request: pytest.FixtureRequest, visit: Visit) -> Callable[[str], Page]:
    """`open_page(url)` opens a page in one width and colour scheme, without its policy for axe."""
    width, scheme = request.param

    def open_page(url: str) -> Page:
        return visit(
            url,
            viewport={"width": WIDTHS_PX[width], "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",  # axe cannot measure colours that are animated
            bypass_csp=True,
        )

    return open_page


def test_the_page(
    open_page: Callable[[str], Page],
    api: str,
    images: str,
    axe: str,
    encode: Callable[..., bytes],
) -> None:
    page = open_page(api)
    assert violations(page, axe) == []
    page.get_by_role("button", name="Find the breed").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert violations(page, axe) == []
    enter(page, f"{images}red")
    sentences(page)
    page.get_by_text("For developers").click()
    page.get_by_text("The breeds that it can name").click()
    expect(page.locator("#breed-list li")).to_have_count(3)
    assert violations(page, axe) == []
    choose(page, file("red.png", encode("red")), file("none.png", encode("black")), file("x", b""))
    sentences(page)
    for summary in page.locator(".card summary").all():
        if summary.is_visible():  # a file that was not sent has no details
            summary.click()
    assert violations(page, axe) == []
    scroll_px, client_px = page.locator("html").evaluate(
        "html => [html.scrollWidth, html.clientWidth]"
    )
    assert scroll_px <= client_px


def test_while_waiting(open_page: Callable[[str], Page], api: str, axe: str) -> None:
    page = open_page(api)
    page.route("**/predict", lambda route: None)
    enter(page, "https://example.com/dog.jpg")
    expect(page.get_by_role("status")).to_have_text("Processing the image.")
    assert violations(page, axe) == []
