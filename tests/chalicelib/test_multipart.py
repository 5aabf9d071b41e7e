"""Bodies as HTML forms and HTTP libraries send them, and malformed ones."""

import re
import time
from typing import Any

import pytest
import requests

from chalicelib import multipart
from chalicelib.multipart import Part
from chalicelib.problems import InvalidRequest

IMAGE = b"\xff\xd8\xff\r\n--\r\n\r\nbytes\r"


def form(*parts: tuple[str, bytes], boundary: str = "b", end: str = "--\r\n") -> bytes:
    sections = [
        f"--{boundary}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n"
        for headers, content in parts
    ]
    return b"".join(sections) + f"--{boundary}{end}".encode()


def field(name: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"'


@pytest.mark.parametrize(
    ("content_type", "boundary", "headers"),
    [
        (
            "multipart/form-data; boundary=------------------------d74496d66958873e",
            "------------------------d74496d66958873e",
            'Content-Disposition: form-data; name="image"; filename="dog.jpg"\r\n'
            "Content-Type: image/jpeg",
        ),
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
            "----WebKitFormBoundary7MA4YWxkTrZu0gW",
            'Content-Disposition: form-data; name="image"; filename="ein %22Hünd;.jpg"\r\n'
            "Content-Type: image/jpeg",
        ),
        (  # OkHttp
            "multipart/form-data; boundary=4f5ef3c5-3a62-4a2c-8f4b-0f4a0e4d6b1a",
            "4f5ef3c5-3a62-4a2c-8f4b-0f4a0e4d6b1a",
            'content-disposition: form-data; name="image"; filename="dog.jpg"\r\n'
            "Content-Type: image/*\r\nContent-Transfer-Encoding: binary\r\nContent-Length: 16",
        ),
        (  # .NET
            'multipart/form-data; boundary="4f5ef3c5 3a62"',
            "4f5ef3c5 3a62",
            "Content-Type: image/jpeg\r\nContent-Disposition: form-data; name=image; "
            "filename=dog.jpg; filename*=utf-8''dog.jpg",
        ),
        (  # a request body without a file name, in Retrofit
            "Multipart/Form-Data; charset=utf-8; Boundary=b",
            "b",
            'Content-Disposition: form-data; name="image"\r\nContent-Type: image/png',
        ),
    ],
)
def test_files_of_clients(content_type: str, boundary: str, headers: str) -> None:
    body = form((field("top_k"), b"3"), (headers, IMAGE), boundary=boundary)
    assert multipart.parse(content_type, body) == [
        Part("top_k", False, b"3"),
        Part("image", True, IMAGE),
    ]


def test_a_form_of_requests() -> None:
    files: Any = {"photo": ("hünd.jpg", IMAGE, "image/jpeg")}
    request = requests.Request("POST", "http://a", data={"top_k": 2}, files=files).prepare()
    assert isinstance(request.body, bytes)
    parts = multipart.parse(str(request.headers["Content-Type"]), request.body)
    assert parts == [Part("top_k", False, b"2"), Part("photo", True, IMAGE)]


def test_preamble_and_epilogue_are_ignored() -> None:
    body = b"preamble\r\n" + form((field("a"), b"1")) + b"epilogue\r\n--b\r\n"
    assert multipart.parse("multipart/form-data; boundary=b", body) == [Part("a", False, b"1")]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=bé",
        "multipart/form-data; boundary=" + "b" * 71,
        'multipart/form-data; boundary="b ',
    ],
)
def test_a_wrong_boundary(content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        multipart.parse(content_type, form((field("a"), b"1")))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "no part"),
        (b"\xff\xd8\xff", "no part"),
        (form((field("a"), b"1"), boundary="c"), "no part"),
        (form((field("a"), b"1"), end=""), "incomplete"),
        (form((field("a"), b"1"))[:-12], "incomplete"),
        (form((field("a"), b"1")).replace(b"\r\n", b"\n"), "incomplete"),
        (b"--b\r\nno blank line\r\n--b--", "headers"),
        (b"--bc\r\n\r\n\r\n--b--", "headers"),
        (form(("", b"1")), "headers"),
        (form(("Content-Type: image/png", b"1")), "Content-Disposition"),
        (form(("Content-Disposition: form-data", b"1")), "name"),
        (form(('Content-Disposition: attachment; name="a"', b"1")), "form-data"),
        (form((field("a") + "\r\nContent-Transfer-Encoding: base64", b"1")), "encoded"),
        (form((field("a") + "\r\nX: " + "x" * multipart.MAX_HEADER_BYTES, b"1")), "headers"),
        (form(*[(field("a"), b"1")] * (multipart.MAX_PARTS + 1)), "more than 20 parts"),
    ],
)
def test_malformed_bodies(body: bytes, problem: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        multipart.parse("multipart/form-data; boundary=b", body)
    assert re.search(problem, refusal.value.detail)


def test_the_largest_number_of_parts() -> None:
    body = form(*[(field("a"), b"1")] * multipart.MAX_PARTS)
    parts = multipart.parse("multipart/form-data; boundary=b", body)
    assert len(parts) == multipart.MAX_PARTS


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n--b" * 1_000_000,
        b"--b\r\n" + b"\r\n" * 2_500_000,
        b"--b\r\nContent-Disposition: form-data; " + b'name="' * 800_000,
        b"--b\r\nContent-Disposition:" + b"; \\" * 1_250_000,
    ],
)
def test_a_costly_body_is_refused_quickly(body: bytes) -> None:
    start = time.process_time()
    with pytest.raises(InvalidRequest):
        multipart.parse("multipart/form-data; boundary=b", body)
    assert time.process_time() - start < 1
