"""Values that schemathesis cannot generate: URLs of an image, and images."""

import io
import json
import os
from typing import Any

import schemathesis
from hypothesis import strategies
from PIL import Image

IMAGE_URL = os.environ["IMAGE_URL"]
FORMATS = ("JPEG", "PNG", "WEBP")


def encode(format: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(stream, format)
    return stream.getvalue()


schemathesis.openapi.format("uri", strategies.just(IMAGE_URL))
for format in FORMATS:
    schemathesis.openapi.media_type(f"image/{format.lower()}", strategies.just(encode(format)))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Replace the URL in the examples by that of a real image."""
    text = json.dumps(raw_schema)
    text = text.replace("https://example.com/dog.jpg", IMAGE_URL)
    raw_schema.clear()
    raw_schema.update(json.loads(text))
