"""What a client sends, read strictly: a wrong field is named, never guessed around."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.problems import InvalidRequest, UnsupportedMediaType

JSON = "application/json"
IMAGE_MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp")
WRONG_MEDIA_TYPE = f"The Content-Type must be {JSON} or one of {', '.join(IMAGE_MEDIA_TYPES)}."

Query = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class UrlInput:
    """Classify the picture behind `url`. Without `top_k` the API decides."""

    url: str
    top_k: int | None


@dataclass(frozen=True, slots=True)
class ImageInput:
    """Classify the picture in `payload`. Without `top_k` the API decides."""

    payload: bytes
    top_k: int | None


@dataclass(frozen=True, slots=True)
class BatchInput:
    """Classify the pictures behind `urls`. Without `top_k` the API decides."""

    urls: tuple[str, ...]
    top_k: int | None


def from_body(content_type: str, body: bytes, query: Query) -> UrlInput | ImageInput:
    """The input of `POST /predict`. Raises `UnsupportedMediaType` and `InvalidRequest`."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in (JSON, *IMAGE_MEDIA_TYPES):
        raise UnsupportedMediaType(WRONG_MEDIA_TYPE)
    # OpenAPI cannot tie a query parameter to one type of body, so it is taken beside each.
    _refuse_unknown(query, {"top_k"})
    top_k = _top_k_of_query(query)
    if media_type != JSON:
        if not body:
            raise InvalidRequest("The body is empty; it must be the image itself.")
        return ImageInput(body, top_k)
    document = _json_object(body, '{"url": "https://…"}')
    _refuse_unknown(document, {"url", "top_k"})
    in_body = _top_k(document.get("top_k"))
    if in_body is not None and top_k is not None:
        top_k = max(in_body, top_k)  # neither is overlooked: too large a one is refused
    return UrlInput(_url(document.get("url")), top_k or in_body)


def from_batch(body: bytes, query: Query, max_urls: int) -> BatchInput:
    """The input of `POST /predict/batch`. A URL that is none is that picture's own problem.

    Raises `InvalidRequest`.
    """
    _refuse_unknown(query, set())
    document = _json_object(body, '{"urls": ["https://…"]}')
    _refuse_unknown(document, {"urls", "top_k"})
    urls = document.get("urls")
    if not isinstance(urls, list) or not 1 <= len(urls) <= max_urls:
        raise InvalidRequest(f"`urls` must be a list of 1 to {max_urls} addresses of pictures.")
    return BatchInput(tuple(map(_url, urls)), _top_k(document.get("top_k")))


def from_query(query: Query) -> UrlInput:
    """The input of `GET /predict`. Raises `InvalidRequest`."""
    _refuse_unknown(query, {"url", "top_k"})
    return UrlInput(_url(_single(query, "url")), _top_k_of_query(query))


def deep(query: Query) -> bool:
    """Whether `GET /health` is to ask the endpoint too. Raises `InvalidRequest`."""
    _refuse_unknown(query, {"deep"})
    text = _single(query, "deep")
    if text not in ("true", "false", None):
        raise InvalidRequest("`deep` must be true or false.")
    return text == "true"


def _json_object(body: bytes, example: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidRequest(f"The body must be a JSON object like {example}.")
    return document


def _url(value: Any) -> str:
    if value is None:
        raise InvalidRequest("`url` is missing: the address of a picture, like https://….")
    if not isinstance(value, str):
        raise InvalidRequest("`url` must be a string.")
    return value.strip()


def _top_k_of_query(query: Query) -> int | None:
    text = _single(query, "top_k")
    # `int` would read "+5", "5_0" and the digits of other scripts too
    is_number = text is not None and re.fullmatch("[0-9]{1,9}", text, re.ASCII)
    return _top_k(int(text) if text and is_number else text)


def _top_k(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():  # JSON knows one kind of number
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequest("`top_k` must be a whole number from 1 to the number of breeds.")
    return value


def _single(query: Query, name: str) -> str | None:
    values = query.get(name, [])
    if len(values) > 1:
        raise InvalidRequest(f"`{name}` is given more than once.")
    return values[0] if values else None


def _refuse_unknown(given: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        allowed = " and ".join(f"`{name}`" for name in sorted(known)) or "no parameter"
        name = ascii(unknown[0])[1:-1][:40]  # it is a stranger's: nothing in it may act up
        raise InvalidRequest(f"`{name}` is not known here; {allowed} would be.")
