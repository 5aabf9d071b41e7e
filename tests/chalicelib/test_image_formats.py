"""Media types by the first bytes of an image."""

from collections.abc import Callable

import pytest

from chalicelib import image_formats, pages
from chalicelib.problems import NotAnImage
from model_code import decoding, structure


@pytest.mark.parametrize("format", decoding.FORMATS)
def test_each_format_of_the_container_is_recognised(
    encode: Callable[..., bytes], format: str
) -> None:
    media_type = image_formats.media_type(encode("red", format))
    assert media_type == f"image/{format.lower()}"
    assert media_type in image_formats.MEDIA_TYPES


def test_there_are_no_other_formats() -> None:
    assert len(image_formats.MEDIA_TYPES) == len(decoding.FORMATS)


@pytest.mark.parametrize("payload", [b"", b"<html>", b"RIFF\0\0\0\0WAVE", b"\xff\xd8"])
def test_other_content_is_refused(payload: bytes) -> None:
    with pytest.raises(NotAnImage):
        image_formats.media_type(payload)


def test_a_gif_is_refused(encode: Callable[..., bytes]) -> None:
    with pytest.raises(NotAnImage):
        image_formats.media_type(encode("red", "GIF"))


def test_the_limit_of_pixels_in_the_docs_is_the_containers() -> None:
    assert f"more than {structure.MAX_PIXELS:,} pixels" in pages.openapi().body
    assert f"{structure.MAX_PIXELS // 1_000_000} megapixels" in pages.page().body
