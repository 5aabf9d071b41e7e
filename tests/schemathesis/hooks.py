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
    """Replace the URLs of the examples, and remove those of options that the body has too."""
    text = json.dumps(raw_schema)
    text = text.replace("https://example.com/dog.jpg", IMAGE_URL)
    raw_schema.clear()
    raw_schema.update(json.loads(text))
    for parameter in raw_schema["paths"]["/predict"]["post"]["parameters"]:
        del parameter["example"]


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Skip requests with an option in query and body, which OpenAPI cannot forbid."""
    body = case.body if isinstance(case.body, dict) else {}
    return not any(body.get(name) is not None for name in case.query or {})
