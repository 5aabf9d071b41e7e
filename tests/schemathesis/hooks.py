"""What schemathesis cannot make up by itself: addresses that lead to a picture, and pictures."""

import io
import json
import os
from typing import Any

import schemathesis
from hypothesis import strategies
from PIL import Image

PICTURE_URL = os.environ["PICTURE_URL"]
FORMATS = ("JPEG", "PNG", "WEBP")


def picture(format: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(stream, format)
    return stream.getvalue()


schemathesis.openapi.format("uri", strategies.just(PICTURE_URL))
for format in FORMATS:
    schemathesis.openapi.media_type(f"image/{format.lower()}", strategies.just(picture(format)))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """The examples' addresses lead to a picture here too."""
    text = json.dumps(raw_schema)
    text = text.replace("https://example.com/dog.jpg", PICTURE_URL)
    raw_schema.clear()
    raw_schema.update(json.loads(text))
