import base64
import json
from typing import Any

import pytest

from chalicelib import inputs
from chalicelib import urls as urls_module
from chalicelib.inputs import BatchInput, ImageInput, UrlInput
from chalicelib.problems import InvalidRequest, RequestTooLarge, UnsupportedMediaType

URL = "https://example.com/dog.jpg"


def from_json(document: Any) -> UrlInput | ImageInput:
    return inputs.from_body("application/json", json.dumps(document).encode(), {})


def test_a_url_as_json() -> None:
    assert from_json({"url": URL}) == UrlInput(URL, None)
    assert from_json({"url": f" {URL}\n", "top_k": 3}) == UrlInput(URL, 3)
    assert from_json({"url": URL, "top_k": 3.0}) == UrlInput(URL, 3)  # an integer, to JSON Schema
    body = json.dumps({"url": URL}).encode()
    assert inputs.from_body("Application/JSON; charset=utf-8", body, {}) == UrlInput(URL, None)


def test_a_url_as_query() -> None:
    assert inputs.from_query({"url": [URL]}) == UrlInput(URL, None)
    assert inputs.from_query({"url": [URL], "top_k": ["133"]}) == UrlInput(URL, 133)


@pytest.mark.parametrize(
    "media_type",
    [
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/jpg",
        "image/heic",
        "image/*",
        "IMAGE/PNG; x=y",
        "application/octet-stream",
    ],
)
def test_an_image_as_the_body(media_type: str) -> None:
    assert inputs.from_body(media_type, b"bytes", {"top_k": ["2"]}) == ImageInput(b"bytes", 2)


@pytest.mark.parametrize(
    "document",
    [None, [], "text", 1, {}, {"URL": URL}, {"url": 1}, {"url": [URL]}, {"url": URL, "topk": 1}]
    + [{"url": URL, "top_k": top_k} for top_k in (0, -1, 1.5, 0.0, True, "5", [1])],
)
def test_a_wrong_document_is_refused(document: Any) -> None:
    with pytest.raises(InvalidRequest):
        from_json(document)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"url":' * 50_000,
        b'{"url": NaN}',
        b'{"top_k": ' + b"9" * 100_000 + b"}",
        b'{"url": "u", "top_k": 1e400}',
        b'{"url": "u", "top_k": -1e308}',
    ],
)
def test_invalid_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        inputs.from_body("application/json", body, {})


@pytest.mark.parametrize(
    "top_k", ["0", "-1", "1.5", "five", "+5", "5_0", "٥", "", " 5", "9" * 5000]
)
def test_a_wrong_top_k_in_the_query_is_refused(top_k: str) -> None:
    with pytest.raises(InvalidRequest, match="top_k"):
        inputs.from_query({"url": [URL], "top_k": [top_k]})


def test_a_wrong_query_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="`url` is missing"):
        inputs.from_query({})
    with pytest.raises(InvalidRequest, match="`url` is given more than once"):
        inputs.from_query({"url": [URL, URL]})
    with pytest.raises(
        InvalidRequest, match=r"Unknown parameter `uri`\. Allowed: `map`, `top_k`, `url`"
    ):
        inputs.from_query({"uri": [URL]})
    with pytest.raises(InvalidRequest, match="write %26 instead of &"):
        inputs.from_query({"url": ["https://dogs.example/?a=1"], "b": ["2"]})
    with pytest.raises(InvalidRequest, match=r"Unknown parameter `url`\. Allowed: `map`, `top_k`"):
        inputs.from_body("application/json", b'{"url": "https://x.y"}', {"url": [URL]})


def test_top_k_in_the_query_of_a_json_request() -> None:
    query = {"top_k": ["7"]}
    assert inputs.from_body("application/json", b'{"url": "u"}', query) == UrlInput("u", 7)
    null = b'{"url": "u", "top_k": null}'
    assert inputs.from_body("application/json", null, query) == UrlInput("u", 7)
    assert inputs.from_body("application/json", null, {}) == UrlInput("u", None)


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (b'{"url": "u", "top_k": 2}', {"top_k": ["2"]}),
        (b'{"url": "u", "top_k": 2, "top_k": 2}', {}),
        (b'{"url": "u"}', {"top_k": ["2", "2"]}),
    ],
)
def test_top_k_twice_is_refused(body: bytes, query: inputs.Query) -> None:
    with pytest.raises(InvalidRequest, match="`top_k` is"):
        inputs.from_body("application/json", body, query)


def test_a_field_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="`urls` is given more than once"):
        inputs.from_batch(b'{"urls": ["a"], "urls": ["b"]}', {}, max_urls=3)


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        inputs.from_body("image/png", b"", {})


@pytest.mark.parametrize("content_type", ["", "text/plain", "image", "multipart/mixed"])
def test_other_media_types_are_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=r"must be application/json, image/\*,"):
        inputs.from_body(content_type, b"x", {})


def test_the_type_that_curl_sends_by_default_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedMediaType, match="is application/x-www-form-urlencoded, curl's"):
        inputs.from_body("application/x-www-form-urlencoded", b"x", {})


def test_the_map_is_requested_in_the_query_or_in_the_body() -> None:
    flag = {"map": ["true"]}
    assert inputs.from_query({"url": [URL], **flag}) == UrlInput(URL, None, True)
    assert inputs.from_query({"url": [URL], "map": ["false"]}) == UrlInput(URL, None)
    assert inputs.from_body("image/png", b"bytes", flag) == ImageInput(b"bytes", None, True)
    assert from_form(FILE, query=flag) == ImageInput(b"bytes", None, True)
    assert from_form(FILE, "name=map\r\n\r\ntrue") == ImageInput(b"bytes", None, True)
    assert from_form(FILE, "name=map\r\n\r\n") == ImageInput(b"bytes", None)
    assert from_json({"url": URL, "map": True, "top_k": 2}) == UrlInput(URL, 2, True)
    assert from_json({"image": BASE64, "map": None}) == ImageInput(IMAGE, None)
    assert inputs.from_body("application/json", b'{"url": "u"}', flag) == UrlInput("u", None, True)


@pytest.mark.parametrize("value", ["true", 1, 0, [], {}])
def test_a_wrong_map_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="`map` must be true or false"):
        from_json({"url": URL, "map": value})


@pytest.mark.parametrize("value", ["1", "True", "", "yes"])
def test_a_wrong_map_in_the_query_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="`map` must be true or false"):
        inputs.from_query({"url": [URL], "map": [value]})


def test_the_map_requested_twice_is_refused() -> None:
    for give in (
        lambda: inputs.from_body("application/json", b'{"map": false}', {"map": ["false"]}),
        lambda: from_form(FILE, "name=map\r\n\r\ntrue", query={"map": ["true"]}),
        lambda: inputs.from_query({"url": [URL], "map": ["true", "true"]}),
    ):
        with pytest.raises(InvalidRequest, match="`map` is"):
            give()


IMAGE = bytes(range(256))
BASE64 = base64.b64encode(IMAGE).decode()


@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        f"data:image/png;base64,{BASE64}",
        f" DATA:;BASE64,{BASE64}\n",
        base64.encodebytes(IMAGE).decode(),
        base64.urlsafe_b64encode(IMAGE).decode().rstrip("="),
    ],
)
def test_an_image_in_json(text: str) -> None:
    assert from_json({"image": text}) == ImageInput(IMAGE, None)
    assert from_json({"image": text, "top_k": 2}) == ImageInput(IMAGE, 2)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"image": None}, "in base64"),
        ({"image": 1}, "in base64"),
        ({"image": [1, 2]}, "in base64"),
        ({"image": "dog.jpg"}, "in base64"),
        ({"image": URL}, "in base64"),
        ({"image": "AAAAA"}, "in base64"),
        ({"image": "AA=A"}, "in base64"),
        ({"image": "é"}, "in base64"),
        ({"image": "data:image/png;base64"}, "in base64"),
        ({"image": "data:image/svg+xml,%3Csvg%3E"}, "in base64"),
        ({"image": ""}, "empty"),
        ({"image": "data:image/png;base64,"}, "empty"),
        ({"image": BASE64, "url": URL}, "Give one of them"),
        ({"image": BASE64, "url": None}, "Give one of them"),
    ],
)
def test_a_wrong_image_in_json_is_refused(document: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        from_json(document)


def test_an_image_that_is_too_large_for_json() -> None:
    bytes_of_image = inputs.MAX_JSON_BYTES // 4 * 3
    with pytest.raises(RequestTooLarge, match="Send a larger image as the body itself"):
        from_json({"image": base64.b64encode(bytes(bytes_of_image)).decode()})
    image = bytes(380_000)
    assert from_json({"image": base64.b64encode(image).decode()}) == ImageInput(image, None)


def from_form(*parts: str, query: inputs.Query | None = None) -> UrlInput | ImageInput:
    body = "".join(f"--b\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)
    content_type = "multipart/form-data; boundary=b"
    return inputs.from_body(content_type, f"{body}--b--\r\n".encode(), query or {})


FILE = 'name="image"; filename="dog.jpg"\r\n\r\nbytes'


def test_a_form() -> None:
    assert from_form(FILE) == ImageInput(b"bytes", None)
    assert from_form(FILE, query={"top_k": ["2"]}) == ImageInput(b"bytes", 2)
    assert from_form(FILE, "name=top_k\r\n\r\n3") == ImageInput(b"bytes", 3)
    assert from_form("name=top_k\r\n\r\n", FILE) == ImageInput(b"bytes", None)
    other = 'name="file"; filename="cat.jpg"\r\n\r\nother'
    assert from_form(other, FILE) == ImageInput(b"other", None)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ((), "The form has no file"),
        (("name=image\r\n\r\ndog.jpg",), "curl -F image=@dog.jpg"),
        (('name="image"; filename=""\r\n\r\n',), "empty"),
        ((FILE, "name=top_k\r\n\r\nfive"), "`top_k` must be"),
        ((FILE, "name=top_k\r\n\r\n1", "name=top_k\r\n\r\n1"), "more than once"),
        ((FILE, f"name=url\r\n\r\n{URL}"), "Unknown parameter `url`"),
    ],
)
def test_a_wrong_form_is_refused(parts: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        from_form(*parts)


def test_top_k_in_the_form_and_in_the_query_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Give it once"):
        from_form(FILE, "name=top_k\r\n\r\n1", query={"top_k": ["1"]})


def test_deep() -> None:
    assert inputs.deep({}) is False
    assert inputs.deep({"deep": ["true"]}) is True
    assert inputs.deep({"deep": ["false"]}) is False
    for wrong in ("1", "", "True"):
        with pytest.raises(InvalidRequest):
            inputs.deep({"deep": [wrong]})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"urls": []}',
        b'{"urls": "https://a.example"}',
        b'{"urls": [1]}',
        b'{"urls": [null]}',
        b'{"urls": ["a", "b", "c", "d"]}',
        b'{"urls": ["a"], "top_k": 0}',
        b'{"urls": ["a"], "url": "a"}',
    ],
)
def test_a_wrong_batch_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        inputs.from_batch(body, {}, max_urls=3)
    with pytest.raises(InvalidRequest):
        inputs.from_batch(b'{"urls": ["a"]}', {"top_k": ["1"]}, max_urls=3)


def test_a_large_body_is_refused_unread() -> None:
    limit = inputs.MAX_JSON_BYTES
    body = b'{"urls": ["a"]' + b" " * (limit - 15) + b"}"
    assert inputs.from_batch(body, {}, max_urls=1) == BatchInput(("a",), None)
    invalid = b"x" * (limit + 1)
    with pytest.raises(RequestTooLarge):
        inputs.from_batch(invalid, {}, max_urls=1)
    with pytest.raises(RequestTooLarge):
        inputs.from_body("application/json", invalid, {})
    assert inputs.from_body("image/png", invalid, {}) == ImageInput(invalid, None)


def test_the_largest_batch_is_accepted() -> None:
    urls = ["\U0001f415" * urls_module.MAX_CHARACTERS] * 20
    body = json.dumps({"urls": urls}).encode()
    assert inputs.from_batch(body, {}, max_urls=20).urls == tuple(urls)


def test_a_batch() -> None:
    read = inputs.from_batch(b'{"urls": [" a", "b", "a"], "top_k": 2}', {}, max_urls=3)
    assert read == BatchInput(("a", "b", "a"), 2)


@pytest.mark.parametrize(
    "image",
    [
        b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(900_000),  # also larger than JSON may be
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff",
        b"RIFF\x24\0\0\0WEBPVP8 ",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"II*\0\x08\0\0\0\x0b\0\0\1",
        "\ufffd\ufffd\ufffd\ufffd\0\x10JFIF".encode(),  # as API Gateway passes a JPEG on
    ],
)
def test_an_image_without_its_type_is_refused_by_name(image: bytes) -> None:
    with pytest.raises(InvalidRequest, match="send the header `Content-Type: image/jpeg`"):
        inputs.from_body("application/json", image, {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_in_any_encoding(encoding: str) -> None:
    for letters in range(60, 64):  # the first 64 bytes end within a letter, or after it
        text = json.dumps({"url": f"https://example.com/{'x' * letters}ßßß"}, ensure_ascii=False)
        assert isinstance(inputs.from_body("application/json", text.encode(encoding), {}), UrlInput)
