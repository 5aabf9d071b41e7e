"""`openapi.json` against the code, both ways, and against what the running API really answers."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from chalice.app import Chalice
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from chalicelib import service, urls
from chalicelib.inputs import IMAGE_MEDIA_TYPES, JSON
from chalicelib.problems import BatchTimeout, Problem
from chalicelib.settings import Settings
from tests.conftest import ROOT
from tests.servers import HOST, answer, api_server, free_port, model_server, web_server

Encode = Callable[..., bytes]
Document = dict[str, Any]
DESCRIPTION: Document = json.loads((ROOT / "chalicelib" / "openapi.json").read_text())
SCHEMAS: Document = DESCRIPTION["components"]["schemas"]
TIMEOUT_S = 20


def operations() -> Iterator[tuple[str, str, Document]]:
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def follow(member: Document) -> Document:
    """What a `$ref` stands for."""
    reference = member.get("$ref")
    if reference is None:
        return member
    found: Any = DESCRIPTION
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return follow(found)


def strict(schema: Any) -> Any:
    """`schema`, refusing members that it does not describe."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    copied = {name: strict(part) for name, part in schema.items()}
    if "properties" in copied and isinstance(copied["properties"], dict):
        copied["additionalProperties"] = False
    return copied


def check(document: Any, schema: Document) -> None:
    """Fail where `document` is not what `schema` says, or holds more than it says."""
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


def test_it_has_the_routes_of_the_api_and_no_other(app: Chalice) -> None:
    described = {(path, method) for path, method, _ in operations()}
    served = {(path, method) for path, methods in app.routes.items() for method in methods}
    assert described == served


def test_bodies_have_the_content_types_of_the_routes(app: Chalice) -> None:
    for path, method, operation in operations():
        served = app.routes[path][method].content_types
        described = list(operation.get("requestBody", {}).get("content", {}))
        if (path, method) == ("/predict", "POST"):  # where `inputs` refuses the other types
            assert (sorted(described), served) == (sorted([JSON, *IMAGE_MEDIA_TYPES]), ["*/*"])
        else:
            assert sorted(described or ["*/*"]) == sorted(served), path


def test_it_has_the_problems_of_the_api_and_no_other() -> None:
    described = {}
    for response in DESCRIPTION["components"]["responses"].values():
        example = response["content"]["application/problem+json"]["example"]
        described[example["type"]] = (example["title"], example["status"])
    raised = {kind.type: (kind.title, kind.status) for kind in Problem.__subclasses__()}
    batch_only = BatchTimeout.type
    assert described == {name: kind for name, kind in raised.items() if name != batch_only}
    assert set(SCHEMAS["Problem"]["properties"]["type"]["enum"]) == set(raised)
    for kind in Problem.__subclasses__():
        if "Retry-After" in kind.headers:
            response = DESCRIPTION["components"]["responses"][kind.__name__]
            assert "Retry-After" in response["headers"]


def test_responses_stand_under_their_own_status() -> None:
    for path, _, operation in operations():
        for status, response in operation["responses"].items():
            content = follow(response)["content"]
            if "application/problem+json" in content:
                example = content["application/problem+json"]["example"]
                assert str(example["status"]) == status, path


def test_its_limits_are_those_of_the_code() -> None:
    settings = Settings("any")
    request, batch = SCHEMAS["PredictRequest"]["properties"], SCHEMAS["BatchRequest"]["properties"]
    shipped = json.loads((ROOT / "model_code" / "default" / "model.json").read_text())
    assert request["top_k"]["maximum"] == len(shipped["labels"])
    assert f"with null, {service.DEFAULT_TOP_K}." in request["top_k"]["description"]
    assert request["url"]["maxLength"] == urls.MAX_CHARACTERS
    assert f"{settings.fetch_max_redirects} redirects" in request["url"]["description"]
    assert f"{settings.fetch_timeout_s:g} seconds" in request["url"]["description"]
    assert batch["urls"]["maxItems"] == settings.batch_max_urls
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


def test_everything_is_described_and_has_an_example() -> None:
    for path, method, operation in operations():
        assert operation["summary"], (path, method)
        for parameter in operation.get("parameters", []):
            assert parameter["description"]
            assert "example" in parameter
        for response in operation["responses"].values():
            assert follow(response)["description"]
            assert "X-Request-Id" in follow(response)["headers"]
            for media_type, media in follow(response)["content"].items():
                if media_type != "text/html" and path != "/openapi.json":
                    check(media["example"], media["schema"])
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body:
            check(body["example"], body["schema"])
    for name, schema in SCHEMAS.items():
        for member, described in schema.get("properties", {}).items():
            whole = follow(described)
            said = whole.get("description") or whole.get("const") or whole.get("enum")
            assert said or member == "name", (name, member)


# What the running API answers.


@pytest.fixture(scope="module")
def runtime(tiny_model_dir: Path) -> Iterator[str]:
    with model_server(tiny_model_dir) as address:
        yield address


@pytest.fixture(scope="module")
def api(runtime: str) -> Iterator[str]:
    with api_server(runtime, FETCH_TIMEOUT_S="1", MAX_IMAGE_BYTES="20000") as address:
        yield address


@pytest.fixture
def red(encode: Encode) -> Iterator[str]:
    with web_server(answer(200, encode("red"))) as address:
        yield f"{address}/red.png"


def check_response(response: requests.Response, status: int, kind: str = "") -> None:
    """The response is what the description says for its route, method and status."""
    assert response.status_code == status, response.text
    path = "/" + response.url.partition("?")[0].split("/", 3)[3]
    method = str(response.request.method).lower()
    operation = DESCRIPTION["paths"][path].get(method, {})
    described = operation.get("responses", {}).get(str(status))
    if status == 405:
        described = DESCRIPTION["components"]["responses"]["MethodNotAllowed"]
    assert described is not None, f"{method} {path} says nothing of {status}"
    described = follow(described)
    media_type = response.headers["Content-Type"].partition(";")[0]
    assert list(described["content"]) == [media_type]
    for name, header in described["headers"].items():
        value: Any = response.headers[name]
        if follow(header)["schema"]["type"] == "integer":
            value = int(value)
        check(value, follow(header)["schema"])
    if media_type != "text/html":
        check(response.json(), described["content"][media_type]["schema"])
    if kind:
        assert response.json()["type"] == kind


@pytest.mark.server
def test_answers(api: str, red: str, encode: Encode) -> None:
    ask = requests.Session()
    check_response(
        ask.post(f"{api}/predict", json={"url": red, "top_k": 2}, timeout=TIMEOUT_S), 200
    )
    check_response(ask.get(f"{api}/predict", params={"url": red}, timeout=TIMEOUT_S), 200)
    for media_type, format in (("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")):
        headers = {"Content-Type": f"image/{media_type}"}
        body = encode("red", format)
        url = f"{api}/predict?top_k=1"
        check_response(ask.post(url, body, headers=headers, timeout=TIMEOUT_S), 200)
    for path in ("/breeds", "/health", "/health?deep=true", "/", "/docs", "/openapi.json"):
        check_response(ask.get(f"{api}{path}", timeout=TIMEOUT_S), 200)
    assert ask.get(f"{api}/openapi.json", timeout=TIMEOUT_S).json() == DESCRIPTION


@pytest.mark.server
def test_a_batch(api: str, red: str) -> None:
    document = {"urls": [red, "dog.jpg", f"http://{HOST}:{free_port()}/"], "top_k": 2}
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
    check_response(post(data=bytes(20_001), headers=png), 413, "image-too-large")
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
    encode: Encode, handle: Callable[..., None], status: int, kind: str
) -> None:
    with web_server(handle) as broken, api_server(broken, ENDPOINT_ATTEMPTS="1") as api:
        headers = {"Content-Type": "image/png"}
        url = f"{api}/predict"
        response = requests.post(url, encode("red"), headers=headers, timeout=TIMEOUT_S)
        check_response(response, status, kind)
        for path in ("/breeds", "/health?deep=true"):
            check_response(requests.get(f"{api}{path}", timeout=TIMEOUT_S), status, kind)
