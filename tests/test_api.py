"""The API over HTTP: `chalice local` with a model server, and with one that fails."""

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import quote

import pytest
import requests

from chalicelib.image_fetcher import USER_AGENT
from tests import hostile_images
from tests.servers import HOST, SwitchableHandler, answer, api_server, free_port, web_server

pytestmark = pytest.mark.server
Encode = Callable[..., bytes]
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def strict_api(tiny_runtime: str) -> Iterator[str]:
    """The API with the settings of a deployed stage, which refuse loopback addresses."""
    with api_server(tiny_runtime, stage="dev") as address:
        yield address


@pytest.fixture
def red(encode: Encode) -> Iterator[str]:
    """The URL of a red image."""
    with web_server(answer(200, encode("red"))) as address:
        yield f"{address}/red.png"


def check_prediction(response: requests.Response, top_k: int = 3) -> None:
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    document = response.json()
    assert set(document) == {
        "is_dog",
        "dog_probability",
        "predictions",
        "logits",
        "model",
        "image",
        "focus",
        "confused_with",
        "notes",
        "timing_ms",
        "request_id",
    }
    assert document["is_dog"] is True
    assert len(document["predictions"]) == top_k
    first = document["predictions"][0]
    assert first["breed"] == "Red setter"
    assert first["logit"] == pytest.approx(10, abs=1e-3)
    assert first["probability"] == pytest.approx(0.9867, abs=1e-3)
    assert document["logits"] == pytest.approx([10, 0, 0], abs=1e-3)
    assert document["model"] == {"name": "tiny", "version": "1"}
    image = document["image"]
    assert (image["format"], image["width"], image["height"]) == ("PNG", 64, 48)
    assert set(document["timing_ms"]) == {"fetch", "inference", "total"}
    assert document["request_id"] == response.headers["X-Request-Id"]


def test_a_url_by_post(api: str, red: str) -> None:
    check_prediction(requests.post(f"{api}/predict", json={"url": red}, timeout=TIMEOUT_S))
    few = requests.post(f"{api}/predict", json={"url": red, "top_k": 1}, timeout=TIMEOUT_S)
    check_prediction(few, top_k=1)


def test_a_url_by_get(api: str, red: str) -> None:
    query: dict[str, Any] = {"url": f"{red}?a=1&b=%20", "top_k": 2}
    check_prediction(requests.get(f"{api}/predict", params=query, timeout=TIMEOUT_S), top_k=2)


def test_an_image_as_body(api: str, encode: Encode) -> None:
    headers = {"Content-Type": "image/png"}
    response = requests.post(
        f"{api}/predict?top_k=2", encode("red"), headers=headers, timeout=TIMEOUT_S
    )
    check_prediction(response, top_k=2)
    assert response.json()["image"]["bytes"] == len(encode("red"))


def test_images_as_clients_upload_them(api: str, encode: Encode) -> None:
    image = encode("red")
    as_base64 = base64.b64encode(image).decode()
    session = requests.Session()
    url = f"{api}/predict"
    for content_type in ("image/jpg", "image/*", "application/octet-stream"):
        headers = {"Content-Type": content_type}
        response = session.post(f"{url}?top_k=2", image, headers=headers, timeout=TIMEOUT_S)
        check_prediction(response, top_k=2)
    files = {"photo": ("dog.heic", image, "image/heic")}
    check_prediction(session.post(url, data={"top_k": 1}, files=files, timeout=TIMEOUT_S), 1)
    for text in (as_base64, f"data:image/jpeg;base64,{as_base64}"):
        check_prediction(session.post(url, json={"image": text}, timeout=TIMEOUT_S))


def test_the_map_on_request(api: str, red: str, encode: Encode) -> None:
    session = requests.Session()
    url, headers = f"{api}/predict", {"Content-Type": "image/png"}
    for response in (
        session.post(url, json={"url": red, "map": True}, timeout=TIMEOUT_S),
        session.get(url, params={"url": red, "map": "true"}, timeout=TIMEOUT_S),
        session.post(f"{url}?map=true", encode("red"), headers=headers, timeout=TIMEOUT_S),
    ):
        assert response.status_code == 200, response.text
        where = response.json()["map"]
        assert {len(row) for row in where["values"]} == {len(where["values"])}
        assert max(map(max, where["values"])) == 1
    response = session.get(url, params={"url": red, "map": "yes"}, timeout=TIMEOUT_S)
    check_problem(response, 400, "invalid-request")


def test_chunked_uploads(api: str, encode: Encode) -> None:
    image = encode("red")
    headers = {"Content-Type": "image/png"}
    with requests.Session() as session:
        for _ in range(2):  # on one connection
            chunks = iter([image[:100], image[100:]])
            response = session.post(f"{api}/predict", chunks, headers=headers, timeout=TIMEOUT_S)
            check_prediction(response)
        response = session.post(f"{api}/predict", iter([]), headers=headers, timeout=TIMEOUT_S)
        check_problem(response, 400, "invalid-request")


def test_uploads_that_are_not_images(api: str) -> None:
    response = requests.post(f"{api}/predict", files={"image": b"text"}, timeout=TIMEOUT_S)
    check_problem(response, 422, "not-an-image")
    response = requests.post(f"{api}/predict", files={"image": bytes(2_000_001)}, timeout=TIMEOUT_S)
    check_problem(response, 413, "image-too-large")
    check_problem(post(api, "x", "multipart/form-data"), 400, "invalid-request")
    check_problem(post(api, "<svg/>", "image/svg+xml"), 422, "not-an-image")


def test_breeds_and_health(api: str) -> None:
    model = {"name": "tiny", "version": "1"}
    breeds = requests.get(f"{api}/breeds", timeout=TIMEOUT_S).json()
    assert breeds["breeds"] == ["Red setter", "Green hound", "Blue terrier"]
    assert breeds["model"] == model
    assert requests.get(f"{api}/health", timeout=TIMEOUT_S).json()["status"] == "ok"
    deep = requests.get(f"{api}/health?deep=true", timeout=TIMEOUT_S).json()
    assert (deep["status"], deep["model"]) == ("ok", model)


def check_problem(response: requests.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    document: dict[str, Any] = response.json()
    assert set(document) == {"type", "title", "status", "detail", "request_id"}
    assert (document["type"], document["status"]) == (kind, status)
    assert document["request_id"] == response.headers["X-Request-Id"]
    assert "Traceback" not in response.text
    assert HOST not in response.text
    return document


def post(api: str, body: bytes | str, content_type: str) -> requests.Response:
    return requests.post(
        f"{api}/predict", body, headers={"Content-Type": content_type}, timeout=TIMEOUT_S
    )


def post_url(api: str, url: str) -> requests.Response:
    return requests.post(f"{api}/predict", json={"url": url}, timeout=TIMEOUT_S)


@pytest.mark.parametrize(
    "body",
    ["", "url=x", "[]", "{}", '{"url": "dog.jpg"}', '{"url": "https://x.example", "top_k": 0}'],
)
def test_400_invalid_request(api: str, body: str) -> None:
    check_problem(post(api, body, "application/json"), 400, "invalid-request")


def test_400_by_query(api: str, red: str) -> None:
    for query in ("", "url=dog.jpg", f"url={red}&top_k=4", f"url={red}&top_k=x", "uri=x"):
        response = requests.get(f"{api}/predict?{query}", timeout=TIMEOUT_S)
        check_problem(response, 400, "invalid-request")
    response = requests.get(f"{api}/health?deep=maybe", timeout=TIMEOUT_S)
    check_problem(response, 400, "invalid-request")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://localhost/",
        "http://127.0.0.1:8080/ping",
        "http://[::1]/",
        "http://0x7f000001/",
        "https://user:password@example.com/",
        "http://8.8.8.8:22/",
    ],
)
def test_403_url_not_allowed(strict_api: str, url: str) -> None:
    check_problem(post_url(strict_api, url), 403, "url-not-allowed")


def test_403_loopback_is_not_contacted(strict_api: str) -> None:
    requests_seen: list[str] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        requests_seen.append(request.path)
        answer()(request)

    with web_server(handle) as address:
        check_problem(post_url(strict_api, address), 403, "url-not-allowed")
    assert requests_seen == []


@pytest.mark.parametrize(
    "url",
    [
        "http://dogs.example/\ud800",
        "http://dogs.example/?q=\udfff",
        "http://dogs.example/#\ud800",
        "http://\ud800.example/",
        "http://\ud800@dogs.example/",
        "\ud800://dogs.example/",
        "http://a¨b.example/",
    ],
)
def test_400_a_url_that_cannot_be_encoded(api: str, url: str) -> None:
    check_problem(post_url(api, url), 400, "invalid-request")
    raw = json.dumps({"url": url}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    check_problem(post(api, raw, "application/json"), 400, "invalid-request")
    batch = requests.post(f"{api}/predict/batch", json={"urls": [url]}, timeout=TIMEOUT_S)
    assert batch.json()["results"][0]["type"] == "invalid-request"
    percent_encoded = quote(url.encode("utf-8", "surrogatepass"), safe="")
    response = requests.get(f"{api}/predict?url={percent_encoded}", timeout=TIMEOUT_S)
    # `chalice local` replaces invalid UTF-8.
    assert response.json()["type"] in ("invalid-request", "url-not-allowed", "image-unreachable")


def test_403_a_url_that_leads_back_to_the_api(api: str) -> None:
    """Each request for it would cause another one."""
    paths: list[str] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        paths.append(request.path)
        headers = {"Location": f"{api}/predict?url={quote(f'{address}/again')}"}
        answer(302, b"", headers)(request)

    with web_server(handle) as address:
        problem = check_problem(post_url(api, f"{address}/start"), 424, "image-unreachable")
        assert problem["detail"] == "The image's host responded with status 403."
        query = {"url": f"{address}/start"}
        response = requests.get(f"{api}/predict", params=query, timeout=TIMEOUT_S)
        check_problem(response, 424, "image-unreachable")
        urls = {"urls": [f"{address}/start"] * 3}
        batch = requests.post(f"{api}/predict/batch", json=urls, timeout=TIMEOUT_S).json()
        assert [result["status"] for result in batch["results"]] == [424] * 3
    assert paths == ["/start"] * 5


def test_403_requests_of_the_image_fetcher(api: str, red: str) -> None:
    own = {"User-Agent": USER_AGENT}
    for method, path, document in (
        ("GET", f"predict?url={red}", None),
        ("POST", "predict", {"url": red}),
        ("POST", "predict/batch", {"urls": [red]}),
    ):
        response = requests.request(
            method, f"{api}/{path}", json=document, headers=own, timeout=TIMEOUT_S
        )
        check_problem(response, 403, "url-not-allowed")


def test_405_method_not_allowed(api: str) -> None:
    response = requests.delete(f"{api}/predict", timeout=TIMEOUT_S)
    check_problem(response, 405, "method-not-allowed")


def test_413_image_too_large(api: str, encode: Encode) -> None:
    with web_server(answer(200, bytes(2_000_001))) as address:
        check_problem(post_url(api, address), 413, "image-too-large")
    check_problem(post(api, bytes(2_000_001), "image/jpeg"), 413, "image-too-large")
    from PIL import Image

    many_pixels = encode(Image.new("1", (7000, 7000)))
    assert len(many_pixels) < 2_000_000
    check_problem(post(api, many_pixels, "image/png"), 413, "image-too-large")


def test_413_names_the_containers_limit(api: str) -> None:
    body = hostile_images.scans(100, 100, 101, [0x11], arithmetic=False)
    problem = check_problem(post(api, body, "image/jpeg"), 413, "image-too-large")
    assert problem["detail"] == "The JPEG has more than 100 scans."


def test_413_request_too_large(api: str) -> None:
    body = b'{"url": "' + b"x" * 600_000 + b'"}'
    check_problem(post(api, body, "application/json"), 413, "request-too-large")
    response = requests.post(
        f"{api}/predict/batch", json={"urls": ["x" * 600_000]}, timeout=TIMEOUT_S
    )
    check_problem(response, 413, "request-too-large")


@pytest.mark.parametrize("body", [b"[" * 400_000, b'{"url":' * 50_000, b"9" * 400_000])
def test_400_json_that_is_costly_to_parse(api: str, body: bytes) -> None:
    check_problem(post(api, body, "application/json"), 400, "invalid-request")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_415_unsupported_media_type(api: str, content_type: str) -> None:
    problem = check_problem(post(api, "x", content_type), 415, "unsupported-media-type")
    assert "application/json" in problem["detail"]


def test_422_not_an_image(api: str, encode: Encode) -> None:
    with web_server(answer(200, b"<html>")) as address:
        check_problem(post_url(api, address), 422, "not-an-image")
    check_problem(post(api, b"not an image", "image/jpeg"), 422, "not-an-image")
    damaged = encode("red", "JPEG")[:100]
    check_problem(post(api, damaged, "image/jpeg"), 422, "not-an-image")


def test_424_image_unreachable(api: str) -> None:
    for url in ("https://no-such-host.invalid/x.jpg", f"http://{HOST}:{free_port()}/x.jpg"):
        check_problem(post_url(api, url), 424, "image-unreachable")
    with web_server(answer(404)) as address:
        check_problem(post_url(api, address), 424, "image-unreachable")
    with web_server(lambda request: time.sleep(1.5)) as address:
        check_problem(post_url(api, address), 424, "image-unreachable")


def test_cors(api: str) -> None:
    preflight = requests.options(f"{api}/predict", timeout=TIMEOUT_S)
    responses = [
        preflight,
        requests.get(f"{api}/health", timeout=TIMEOUT_S),
        requests.get(f"{api}/predict", timeout=TIMEOUT_S),
        requests.delete(f"{api}/predict", timeout=TIMEOUT_S),
    ]
    assert [response.status_code for response in responses] == [200, 200, 400, 405]
    for response in responses:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        exposed = response.headers["Access-Control-Expose-Headers"]
        assert exposed == "Retry-After,X-Request-Id"
    methods = preflight.headers["Access-Control-Allow-Methods"].split(",")
    assert set(methods) == {"GET", "HEAD", "OPTIONS", "POST"}
    headers = preflight.headers["Access-Control-Allow-Headers"].lower().split(",")
    assert {"content-type", "x-api-key"} <= set(headers)
    assert preflight.headers["Access-Control-Max-Age"] == "7200"


def test_head(api: str, red: str) -> None:
    with requests.Session() as session:
        for path in ("breeds", "health", "", "docs", "openapi.json", f"predict?url={red}"):
            head = session.head(f"{api}/{path}", timeout=TIMEOUT_S)
            get = session.get(f"{api}/{path}", timeout=TIMEOUT_S)  # on the same connection
            assert (head.status_code, head.content) == (200, b"")
            assert get.status_code == 200
            assert head.headers["Content-Type"] == get.headers["Content-Type"]
        assert session.head(f"{api}/predict", timeout=TIMEOUT_S).status_code == 400


def test_requests_for_the_description_share_one_invocation() -> None:
    requests_seen: list[str] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        requests_seen.append(request.path)
        time.sleep(0.2)
        model = {"name": "m", "version": "1", "temperature": 1, "dog_threshold": 0.5}
        answer(200, json.dumps({"labels": ["Akita"], "model": model}).encode())(request)

    with (
        web_server(handle) as runtime,
        api_server(runtime) as api,
        ThreadPoolExecutor(16) as threads,
    ):
        urls = [f"{api}/breeds", f"{api}/health?deep=true"] * 8
        responses = threads.map(lambda url: requests.get(url, timeout=TIMEOUT_S), urls)
        assert [response.status_code for response in responses] == [200] * 16
    assert len(requests_seen) == 1


SECRET = "Traceback of the container at 127.0.0.1"


def aws_error(status: int, code: str, original_status: int = 0) -> Callable[..., None]:
    body = {"Message": SECRET, "OriginalStatusCode": original_status, "OriginalMessage": SECRET}
    return answer(status, json.dumps(body).encode(), {"x-amzn-ErrorType": code})


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("handle", "status", "kind"),
    [
        (aws_error(400, "ThrottlingException"), 429, "endpoint-busy"),
        (aws_error(424, "ModelError", 503), 429, "endpoint-busy"),
        (aws_error(424, "ModelError", 500), 502, "endpoint-failed"),
        (aws_error(500, "InternalFailure"), 502, "endpoint-failed"),
        (answer(200, b"<html>"), 502, "endpoint-failed"),
        (hang_up, 503, "endpoint-unavailable"),
        (aws_error(400, "ValidationError"), 503, "endpoint-unavailable"),
        (aws_error(403, "AccessDeniedException"), 503, "endpoint-unavailable"),
        (lambda request: time.sleep(1), 504, "endpoint-timeout"),
    ],
)
def test_failures_of_the_endpoint(
    failing_api: str,
    runtime_handler: SwitchableHandler,
    encode: Encode,
    handle: Callable[..., None],
    status: int,
    kind: str,
) -> None:
    runtime_handler.handle = handle
    response = post(failing_api, encode("red"), "image/png")
    check_problem(response, status, kind)
    assert ("Retry-After" in response.headers) == (status in (429, 503))
    deep = requests.get(f"{failing_api}/health?deep=true", timeout=TIMEOUT_S)
    check_problem(deep, status, kind)
    assert requests.get(f"{failing_api}/health", timeout=TIMEOUT_S).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "kind", "retry_after"),
    [
        ("worker-died", 503, "endpoint-unavailable", "10"),
        ("model-failed", 502, "endpoint-failed", None),
        ("overloaded", 429, "endpoint-busy", "1"),
        ("not-ready", 503, "endpoint-unavailable", "10"),
        ("throttled", 429, "endpoint-busy", "1"),
        ("no-endpoint", 503, "endpoint-unavailable", "10"),
        ("denied", 503, "endpoint-unavailable", "10"),
        ("internal", 502, "endpoint-failed", None),
        ("unavailable", 503, "endpoint-unavailable", "10"),
        ("dependency", 502, "endpoint-failed", None),
        ("too-large", 413, "image-too-large", None),
    ],
)
def test_faults_of_sagemaker(
    failing_api: str,
    runtime_handler: SwitchableHandler,
    tiny_runtime: str,
    encode: Encode,
    fault: str,
    status: int,
    kind: str,
    retry_after: str | None,
) -> None:
    """Each fault of `model_code.local` becomes its problem."""

    def forward(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        attributes = {"X-Amzn-SageMaker-Custom-Attributes": f"fault={fault}"}
        response = requests.post(tiny_runtime + request.path, body, headers=attributes, timeout=30)
        request.headers.replace_header("Content-Length", "0")
        answer(response.status_code, response.content, dict(response.headers))(request)

    runtime_handler.handle = forward
    response = post(failing_api, encode("red"), "image/png")
    check_problem(response, status, kind)
    assert response.headers.get("Retry-After") == retry_after
