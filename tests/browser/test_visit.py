"""What a visitor does around a result: share it, look up the breed, return to an earlier one."""

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Watch
from tests.browser.test_page import PHONE, choose, enter, file, no_horizontal_scrolling, sentences
from tests.conftest import ROOT

pytestmark = [pytest.mark.server, pytest.mark.browser]

Visit = Callable[..., Page]
SAMPLES = list(json.loads((ROOT / "chalicelib" / "page.json").read_text())["samples"])


def test_a_shared_link(visit: Visit, api: str, images: str, watch: Watch) -> None:
    page = visit(f"{api}?url={quote(images + 'red', safe='')}&utm_source=chat")
    assert sentences(page) == ["Very likely a Red setter."]
    expect(page.get_by_label("Image URL")).to_have_value(f"{images}red")
    assert watch.console == []


def test_copying_a_link(visit: Visit, api: str, images: str, encode: Callable[..., bytes]) -> None:
    page = visit(api, permissions=["clipboard-read", "clipboard-write"])
    enter(page, f"{images}red#a=1&b=ä")
    page.get_by_role("button", name="Copy a link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("() => navigator.clipboard.readText()")
    assert link == f"{api}?url={quote(images + 'red#a=1&b=ä', safe='')}"
    assert page.url == link
    choose(page, file("blue.png", encode("blue")))
    assert sentences(page) == ["Very likely a Blue terrier."]
    assert page.url == api  # an upload has no address
    expect(page.get_by_role("button", name="Copy a link")).to_have_count(0)


@pytest.mark.parametrize("breed", SAMPLES)
def test_samples(visit: Visit, product: str, watch: Watch, breed: str) -> None:
    page = visit(product)
    page.get_by_role("button", name=breed).click()
    assert breed in sentences(page)[0]
    expect(page.locator(".breed").first).to_have_text(breed)
    expect(page.locator(".fact")).to_contain_text("at the shoulder. Origin:")
    expect(page.get_by_role("link", name=f"More about the {breed}")).to_be_visible()
    expect(page.get_by_text("means: of 100 photos with this value")).to_be_visible()
    assert watch.console == []


def test_no_bars_without_a_dog(visit: Visit, api: str, encode: Callable[..., bytes]) -> None:
    page = visit(api)
    choose(page, file("none.png", encode("black")))
    assert sentences(page) == ["No dog found."]
    for part in (".bars", ".meaning", ".fact"):
        expect(page.locator(part)).to_be_hidden()


def test_the_history_of_a_visit(
    visit: Visit, api: str, images: str, encode: Callable[..., bytes]
) -> None:
    page = visit(api, **PHONE)
    history = page.locator("#history button")
    expect(page.get_by_text("Earlier in this visit")).to_be_hidden()
    enter(page, f"{images}red")
    sentences(page)
    enter(page, f"{images}missing")
    assert sentences(page)[0].startswith("The image could not be downloaded")
    choose(page, file("blue.png", encode("blue")))
    assert sentences(page) == ["Very likely a Blue terrier."]
    expect(history).to_have_text(["Very likely a Red setter."])  # failures are not kept
    history.first.click()
    assert sentences(page) == ["Very likely a Red setter."]
    expect(page.locator(".card h2")).to_be_focused()
    expect(history).to_have_text(["Very likely a Blue terrier."])
    history.first.click()
    image = page.get_by_alt_text("blue.png")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") == 64
    no_horizontal_scrolling(page)
    page.reload()
    expect(page.get_by_text("Earlier in this visit")).to_be_hidden()


def test_the_list_of_breeds(visit: Visit, product: str) -> None:
    page = visit(product, **PHONE)
    page.get_by_text("The breeds that it can name").click()
    items = page.locator("#breed-list li")
    expect(items).to_have_count(133)
    expect(items.first).to_contain_text("Affenpinscher")
    expect(items.first).to_contain_text("Germany")
    expect(items.locator("span")).to_have_count(133)  # each with its facts
    expect(items.first.get_by_role("link")).to_have_attribute(
        "href", "https://en.wikipedia.org/wiki/Special:Search?search=Affenpinscher%20dog%20breed"
    )
    no_horizontal_scrolling(page)


def test_without_facts(visit: Visit, api: str, images: str) -> None:
    """The tiny model's breeds have no facts, and the page works without its data."""
    page = visit(api)
    page.route("**/page.json", lambda route: route.abort())
    page.reload()
    enter(page, f"{images}red")
    assert sentences(page) == ["Very likely a Red setter."]
    expect(page.locator(".fact")).to_be_hidden()
    page.get_by_text("The breeds that it can name").click()
    expect(page.locator("#breed-list li")).to_have_count(3)


def test_the_camera_of_a_desktop(visit: Visit, api: str, watch: Watch) -> None:
    page = visit(api, permissions=["camera"])
    page.get_by_role("button", name="Use the camera").click()
    video = page.locator("video")
    expect(video).not_to_have_js_property("videoWidth", 0)
    with page.expect_request("**/predict") as request:
        page.get_by_role("button", name="Take the photo").click()
    assert request.value.headers["content-type"] == "image/jpeg"
    sentences(page)
    expect(video).to_have_js_property("srcObject", None)
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(video).to_have_js_property("srcObject", None)
    assert watch.console == []


def test_a_camera_that_may_not_be_used(visit: Visit, api: str) -> None:
    page = visit(api, permissions=[])
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => { throw new Error(); }; }"
    )
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_role("alert")).to_contain_text("The camera cannot be used.")


def test_the_part_that_the_model_looked_at(visit: Visit, api: str, images: str) -> None:
    page = visit(api)

    def handle(route: Route) -> None:
        focus = {"x": 0.25, "y": 0.5, "width": 0.5, "height": 0.5}
        route.fulfill(json={**route.fetch().json(), "focus": focus})

    page.route("**/predict", handle)
    enter(page, f"{images}red")
    sentences(page)
    outline = page.locator(".focus rect")
    expect(outline).to_be_visible()
    size = {name: outline.get_attribute(name) for name in ("x", "y", "width", "height")}
    assert size == {"x": "16", "y": "24", "width": "32", "height": "24"}


def test_how_far_to_trust_the_breed(visit: Visit, api: str, images: str) -> None:
    page = visit(api)
    notes = ["Two breeds are close: A (41 %) and B (35 %).", "The model often confuses A with B."]
    page.route(
        "**/predict", lambda route: route.fulfill(json={**route.fetch().json(), "notes": notes})
    )
    enter(page, f"{images}red")
    sentences(page)
    expect(page.locator(".card .detail")).to_have_text(" ".join(notes))


def test_the_key_in_the_curl_command(visit: Visit, api: str, images: str) -> None:
    page = visit(api)
    problem = {"type": "api-key-required", "status": 403, "request_id": "1"}
    page.route("**/predict", lambda route: route.fulfill(status=403, json=problem))
    enter(page, f"{images}red")
    sentences(page)
    page.get_by_text("For developers").click()
    expect(page.locator(".curl")).to_contain_text('-H "x-api-key: YOUR_API_KEY"')
