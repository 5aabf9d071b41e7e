"""Media types by the first bytes of an image: the same list on both sides and in the contract."""

import json
from collections.abc import Callable

import pytest

from chalicelib import image_formats, pages
from chalicelib.problems import NotAnImage
from model_code import errors, formats, structure
from tests.hostile_images import encode as encoded
from tests.hostile_images import photo
from tests.model_code.test_formats import REFUSED

DESCRIPTION = json.loads(pages.openapi().body)


@pytest.mark.parametrize("format", image_formats.FORMATS)
def test_each_format_is_recognised(format: str) -> None:
    payload = encoded(photo(64, 48), "HEIF" if format == "HEIC" else format)
    assert image_formats.media_type(payload) == image_formats.FORMATS[format]
    assert formats.identify(payload) in (format, "HEIF")


def test_both_sides_have_the_same_formats() -> None:
    assert list(image_formats.FORMATS) == list(formats.NAMES)
    assert image_formats.ADVICE == formats.ADVICE


def test_the_contract_has_the_same_formats() -> None:
    schemas = DESCRIPTION["components"]["schemas"]
    assert schemas["Image"]["properties"]["format"]["enum"] == list(image_formats.FORMATS)
    content = DESCRIPTION["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(image_formats.MEDIA_TYPES) <= set(content)
    names = list(formats.NAMES.values())
    sentence = f"{', '.join(names[:-1])} or {names[-1]}"
    assert sentence in schemas["Picture"]["description"]  # codespell:ignore
    assert sentence in schemas["PredictRequest"]["properties"]["url"]["description"]


def test_a_heif_without_a_codec_among_its_brands() -> None:
    payload = b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf"
    assert image_formats.media_type(payload) == image_formats.HEIF


def test_an_mpo_is_a_jpeg() -> None:
    frame = photo(64, 48)
    payload = encoded(frame, "MPO", save_all=True, append_images=[frame])
    assert image_formats.media_type(payload) == "image/jpeg"


@pytest.mark.parametrize(("name", "payload"), REFUSED)
def test_both_sides_refuse_others_by_name(name: str, payload: bytes) -> None:
    with pytest.raises(NotAnImage) as caught:
        image_formats.media_type(payload)
    with pytest.raises(errors.NotAnImage) as refused:
        formats.identify(payload)
    assert caught.value.detail == str(refused.value)
    assert f"This is {name};" in caught.value.detail


@pytest.mark.parametrize("payload", [b"", b"RIFF\0\0\0\0WAVE", b"\xff\xd8", b"BM", b"\0\0\0\0ftyp"])
def test_other_content_is_refused(payload: bytes) -> None:
    with pytest.raises(NotAnImage):
        image_formats.media_type(payload)
    with pytest.raises(errors.NotAnImage):
        formats.identify(payload)


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "start",
    [
        b"<!--", b"<?", b"<!doctype a[", b"<!doctype", b"<!doctype a ", b"<!---->", b" ",
        b"<!doctype a [" + b"] " * 20_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("filler", [b" ", b"]", b"[", b"<!--", b"]> ", b"\0"])
@pytest.mark.parametrize("identify", [image_formats.media_type, formats.identify])
def test_no_text_takes_long_to_recognise(
    start: bytes, filler: bytes, identify: Callable[[bytes], str]
) -> None:
    """A quadratic expression would need minutes for this text."""
    with pytest.raises((NotAnImage, errors.NotAnImage)):
        identify(start + filler * (5_000_000 // len(filler)))


def test_the_limit_of_pixels_in_the_docs_is_the_containers() -> None:
    assert f"more than {structure.MAX_PIXELS:,} pixels" in pages.openapi().body
    assert f"{structure.MAX_PIXELS // 1_000_000} megapixels" in pages.page().body
