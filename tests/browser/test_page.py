"""The page as a visitor uses it: addresses, files, drops, the keyboard, a phone."""

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


def ask(page: Page, *urls: str) -> None:
    page.get_by_label("Address of a picture").fill("\n".join(urls))
    page.get_by_role("button", name="Name the breed").click()


def choose(page: Page, *files: str | Path | Any) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files([*files])


def file(name: str, body: bytes, media_type: str = "image/png") -> FilePayload:
    return {"name": name, "mimeType": media_type, "buffer": body}


def sentences(page: Page) -> list[str]:
    """What the cards say, once none of them is waiting."""
    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator(".waiting")).to_have_count(0)
    return page.locator(".card h2").all_inner_texts()


def no_sideways_scrolling(page: Page) -> None:
    wide, seen = page.locator("html").evaluate("html => [html.scrollWidth, html.clientWidth]")
    assert wide <= seen


def test_an_address(visit: Visit, api: str, pictures: str, watch: Watch) -> None:
    page = visit(api)
    ask(page, f"{pictures}red")
    assert sentences(page) == ["Very likely a Red setter."]
    assert page.locator(".breed").all_inner_texts()[0] == "Red setter"
    assert page.locator(".percent").all_inner_texts() == ["99 %", "0.7 %", "0.7 %"]
    widths = [bar.bounding_box()["width"] for bar in page.locator(".bar").all()]  # type: ignore[index]
    assert widths[0] > 50 * widths[1]
    expect(page.locator(".took")).to_contain_text(
        re.compile(r"Took [\d.]+ ms.*64 × 48 pixels\. Chosen from 3 breeds by tiny 1\.", re.DOTALL)
    )
    image = page.get_by_alt_text(f"The picture at {pictures}red")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") == 64
    expect(page.get_by_role("status")).to_have_text("Very likely a Red setter.")
    assert watch.elsewhere(api) == [f"{pictures}red"]  # the one that the visitor named
    assert watch.console == []


def test_an_upload(visit: Visit, api: str, encode: Encode, watch: Watch) -> None:
    page = visit(api)
    choose(page, file("blue.png", encode("blue")))
    assert sentences(page) == ["Very likely a Blue terrier."]
    expect(page.get_by_alt_text("blue.png")).to_be_visible()
    assert watch.elsewhere(api) == []
    assert watch.console == []


def drop(page: Page, **data: Any) -> None:
    """What the browser does when something is dropped on the page."""
    session = page.context.new_cdp_session(page)
    dropped = {"items": [], "files": [], "dragOperationsMask": 1, **data}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 200, "y": 300, "data": dropped}
        session.send("Input.dispatchDragEvent", event)
        if kind == "dragOver":
            expect(page.locator(".ask.over")).to_be_visible()


def test_drops(visit: Visit, api: str, pictures: str, tmp_path: Path, encode: Encode) -> None:
    for name in ("red", "lime"):
        (tmp_path / f"{name}.png").write_bytes(encode(name))
    page = visit(api)
    drop(page, files=[str(tmp_path / "red.png"), str(tmp_path / "lime.png")])
    assert sentences(page) == ["Very likely a Red setter.", "Very likely a Green hound."]
    expect(page.locator(".ask.over")).to_have_count(0)
    url = {"mimeType": "text/uri-list", "data": f"{pictures}blue"}
    drop(page, items=[url])
    expect(page.locator(".card")).to_have_count(1)
    assert sentences(page) == ["Very likely a Blue terrier."]


# What "Copy image" of a browser does.
COPY_A_PICTURE = """async () => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    context.fillStyle = "blue";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}"""


def test_pasting(visit: Visit, api: str, pictures: str) -> None:
    page = visit(api, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(COPY_A_PICTURE)
    page.keyboard.press("Control+V")
    assert sentences(page) == ["Very likely a Blue terrier."]
    page.evaluate("url => navigator.clipboard.writeText(url)", f"{pictures}red")
    page.keyboard.press("Control+V")  # anywhere on the page: it is asked at once
    expect(page.locator(".card h2")).to_have_text("Very likely a Red setter.")
    page.get_by_label("Address of a picture").fill("")
    page.keyboard.press("Control+V")  # in the field: it is text
    expect(page.get_by_label("Address of a picture")).to_have_value(f"{pictures}red")
    page.evaluate(COPY_A_PICTURE)
    page.keyboard.press("Control+V")  # a picture is a picture, wherever it is pasted
    expect(page.locator(".card h2")).to_have_text("Very likely a Blue terrier.")


def test_several_files_are_a_gallery_in_their_order(
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
        "I see no dog here.",
        "Very likely a Red setter.",
        "That file is no picture that this browser can read.",
    ]
    expect(page.get_by_role("status")).to_have_text("5 of 6 pictures named. 1 with a problem.")
    expect(page.get_by_text("If there is one, it looks most like a Red setter.")).to_be_visible()
    assert watch.console == []


def test_several_addresses_are_one_request(
    visit: Visit, api: str, pictures: str, watch: Watch
) -> None:
    page = visit(api)
    ask(page, f"{pictures}lime", f"{pictures}nothing", f"{pictures}red")
    said = sentences(page)
    assert (said[0], said[2]) == ("Very likely a Green hound.", "Very likely a Red setter.")
    assert said[1].startswith("I could not get that picture.")
    assert [url for url in watch.requests if "/predict" in url] == [f"{api}predict/batch"]
    page.locator(".bad").get_by_role("button", name="Try again").click()
    expect(page.locator(".card")).to_have_count(1)
    assert sentences(page)[0].startswith("I could not get that picture.")


def test_more_than_twenty_are_cut_and_said(visit: Visit, api: str, encode: Encode) -> None:
    page = visit(api)
    choose(page, *[file(f"{index}.png", encode("red")) for index in range(22)])
    expect(page.locator(".card")).to_have_count(20)
    expect(page.locator("#hint")).to_have_text("Only the first 20 are looked at; 2 are left out.")
    assert sentences(page) == ["Very likely a Red setter."] * 20


def test_the_last_question_counts(visit: Visit, api: str, pictures: str, encode: Encode) -> None:
    page = visit(api)
    held: list[Route] = []
    page.route("**/predict", lambda route: held.append(route), times=1)
    ask(page, f"{pictures}red")
    expect(page.locator(".waiting")).to_have_count(1)
    choose(page, file("blue.png", encode("blue")))
    assert sentences(page) == ["Very likely a Blue terrier."]
    assert len(held) == 1
    expect(page.get_by_role("status")).to_have_text("Very likely a Blue terrier.")


def sent(page: Page, *files: Any) -> Request:
    with page.expect_request("**/predict") as request:
        choose(page, *files)
    return request.value


def test_a_large_photo_is_shrunk_and_stands_upright(visit: Visit, api: str, encode: Encode) -> None:
    """12 megapixels of noise over red, on its side as phones save it: more than Lambda takes."""
    noise = Image.effect_noise((4000, 3000), 90)
    photo = Image.merge("RGB", (Image.new("L", noise.size, 255), noise, noise))
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn it by 90 degrees
    body = encode(photo, "JPEG", quality=95, exif=exif)
    assert len(body) > 5_000_000
    page = visit(api)
    request = sent(page, file("photo.jpg", body, "image/jpeg"))
    assert request.headers["content-type"] == "image/jpeg"
    assert sentences(page) == ["Very likely a Red setter."]
    expect(page.locator(".took")).to_contain_text("1200 × 1600 pixels")
    answered = request.response().json()  # type: ignore[union-attr]
    assert answered["image"]["bytes"] < 1_500_000


def test_other_kinds_of_picture_are_sent_as_jpeg(visit: Visit, api: str, encode: Encode) -> None:
    page = visit(api)
    request = sent(page, file("lime.bmp", encode("lime", "BMP"), "image/bmp"))
    assert request.headers["content-type"] == "image/jpeg"
    assert sentences(page) == ["Very likely a Green hound."]


def test_a_small_picture_is_sent_as_it_is(visit: Visit, api: str, encode: Encode) -> None:
    page = visit(api)
    request = sent(page, file("lime.png", encode("lime")))
    assert request.headers["content-type"] == "image/png"
    assert sentences(page) == ["Very likely a Green hound."]
    answered = request.response().json()  # type: ignore[union-attr]
    assert answered["image"]["bytes"] == len(encode("lime"))


def test_the_keyboard_is_enough(visit: Visit, api: str, pictures: str) -> None:
    """From the top of the page to an answer, its JSON and a curl line that works."""
    page = visit(api, permissions=["clipboard-read", "clipboard-write"])

    def tab_to(name: str) -> None:
        focused = page.locator(":focus")
        for _ in range(20):
            page.keyboard.press("Tab")
            text = focused.inner_text() or focused.get_attribute("id") or ""
            if name in text:
                return
        raise AssertionError(f"Tab never comes to {name}")

    tab_to("url")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Paste the address of a picture first.")
    page.keyboard.type(f"{pictures}red")
    page.keyboard.press("Enter")
    assert sentences(page) == ["Very likely a Red setter."]
    assert page.locator(":focus").get_attribute("id") == "url"
    for button in ("Choose pictures", "Try this one", "For programs"):
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


def test_a_curl_line_for_a_file_with_an_awkward_name(
    visit: Visit, api: str, encode: Encode, tmp_path: Path
) -> None:
    name = "it's $HOME; a `dog`.png"
    (tmp_path / name).write_bytes(encode("red"))
    page = visit(api)
    choose(page, tmp_path / name)
    assert sentences(page) == ["Very likely a Red setter."]
    page.get_by_text("For programs").click()
    command = page.locator(".curl").inner_text()
    ended = subprocess.run(
        command, shell=True, check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert json.loads(ended.stdout)["predictions"][0]["breed"] == "Red setter"


def test_a_phone(visit: Visit, api: str, pictures: str, encode: Encode) -> None:
    page = visit(api, **PHONE)
    no_sideways_scrolling(page)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Take a photo").click()
    chooser.value.set_files([file("a-very-long-name" * 8 + ".png", encode("red"))])
    assert sentences(page) == ["Very likely a Red setter."]
    page.get_by_text("For programs").click()
    no_sideways_scrolling(page)
    ask(page, f"{pictures}{'not-there' * 20}", f"{pictures}blue")
    assert sentences(page)[1] == "Very likely a Blue terrier."
    no_sideways_scrolling(page)


def test_the_sample_needs_no_picture_of_ones_own(visit: Visit, product: str, watch: Watch) -> None:
    page = visit(product)
    page.get_by_role("button", name="Try this one").click()
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
def test_how_sure_it_sounds(
    visit: Visit, api: str, pictures: str, probabilities: list[float], sentence: str
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
    ask(page, f"{pictures}red")
    assert sentences(page) == [sentence]
    unsure = page.get_by_text("Hard to tell: several breeds look like this.")
    expect(unsure).to_have_count(1 if sum(probabilities) < 0.5 else 0)
