"""Strict parsing of request bodies and query parameters."""

import base64
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib import multipart
from chalicelib.problems import InvalidRequest, RequestTooLarge, UnsupportedMediaType

JSON = "application/json"
BYTES = "application/octet-stream"
ANY_IMAGE = "image/*"
UPLOAD_TYPES = (ANY_IMAGE, BYTES, multipart.MEDIA_TYPE)
"""Content types of images in a body. The image's bytes decide its format."""
MAX_JSON_BYTES = 512_000
"""The largest batch, 20 URLs of 2,048 escaped characters, has 492,000 bytes."""

Query = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class UrlInput:
    """An image by its URL."""

    url: str
    top_k: int | None
    with_map: bool = False


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image by its bytes."""

    payload: bytes
    top_k: int | None
    with_map: bool = False


@dataclass(frozen=True, slots=True)
class BatchInput:
    """Several images by their URLs."""

    urls: tuple[str, ...]
    top_k: int | None


def from_body(content_type: str, body: bytes, query: Query) -> UrlInput | ImageInput:
    """Parse `POST /predict`.

    Raises `UnsupportedMediaType`, `RequestTooLarge` or `InvalidRequest`.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    is_image = media_type == BYTES or media_type.startswith("image/")
    if not is_image and media_type not in (JSON, multipart.MEDIA_TYPE):
        raise _unsupported(media_type)
    # OpenAPI cannot limit a query parameter to one type of body, so all types may come with it.
    _refuse_unknown(query, {"map", "top_k"})
    if is_image:
        return ImageInput(_not_empty(body), _query_top_k(query), _query_flag(query, "map"))
    if media_type == multipart.MEDIA_TYPE:
        return _from_form(multipart.parse(content_type, body), query)
    return _from_json(body, query)


def _unsupported(media_type: str) -> UnsupportedMediaType:
    supported = f"{JSON}, {ANY_IMAGE}, {BYTES} or {multipart.MEDIA_TYPE}"
    if media_type == "application/x-www-form-urlencoded":
        return UnsupportedMediaType(
            f"The Content-Type is {media_type}, curl's default. Set it to {supported}."
        )
    return UnsupportedMediaType(f"The Content-Type must be {supported}.")


def _from_form(parts: Sequence[multipart.Part], query: Query) -> ImageInput:
    """Return the first file of a form. Its only other fields are `top_k` and `map`."""
    files = [part for part in parts if part.is_file]
    if not files:
        raise InvalidRequest(
            "The form has no file. Add the image as a file, such as `curl -F image=@dog.jpg`."
        )
    fields: dict[str, list[str]] = {}
    for part in parts:
        if not part.is_file:
            fields.setdefault(part.name, []).append(part.content.decode("utf-8", "replace"))
    _refuse_unknown(fields, {"map", "top_k"})
    # A form field that the user left empty is not given.
    fields = {name: values for name, values in fields.items() if values != [""]}
    _refuse_twice(query, fields)
    options = {**query, **fields}
    image = _not_empty(files[0].content)
    return ImageInput(image, _query_top_k(options), _query_flag(options, "map"))


def _from_json(body: bytes, query: Query) -> UrlInput | ImageInput:
    if _is_binary(body):  # `curl -T` sends no Content-Type, for which API Gateway assumes JSON
        raise InvalidRequest(
            "The body is not JSON. If it is an image, send the header `Content-Type: image/jpeg`."
        )
    document = _json_object(
        body, '{"url": "https://…"}', " Send a larger image as the body itself."
    )
    _refuse_unknown(document, {"image", "map", "top_k", "url"})
    top_k, with_map = _top_k(document.get("top_k")), _flag(document.get("map"), "map")
    _refuse_twice(query, [name for name, value in document.items() if value is not None])
    options = (top_k or _query_top_k(query), with_map or _query_flag(query, "map"))
    if "image" not in document:
        return UrlInput(_url(document.get("url")), *options)
    if "url" in document:
        raise InvalidRequest("The body has `url` and `image`. Give one of them.")
    return ImageInput(_decoded(document["image"]), *options)


def _refuse_twice(query: Query, body: Collection[str]) -> None:
    for name in sorted(set(query) & set(body)):
        raise InvalidRequest(f"`{name}` is in the query and in the body. Give it once.")


def _not_empty(image: bytes) -> bytes:
    if not image:
        raise InvalidRequest("The image is empty: it has no bytes.")
    return image


def _decoded(text: Any) -> bytes:
    """Return the bytes of base64 (RFC 4648, both alphabets) or of a `data:` URI."""
    problem = "`image` must be the image's bytes in base64, or a `data:` URI with base64."
    if not isinstance(text, str):
        raise InvalidRequest(problem)
    text = text.strip()
    if text[:5].lower() == "data:":
        media_type, comma, text = text.partition(",")
        if not comma or not media_type.lower().endswith(";base64"):
            raise InvalidRequest(problem)
    # Some encoders break lines or leave out the padding.
    digits = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        image = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        raise InvalidRequest(problem) from None
    return _not_empty(image)


def from_batch(body: bytes, query: Query, max_urls: int) -> BatchInput:
    """Parse `POST /predict/batch`. Raises `RequestTooLarge` or `InvalidRequest`.

    The URLs themselves are not validated here: an invalid one is a problem of its image alone.
    """
    _refuse_unknown(query, set())
    document = _json_object(body, '{"urls": ["https://…"]}')
    _refuse_unknown(document, {"urls", "top_k"})
    urls = document.get("urls")
    if not isinstance(urls, list) or not 1 <= len(urls) <= max_urls:
        raise InvalidRequest(f"`urls` must be a list of 1 to {max_urls} image URLs.")
    return BatchInput(tuple(map(_url, urls)), _top_k(document.get("top_k")))


def from_query(query: Query) -> UrlInput:
    """Parse `GET /predict`. Raises `InvalidRequest`."""
    # An & of the image's URL that is not escaped ends the parameter `url`.
    hint = " If it is part of the image's URL, write %26 instead of &." if "url" in query else ""
    _refuse_unknown(query, {"map", "top_k", "url"}, hint)
    return UrlInput(_url(_single(query, "url")), _query_top_k(query), _query_flag(query, "map"))


def deep(query: Query) -> bool:
    """Parse `GET /health`: whether to invoke the endpoint as well. Raises `InvalidRequest`."""
    _refuse_unknown(query, {"deep"})
    return _query_flag(query, "deep")


def _json_object(body: bytes, example: str, advice: str = "") -> dict[str, Any]:
    if len(body) > MAX_JSON_BYTES:
        raise RequestTooLarge(f"The JSON body is larger than {MAX_JSON_BYTES} bytes.{advice}")
    try:
        document = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidRequest(f"The body must be a JSON object such as {example}.")
    return document


def _is_binary(body: bytes) -> bool:
    """Return whether `body` is no text, or was no text before API Gateway decoded it."""
    text = body[:64].decode(json.detect_encoding(body), "replace")[:-1]  # may end in half a letter
    return "\0" in text or "\ufffd" in text


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise InvalidRequest(f"{_quoted(name)} is given more than once.")
        document[name] = value
    return document


def _url(value: Any) -> str:
    if value is None:
        raise InvalidRequest("`url` is missing. Give an image URL such as https://….")
    if not isinstance(value, str):
        raise InvalidRequest("The URL must be a string.")
    return value.strip()


def _query_top_k(query: Query) -> int | None:
    text = _single(query, "top_k")
    # int() would also accept "+5", "5_0" and digits of other scripts.
    if text is not None and re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        return _top_k(int(text))
    return _top_k(text)


def _top_k(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():  # in JSON Schema, 5.0 is an integer
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequest("`top_k` must be an integer from 1 to the number of breeds.")
    return value


def _query_flag(query: Query, name: str) -> bool:
    text = _single(query, name)
    if text not in ("true", "false", None):
        raise InvalidRequest(f"`{name}` must be true or false.")
    return text == "true"


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool | None):
        raise InvalidRequest(f"`{name}` must be true or false.")
    return value is True


def _single(query: Query, name: str) -> str | None:
    values = query.get(name, [])
    if len(values) > 1:
        raise InvalidRequest(f"`{name}` is given more than once.")
    return values[0] if values else None


def _refuse_unknown(given: Mapping[str, Any], known: set[str], hint: str = "") -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        allowed = ", ".join(f"`{name}`" for name in sorted(known)) or "none"
        raise InvalidRequest(f"Unknown parameter {_quoted(unknown[0])}. Allowed: {allowed}.{hint}")


def _quoted(name: str) -> str:
    """Return a client's text for an error: escaped and cut."""
    return f"`{ascii(name)[1:-1][:40]}`"
