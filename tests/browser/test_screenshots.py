"""Screenshots of the page.

They go to a temporary folder. Set `SCREENSHOTS=docs/screenshots` to write those of the README.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageStat
from playwright.sync_api import Page

from tests.browser.conftest import SAMPLE
from tests.browser.test_page import choose, sentences

pytestmark = [pytest.mark.server, pytest.mark.browser]

SIZES_PX = {"phone": (390, 844), "tablet": (820, 1000), "desktop": (1120, 840)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SIZES_PX)
def test_a_result(
    visit: Callable[..., Page], product: str, tmp_path: Path, name: str, scheme: str
) -> None:
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    width, height = SIZES_PX[name]
    page = visit(
        product,
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    choose(page, SAMPLE)
    assert sentences(page) == ["Very likely a Dalmatian."]
    page.locator("img[alt='dalmatian.png']").evaluate("image => image.decode()")
    page.mouse.move(0, 0)
    file = folder / f"page-{name}-{scheme}.png"
    page.screenshot(path=file, full_page=True)
    with Image.open(file) as shot:
        assert shot.width == width
        brightness = ImageStat.Stat(shot.convert("L")).median[0]
    assert (brightness > 200) == (scheme == "light")
    assert (brightness < 60) == (scheme == "dark")
