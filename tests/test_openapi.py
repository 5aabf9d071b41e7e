"""`openapi.json` against the code and against the responses of the running API."""

import base64
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from chalice.app import Chalice
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from chalicelib import image_fetcher, inputs, service, urls
from chalicelib.image_formats import FORMATS, MEDIA_TYPES
from chalicelib.inputs import JSON, UPLOAD_TYPES
from chalicelib.problems import BatchTimeout, Problem
from chalicelib.settings import Settings
from tests.conftest import ROOT
from tests.servers import HOST, SwitchableHandler, answer, free_port, web_server

Encode = Callable[..., bytes]
Document = dict[str, Any]
DESCRIPTION: Document = json.loads((ROOT / "chalicelib" / "openapi.json").read_text())
SCHEMAS: Document = DESCRIPTION["components"]["schemas"]
TIMEOUT_S = 60


def operations() -> Iterator[tuple[str, str, Document]]:
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def follow(member: Document) -> Document:
    """Resolve a `$ref`."""
    reference = member.get("$ref")
    if reference is None:
        return member
    target: Any = DESCRIPTION
    for part in reference.removeprefix("#/").split("/"):
        target = target[part]
    return follow(target)


def strict(schema: Any) -> Any:
    """Return `schema` with undescribed members forbidden."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    copied = {name: strict(part) for name, part in schema.items()}
    if "properties" in copied and isinstance(copied["properties"], dict):
        copied["additionalProperties"] = False
    return copied


def check(document: Any, schema: Document) -> None:
    """Fail if `document` does not match `schema`, or has undescribed members."""
    whole = {**strict(schema), "components": {"schemas": strict(copy.deepcopy(SCHEMAS))}}
    errors = [error.message for error in Draft202012Validator(whole).iter_errors(document)]
    assert errors == []


def test_it_is_valid_openapi() -> None:
    assert DESCRIPTION["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(DESCRIPTION).validate()


@pytest.fixture(scope="module")
def app() -> Chalice:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDPOINT_NAME", "any")
        import app

    return app.app


def test_routes(app: Chalice) -> None:
    described = {(path, method) for path, method, _ in operations()}
    served = {(path, method) for path, methods in app.routes.items() for method in methods}
    heads = {(path, "HEAD") for path, method in served if method == "GET"}
    assert described == served - heads  # the description says that GET routes support HEAD
    assert heads <= served
    assert "HEAD" in DESCRIPTION["info"]["description"]


def test_content_types_of_bodies(app: Chalice) -> None:
    for path, method, operation in operations():
        served = app.routes[path][method].content_types
        described = list(operation.get("requestBody", {}).get("content", {}))
        if (path, method) == ("/predict", "POST"):  # `inputs` refuses other types
            assert (sorted(described), served) == (
                sorted([JSON, *MEDIA_TYPES, *UPLOAD_TYPES]),
                ["*/*"],
            )
        else:
            assert sorted(described or ["*/*"]) == sorted(served), path


def test_problems() -> None:
    described = {}
    for response in DESCRIPTION["components"]["responses"].values():
        if problem := response["content"].get("application/problem+json"):
            example = problem["example"]
            described[example["type"]] = (example["title"], example["status"])
    raised = {kind.type: (kind.title, kind.status) for kind in Problem.__subclasses__()}
    batch_only = BatchTimeout.type
    assert described == {name: kind for name, kind in raised.items() if name != batch_only}
    assert set(SCHEMAS["Problem"]["properties"]["type"]["enum"]) == set(raised)
    for kind in Problem.__subclasses__():
        if "Retry-After" in kind.headers:
            response = DESCRIPTION["components"]["responses"][kind.__name__]
            assert "Retry-After" in response["headers"]


def test_statuses_of_problems() -> None:
    for path, _, operation in operations():
        for status, response in operation["responses"].items():
            content = follow(response)["content"]
            if "application/problem+json" in content:
                example = content["application/problem+json"]["example"]
                assert str(example["status"]) == status, path


def test_limits() -> None:
    settings = Settings("any")
    request, batch = SCHEMAS["PredictRequest"]["properties"], SCHEMAS["BatchRequest"]["properties"]
    shipped = json.loads((ROOT / "model_code" / "default" / "model.json").read_text())
    assert request["top_k"]["maximum"] == len(shipped["labels"])
    assert f"also if null, is {service.DEFAULT_TOP_K}." in request["top_k"]["description"]
    assert request["url"]["maxLength"] == urls.MAX_CHARACTERS
    assert f"{settings.fetch_max_redirects} redirects" in request["url"]["description"]
    assert f"{settings.fetch_timeout_s:g} seconds" in request["url"]["description"]
    assert batch["urls"]["maxItems"] == settings.batch_max_urls
    assert (
        f"JSON body up to {inputs.MAX_JSON_BYTES // 1000} KB" in DESCRIPTION["info"]["description"]
    )
    too_large = DESCRIPTION["components"]["responses"]["RequestTooLarge"]["description"]
    assert f"larger than {inputs.MAX_JSON_BYTES:,} bytes" in too_large
    assert image_fetcher.USER_AGENT in DESCRIPTION["info"]["description"]
    health = DESCRIPTION["paths"]["/health"]["get"]["description"]
    assert f"at most every {service.DESCRIPTION_TTL_S:g} seconds" in health
    batch_text = DESCRIPTION["paths"]["/predict/batch"]["post"]["description"]
    assert f"{settings.batch_timeout_s:g} seconds" in batch_text
    assert SCHEMAS["Image"]["properties"]["bytes"]["maximum"] == settings.max_image_bytes
    for name in ("url", "top_k"):
        [parameter] = [
            parameter
            for parameter in DESCRIPTION["paths"]["/predict"]["get"]["parameters"]
            if parameter["name"] == name
        ]
        limits = {"format", "minLength", "maxLength", "minimum", "maximum"}
        for limit in limits & set(request[name]):
            assert parameter["schema"][limit] == request[name][limit], (name, limit)


def test_descriptions_and_examples() -> None:
    for path, method, operation in operations():
        assert operation["summary"], (path, method)
        for parameter in operation.get("parameters", []):
            assert parameter["description"]
            assert "example" in parameter
        for response in operation["responses"].values():
            assert follow(response)["description"]
            assert "X-Request-Id" in follow(response)["headers"]
            for media_type, media in follow(response)["content"].items():
                if path != "/openapi.json" and media_type not in ("text/html", "image/jpeg"):
                    check(media["example"], media["schema"])
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body:
            check(body["example"], body["schema"])
    for name, schema in SCHEMAS.items():
        for member, described in schema.get("properties", {}).items():
            schema_text = follow(described)
            explained = {"description", "const", "enum"} & set(schema_text)
            assert explained or member == "name", (name, member)


# Responses of the running API.


@pytest.fixture
def red(encode: Encode) -> Iterator[str]:
    with web_server(answer(200, encode("red"))) as address:
        yield f"{address}/red.png"


def check_response(response: requests.Response, status: int, kind: str = "") -> None:
    """Check a response against the description of its route, method and status."""
    assert response.status_code == status, response.text
    path = "/" + response.url.partition("?")[0].split("/", 3)[3]
    method = str(response.request.method).lower()
    operation = DESCRIPTION["paths"][path].get(method, {})
    described = operation.get("responses", {}).get(str(status))
    if status == 405:
        described = DESCRIPTION["components"]["responses"]["MethodNotAllowed"]
    assert described is not None, f"{method} {path} does not describe {status}"
    described = follow(described)
    media_type = response.headers["Content-Type"].partition(";")[0]
    assert list(described["content"]) == [media_type]
    for name, header in described["headers"].items():
        value: Any = response.headers[name]
        if follow(header)["schema"]["type"] == "integer":
            value = int(value)
        check(value, follow(header)["schema"])
    if media_type not in ("text/html", "image/jpeg"):
        check(response.json(), described["content"][media_type]["schema"])
    if kind:
        assert response.json()["type"] == kind


@pytest.mark.server
def test_successful_responses(api: str, red: str, encode: Encode) -> None:
    session = requests.Session()
    check_response(
        session.post(f"{api}/predict", json={"url": red, "top_k": 2}, timeout=TIMEOUT_S), 200
    )
    check_response(session.get(f"{api}/predict", params={"url": red}, timeout=TIMEOUT_S), 200)
    for media_type, format in (
        (type_[6:], name) for name, type_ in FORMATS.items() if name != "HEIC"
    ):
        headers = {"Content-Type": f"image/{media_type}"}
        body = encode("red", format)
        url = f"{api}/predict?top_k=1"
        check_response(session.post(url, body, headers=headers, timeout=TIMEOUT_S), 200)
    as_bytes = {"Content-Type": "application/octet-stream"}
    check_response(session.post(url, encode("red"), headers=as_bytes, timeout=TIMEOUT_S), 200)
    check_response(session.post(url, files={"image": encode("red")}, timeout=TIMEOUT_S), 200)
    in_json = {"image": base64.b64encode(encode("red")).decode()}
    check(in_json, SCHEMAS["PredictRequest"])
    check_response(session.post(url, json=in_json, timeout=TIMEOUT_S), 200)
    pages = ("/", "/docs", "/openapi.json", "/page.json", "/preview.jpg")
    for path in ("/breeds", "/health", "/health?deep=true", *pages):
        check_response(session.get(f"{api}{path}", timeout=TIMEOUT_S), 200)
    assert session.get(f"{api}/openapi.json", timeout=TIMEOUT_S).json() == DESCRIPTION


@pytest.mark.server
def test_a_batch(api: str, red: str) -> None:
    document: Any = {"urls": [red, "dog.jpg", f"http://{HOST}:{free_port()}/"], "top_k": 2}
    response = requests.post(f"{api}/predict/batch", json=document, timeout=TIMEOUT_S)
    check_response(response, 200)
    assert [result.get("status") for result in response.json()["results"]] == [None, 400, 424]
    check_response(requests.post(f"{api}/predict/batch", json={}, timeout=TIMEOUT_S), 400)


@pytest.mark.server
def test_problems_of_the_request(api: str) -> None:
    def post(**options: Any) -> requests.Response:
        return requests.post(f"{api}/predict", timeout=TIMEOUT_S, **options)

    png, text = {"Content-Type": "image/png"}, {"Content-Type": "text/plain"}
    check_response(post(json={}), 400, "invalid-request")
    check_response(post(json={"url": "ftp://example.com/"}), 403, "url-not-allowed")
    check_response(requests.put(f"{api}/predict", timeout=TIMEOUT_S), 405, "method-not-allowed")
    check_response(post(data=bytes(2_000_001), headers=png), 413, "image-too-large")
    long = "x" * inputs.MAX_JSON_BYTES
    check_response(post(json={"url": long}), 413, "request-too-large")
    batch = requests.post(f"{api}/predict/batch", json={"urls": [long]}, timeout=TIMEOUT_S)
    check_response(batch, 413, "request-too-large")
    check_response(post(data=b"x", headers=text), 415, "unsupported-media-type")
    check_response(post(data=b"x", headers=png), 422, "not-an-image")
    check_response(post(json={"url": f"http://{HOST}:{free_port()}/"}), 424, "image-unreachable")


def failing(status: int, code: str) -> Callable[..., None]:
    return answer(status, b"{}", {"x-amzn-ErrorType": code})


@pytest.mark.server
@pytest.mark.parametrize(
    ("handle", "status", "kind"),
    [
        (failing(400, "ThrottlingException"), 429, "endpoint-busy"),
        (failing(500, "InternalFailure"), 502, "endpoint-failed"),
        (failing(400, "ValidationError"), 503, "endpoint-unavailable"),
    ],
)
def test_problems_of_the_endpoint(
    failing_api: str,
    runtime_handler: SwitchableHandler,
    encode: Encode,
    handle: Callable[..., None],
    status: int,
    kind: str,
) -> None:
    runtime_handler.handle = handle
    headers = {"Content-Type": "image/png"}
    url = f"{failing_api}/predict"
    response = requests.post(url, encode("red"), headers=headers, timeout=TIMEOUT_S)
    check_response(response, status, kind)
    for path in ("/breeds", "/health?deep=true"):
        check_response(requests.get(f"{failing_api}{path}", timeout=TIMEOUT_S), status, kind)
