"""The page as visitors use it: URLs, files, drag and drop, the keyboard, a phone."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, Request, Route, expect

from tests.browser.conftest import SAMPLE, Watch

pytestmark = [pytest.mark.server, pytest.mark.browser]

Visit = Callable[..., Page]
Encode = Callable[..., bytes]
PHONE = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}


def enter(page: Page, *urls: str) -> None:
    page.get_by_label("Image URL").fill("\n".join(urls))
    page.get_by_role("button", name="Find the breed").click()


def choose(page: Page, *files: str | Path | Any) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files([*files])


def file(name: str, body: bytes, media_type: str = "image/png") -> FilePayload:
    return {"name": name, "mimeType": media_type, "buffer": body}


def sentences(page: Page) -> list[str]:
    """Return the headings of the cards, once none of them is waiting."""
    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator(".waiting")).to_have_count(0)
    return page.locator(".card h2").all_inner_texts()


def no_horizontal_scrolling(page: Page) -> None:
    scroll_px, client_px = page.locator("html").evaluate(
        "html => [html.scrollWidth, html.clientWidth]"
    )
    assert scroll_px <= client_px


def test_a_url(visit: Visit, api: str, images: str, watch: Watch) -> None:
    page = visit(api)
    enter(page, f"{images}red")
    assert sentences(page) == ["Very likely a Red setter."]
    assert page.locator(".breed").all_inner_texts()[0] == "Red setter"
    assert page.locator(".percent").all_inner_texts() == ["99 %", "0.7 %", "0.7 %"]
    widths = [bar.bounding_box()["width"] for bar in page.locator(".bar").all()]  # type: ignore[index]
    assert widths[0] > 50 * widths[1]
    expect(page.locator(".timing")).to_contain_text(
        re.compile(r"Took [\d.]+ ms.*64 × 48 pixels\. Model tiny 1, 3 breeds\.", re.DOTALL)
    )
    image = page.get_by_alt_text(f"Image at {images}red")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") == 64
    expect(page.get_by_role("status")).to_have_text("Very likely a Red setter.")
    assert watch.elsewhere(api) == [f"{images}red"]
    assert watch.console == []


def test_an_upload(visit: Visit, api: str, encode: Encode, watch: Watch) -> None:
    page = visit(api)
    choose(page, file("blue.png", encode("blue")))
    assert sentences(page) == ["Very likely a Blue terrier."]
    expect(page.get_by_alt_text("blue.png")).to_be_visible()
    assert watch.elsewhere(api) == []
    assert watch.console == []


def drop(page: Page, **data: Any) -> None:
    """Drop files or text on the page."""
    session = page.context.new_cdp_session(page)
    dropped = {"items": [], "files": [], "dragOperationsMask": 1, **data}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 200, "y": 300, "data": dropped}
        session.send("Input.dispatchDragEvent", event)
        if kind == "dragOver":
            expect(page.locator(".input.over")).to_be_visible()


def test_drops(visit: Visit, api: str, images: str, tmp_path: Path, encode: Encode) -> None:
    for name in ("red", "lime"):
        (tmp_path / f"{name}.png").write_bytes(encode(name))
    page = visit(api)
    drop(page, files=[str(tmp_path / "red.png"), str(tmp_path / "lime.png")])
    assert sentences(page) == ["Very likely a Red setter.", "Very likely a Green hound."]
    expect(page.locator(".input.over")).to_have_count(0)
    url = {"mimeType": "text/uri-list", "data": f"{images}blue"}
    drop(page, items=[url])
    expect(page.locator(".card")).to_have_count(1)
    assert sentences(page) == ["Very likely a Blue terrier."]


# Like "Copy image" in a browser.
COPY_AN_IMAGE = """async () => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    context.fillStyle = "blue";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}"""


def test_pasting(visit: Visit, api: str, images: str) -> None:
    page = visit(api, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(COPY_AN_IMAGE)
    page.keyboard.press("Control+V")
    assert sentences(page) == ["Very likely a Blue terrier."]
    page.evaluate("url => navigator.clipboard.writeText(url)", f"{images}red")
    page.keyboard.press("Control+V")  # outside the field: sent at once
    expect(page.locator(".card h2")).to_have_text("Very likely a Red setter.")
    page.get_by_label("Image URL").fill("")
    page.keyboard.press("Control+V")  # in the field: text
    expect(page.get_by_label("Image URL")).to_have_value(f"{images}red")
    page.evaluate(COPY_AN_IMAGE)
    page.keyboard.press("Control+V")  # an image is sent at once, even from within the field
    expect(page.locator(".card h2")).to_have_text("Very likely a Blue terrier.")


def test_several_files_keep_their_order(
    visit: Visit, api: str, encode: Encode, watch: Watch
) -> None:
    page = visit(api)
    names = ["red", "lime", "blue", "black", "red"]
    choose(
        page, *[file(f"{name}.png", encode(name)) for name in names], file("x.txt", b"x", "text")
    )
    assert sentences(page) == [
        "Very likely a Red setter.",
        "Very likely a Green hound.",
        "Very likely a Blue terrier.",
        "No dog found.",
        "Very likely a Red setter.",
        "This browser cannot read that file as an image.",
    ]
    expect(page.get_by_role("status")).to_have_text("5 of 6 images classified. 1 failed.")
    expect(page.get_by_text("The closest match is a Red setter.")).to_be_visible()
    assert watch.console == []


def test_several_urls_are_one_request(visit: Visit, api: str, images: str, watch: Watch) -> None:
    page = visit(api)
    enter(page, f"{images}lime", f"{images}nothing", f"{images}red")
    headings = sentences(page)
    assert (headings[0], headings[2]) == ("Very likely a Green hound.", "Very likely a Red setter.")
    assert headings[1].startswith("The image could not be downloaded.")
    assert [url for url in watch.requests if "/predict" in url] == [f"{api}predict/batch"]
    page.locator(".failed").get_by_role("button", name="Try again").click()
    expect(page.locator(".card")).to_have_count(1)
    assert sentences(page)[0].startswith("The image could not be downloaded.")


def test_more_than_twenty_images(visit: Visit, api: str, encode: Encode) -> None:
    page = visit(api)
    choose(page, *[file(f"{index}.png", encode("red")) for index in range(22)])
    expect(page.locator(".card")).to_have_count(20)
    expect(page.locator("#hint")).to_have_text(
        "Only the first 20 images are processed; 2 are ignored."
    )
    assert sentences(page) == ["Very likely a Red setter."] * 20


def test_a_new_request_replaces_the_last(
    visit: Visit, api: str, images: str, encode: Encode
) -> None:
    page = visit(api)
    held: list[Route] = []
    page.route("**/predict", lambda route: held.append(route), times=1)
    enter(page, f"{images}red")
    expect(page.locator(".waiting")).to_have_count(1)
    choose(page, file("blue.png", encode("blue")))
    assert sentences(page) == ["Very likely a Blue terrier."]
    assert len(held) == 1
    expect(page.get_by_role("status")).to_have_text("Very likely a Blue terrier.")


def upload(page: Page, *files: Any) -> Request:
    with page.expect_request("**/predict") as request:
        choose(page, *files)
    return request.value


def test_a_large_image_is_scaled_down_and_turned_upright(
    visit: Visit, api: str, encode: Encode, tmp_path: Path
) -> None:
    """12 megapixels of noise over red, on its side as phones store it: more than Lambda accepts."""
    noise = Image.effect_noise((4000, 3000), 90)
    photo = Image.merge("RGB", (Image.new("L", noise.size, 255), noise, noise))
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn it by 90 degrees
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(photo, "JPEG", quality=95, exif=exif))
    assert path.stat().st_size > 5_000_000
    page = visit(api)
    request = upload(page, path)
    assert request.headers["content-type"] == "image/jpeg"
    assert sentences(page) == ["Very likely a Red setter."]
    expect(page.locator(".timing")).to_contain_text("1200 × 1600 pixels")
    response = request.response().json()  # type: ignore[union-attr]
    assert response["image"]["bytes"] < 1_500_000


def test_other_formats_are_converted_to_jpeg(visit: Visit, api: str, encode: Encode) -> None:
    page = visit(api)
    request = upload(page, file("lime.bmp", encode("lime", "BMP"), "image/bmp"))
    assert request.headers["content-type"] == "image/jpeg"
    assert sentences(page) == ["Very likely a Green hound."]


def test_a_small_image_is_sent_unchanged(visit: Visit, api: str, encode: Encode) -> None:
    page = visit(api)
    request = upload(page, file("lime.png", encode("lime")))
    assert request.headers["content-type"] == "image/png"
    assert sentences(page) == ["Very likely a Green hound."]
    response = request.response().json()  # type: ignore[union-attr]
    assert response["image"]["bytes"] == len(encode("lime"))


def test_keyboard_only(visit: Visit, api: str, images: str) -> None:
    """From the top of the page to a result, its JSON and a working curl command."""
    page = visit(api, permissions=["clipboard-read", "clipboard-write"])

    def tab_to(name: str) -> None:
        focused = page.locator(":focus")
        for _ in range(20):
            page.keyboard.press("Tab")
            text = focused.inner_text() or focused.get_attribute("id") or ""
            if name in text:
                return
        raise AssertionError(f"Tab does not reach {name}")

    tab_to("url")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Enter an image URL first.")
    page.keyboard.type(f"{images}red")
    page.keyboard.press("Enter")
    assert sentences(page) == ["Very likely a Red setter."]
    assert page.locator(":focus").get_attribute("id") == "url"
    for button in ("Choose images", "Dalmatian", "Copy a link", "For developers"):
        tab_to(button)
    page.keyboard.press("Enter")
    tab_to("Copy curl")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    command = page.evaluate("() => navigator.clipboard.readText()")
    answer = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
    tab_to("Copy JSON")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_have_count(2)
    copied = json.loads(page.evaluate("() => navigator.clipboard.readText()"))
    assert copied["predictions"] == json.loads(answer.stdout)["predictions"]


def test_a_phone(visit: Visit, api: str, images: str, encode: Encode) -> None:
    page = visit(api, **PHONE)
    no_horizontal_scrolling(page)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Take a photo").click()
    chooser.value.set_files([file("a-very-long-name" * 8 + ".png", encode("red"))])
    assert sentences(page) == ["Very likely a Red setter."]
    page.get_by_text("For developers").click()
    no_horizontal_scrolling(page)
    enter(page, f"{images}{'not-there' * 20}", f"{images}blue")
    assert sentences(page)[1] == "Very likely a Blue terrier."
    no_horizontal_scrolling(page)


def test_a_sample(visit: Visit, product: str, watch: Watch) -> None:
    page = visit(product)
    page.get_by_role("button", name="Dalmatian").click()
    assert sentences(page) == ["Very likely a Dalmatian."]
    expect(page.locator(".bars li")).to_have_count(5)
    choose(page, SAMPLE)
    expect(page.locator("img[alt='dalmatian.png']")).to_be_visible()
    assert sentences(page) == ["Very likely a Dalmatian."]
    assert watch.elsewhere(product) == []
    assert watch.console == []


@pytest.mark.parametrize(
    ("probabilities", "sentence"),
    [
        ([0.8, 0.1], "Very likely an Akita."),
        ([0.5, 0.4], "Probably an Akita."),
        ([0.49, 0.3], "Could be an Akita or a Eurasier."),
        ([0.2, 0.1], "Could be an Akita or a Eurasier."),
    ],
)
def test_wording_by_probability(
    visit: Visit, api: str, images: str, probabilities: list[float], sentence: str
) -> None:
    page = visit(api)

    def handle(route: Route) -> None:
        document = route.fetch().json()
        document["predictions"] = [
            {"breed": breed, "probability": probability, "logit": 0}
            for breed, probability in zip(("Akita", "Eurasier"), probabilities, strict=True)
        ]
        route.fulfill(json=document)

    page.route("**/predict", handle)
    enter(page, f"{images}red")
    assert sentences(page) == [sentence]
    hint = page.get_by_text("Several breeds look similar.")
    expect(hint).to_have_count(1 if sum(probabilities) < 0.5 else 0)
