"""`POST /predict/batch` over HTTP: parallel, in order, partial failure, one deadline."""

import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import requests

from tests.servers import answer, api_server, web_server

Encode = Callable[..., bytes]
TIMEOUT_S = 60
BATCH_TIMEOUT_S = 4


@pytest.fixture(scope="module")
def api(tiny_runtime: str) -> Iterator[str]:
    with api_server(tiny_runtime, BATCH_TIMEOUT_S=str(BATCH_TIMEOUT_S)) as address:
        yield address


@pytest.fixture
def images(encode: Encode) -> Iterator[str]:
    """A host with the images /red, /green and /blue; /slow/… takes 0.4 s, /never too long."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/never":
            time.sleep(2 * BATCH_TIMEOUT_S)
        if request.path.startswith("/slow"):
            time.sleep(0.4)
        colour = request.path.rpartition("/")[2]
        if colour in ("red", "green", "blue"):
            answer(200, encode(colour))(request)
        else:
            answer(404)(request)

    with web_server(handle) as address:
        yield address


def post(api: str, **document: Any) -> requests.Response:
    return requests.post(f"{api}/predict/batch", json=document, timeout=TIMEOUT_S)


@pytest.mark.server
def test_results_and_problems_in_order(api: str, images: str) -> None:
    paths = ["blue", "slow/red", "nothing", "green", "blue"]
    urls = [f"{images}/{path}" for path in paths] + ["dog.jpg", "ftp://example.com/dog.jpg"]
    response = post(api, urls=urls, top_k=2)
    assert response.status_code == 200
    document = response.json()
    assert set(document) == {"results", "timing_ms", "request_id"}
    results = document["results"]
    tops = [result["predictions"][0]["breed"] for result in results if "predictions" in result]
    assert tops == ["Blue terrier", "Red setter", "Green hound", "Blue terrier"]
    assert all(len(results[index]["predictions"]) == 2 for index in (0, 1, 3, 4))
    problems = [(index, r["status"], r["type"]) for index, r in enumerate(results) if "type" in r]
    assert problems == [
        (2, 424, "image-unreachable"),
        (5, 400, "invalid-request"),
        (6, 403, "url-not-allowed"),
    ]
    alone = requests.post(f"{api}/predict", json={"url": urls[0]}, timeout=TIMEOUT_S).json()
    assert set(results[0]) == set(alone)
    assert results[0]["logits"] == alone["logits"]
    ids = {result["request_id"] for result in results}
    assert ids == {document["request_id"], response.headers["X-Request-Id"]}


@pytest.mark.server
def test_twenty_slow_images_in_parallel(api: str, images: str) -> None:
    """0.4 s each, 8 at a time: sequentially they would take twice the batch's timeout."""
    results = post(api, urls=[f"{images}/slow/red"] * 20).json()["results"]
    assert [result.get("is_dog") for result in results] == [True] * 20


@pytest.mark.server
def test_an_image_that_never_arrives_does_not_affect_others(api: str, images: str) -> None:
    urls = [f"{images}/{path}" for path in ("red", "never", "blue")]
    start = time.monotonic()
    first, late, last = post(api, urls=urls).json()["results"]
    assert BATCH_TIMEOUT_S <= time.monotonic() - start < TIMEOUT_S
    assert first["predictions"][0]["breed"] == "Red setter"
    assert last["predictions"][0]["breed"] == "Blue terrier"
    assert (late["status"], late["type"]) == (504, "batch-timeout")


@pytest.mark.server
def test_an_invalid_batch(api: str) -> None:
    wrong: list[dict[str, Any]] = [{"urls": []}, {"urls": ["https://a.example"] * 21}, {"url": "a"}]
    for document in wrong:
        response = post(api, **document)
        assert response.status_code == 400
        assert response.headers["Content-Type"] == "application/problem+json"
    response = requests.post(
        f"{api}/predict/batch", b"x", headers={"Content-Type": "image/png"}, timeout=TIMEOUT_S
    )
    assert (response.status_code, response.json()["type"]) == (415, "unsupported-media-type")


@pytest.mark.server
def test_a_top_k_that_is_too_large_refuses_the_batch(api: str, images: str) -> None:
    urls = [f"{images}/red", f"{images}/nothing"]
    post(api, urls=urls)
    response = post(api, urls=urls, top_k=4)
    assert (response.status_code, response.json()["type"]) == (400, "invalid-request")
    assert "from 1 to 3" in response.json()["detail"]
