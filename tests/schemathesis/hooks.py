"""Image URLs and images, which schemathesis cannot generate itself."""

import base64
import io
import json
import os
from typing import Any

import schemathesis
from hypothesis import strategies
from PIL import Image

IMAGE_URL = os.environ["IMAGE_URL"]
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")


def image(format: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(stream, format)
    return stream.getvalue()


schemathesis.openapi.format("uri", strategies.just(IMAGE_URL))
for format in FORMATS:
    schemathesis.openapi.media_type(f"image/{format.lower()}", strategies.just(image(format)))
for media_type in ("image/*", "image/heic", "image/heif", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, strategies.just(image("PNG")))
schemathesis.openapi.format("binary", strategies.just(image("PNG")))
schemathesis.openapi.format("byte", strategies.just(base64.b64encode(image("PNG")).decode()))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Replace the URLs of the examples, and remove the one that would repeat `top_k`."""
    text = json.dumps(raw_schema)
    text = text.replace("https://example.com/dog.jpg", IMAGE_URL)
    raw_schema.clear()
    raw_schema.update(json.loads(text))
    [top_k] = raw_schema["paths"]["/predict"]["post"]["parameters"]
    del top_k["example"]


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Skip requests with `top_k` in query and body, which OpenAPI cannot forbid."""
    in_body = isinstance(case.body, dict) and case.body.get("top_k") is not None
    return not (in_body and "top_k" in (case.query or {}))
