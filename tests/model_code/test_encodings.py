"""An image gets the same breed in every encoding."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from model_code import inference
from model_code.inference import Model
from model_code.prediction import Prediction
from tests.conftest import ROOT, PhotoCollection

Encode = Callable[..., bytes]
SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"


@pytest.fixture(scope="module")
def model() -> Model:
    return inference.model_fn(inference.DEFAULT_MODEL_DIR)


def encodings(encode: Encode, image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """Encode an RGB image in every way that preserves its appearance."""
    rgba = image.copy()
    rgba.putalpha(255)
    for quality in (75, 95):
        yield f"JPEG, quality {quality}", encode(image, "JPEG", quality=quality)
    yield "JPEG, progressive", encode(image, "JPEG", quality=90, progressive=True)
    yield "JPEG, 4:4:4", encode(image, "JPEG", quality=90, subsampling=0)
    yield "JPEG, CMYK", encode(image.convert("CMYK"), "JPEG", quality=95)
    yield "PNG", encode(image, "PNG")
    yield "PNG, alpha", encode(rgba, "PNG")
    yield "PNG, palette", encode(image.quantize(256), "PNG")
    yield "WebP", encode(image, "WEBP", quality=90)
    yield "WebP, lossless", encode(image, "WEBP", lossless=True)
    yield "WebP, alpha", encode(rgba, "WEBP", quality=90)
    for orientation, back in (
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for format in ("JPEG", "PNG", "WEBP"):
            turned = encode(image.transpose(back), format, exif=exif, quality=95)
            yield f"{format}, orientation {orientation}", turned
    large = image.resize((image.width * 8, image.height * 8), Image.Resampling.BICUBIC)
    yield "JPEG, eight times as large", encode(large, "JPEG", quality=85)


def breed(model: Model, payload: bytes) -> tuple[str, float]:
    """Return the likeliest breed, and by how many logits it leads."""
    prediction = inference.predict_fn(inference.input_fn(payload, "image/*"), model)
    assert isinstance(prediction, Prediction)
    order = np.argsort(prediction.logits)
    lead = float(prediction.logits[order[-1]] - prediction.logits[order[-2]])
    return model.artifact.display_names[order[-1]], lead


def test_the_sample(model: Model, encode: Encode) -> None:
    with Image.open(SAMPLE) as image:
        for name, payload in encodings(encode, image.convert("RGB")):
            assert breed(model, payload)[0] == "Dalmatian", name


@pytest.mark.photos
def test_real_photos(model: Model, encode: Encode, photos: PhotoCollection) -> None:
    """Only photos with a clear lead: otherwise noise may change the order."""
    checked = 0
    for row in photos.split("test")[::25]:
        with Image.open(photos.folder / row["file"]) as image:
            rgb = image.convert("RGB")
        expected, lead = breed(model, encode(rgb, "PNG"))
        if lead < 1.0:
            continue
        checked += 1
        for name, payload in encodings(encode, rgb):
            assert breed(model, payload)[0] == expected, f"{row['file']} as {name}"
    assert checked >= 5
