"""The API called by scripts of web pages from other origins, through CORS."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.ops.api import project as projects
from tests.servers import answer, api_server, web_server

pytestmark = [pytest.mark.server, pytest.mark.browser]

Visit = Callable[..., Page]
CALL = """async ([url, options]) => {
    try {
        const response = await fetch(url, options);
        const { type, predictions } = await response.json();
        const id = response.headers.get("X-Request-Id");
        const wait = response.headers.get("Retry-After");
        return { status: response.status, type, breed: predictions?.[0].breed, id, wait };
    } catch (error) {
        return { error: String(error) };
    }
}"""


@pytest.fixture(scope="module")
def page_of_another_origin() -> Iterator[str]:
    with web_server(answer(200, b"<!doctype html>", {"Content-Type": "text/html"})) as address:
        yield address


def json_post(url: str) -> dict[str, object]:
    headers = {"Content-Type": "application/json", "x-api-key": "k"}
    return {"method": "POST", "headers": headers, "body": f'{{"url": "{url}"}}'}


def test_any_origin(visit: Visit, page_of_another_origin: str, api: str, images: str) -> None:
    page = visit(page_of_another_origin)
    for url, options in (
        (f"{api}predict?url={images}red", {}),
        (f"{api}predict", json_post(f"{images}red")),  # with a preflight request
    ):
        result = page.evaluate(CALL, [url, options])
        assert (result["status"], result["breed"]) == (200, "Red setter")
        assert result["id"]


def test_an_upload(visit: Visit, page_of_another_origin: str, api: str, images: str) -> None:
    page = visit(page_of_another_origin)
    script = """async ([api]) => {
        const canvas = document.createElement("canvas");
        const context = canvas.getContext("2d");
        context.fillStyle = "blue";
        context.fillRect(0, 0, canvas.width, canvas.height);
        const body = await new Promise((resolve) => canvas.toBlob(resolve));
        const headers = { "Content-Type": "image/png", "x-api-key": "k" };
        const response = await fetch(api + "predict", { method: "POST", headers, body });
        return (await response.json()).predictions[0].breed;
    }"""
    assert page.evaluate(script, [api]) == "Blue terrier"


def test_errors_are_readable(
    visit: Visit, page_of_another_origin: str, api: str, failing_api: str, images: str
) -> None:
    page = visit(page_of_another_origin)
    result = page.evaluate(CALL, [f"{api}predict", json_post("ftp://example.com/dog.jpg")])
    assert (result["status"], result["type"]) == (403, "url-not-allowed")
    result = page.evaluate(CALL, [f"{failing_api}/predict", json_post(f"{images}red")])
    assert result["type"].startswith("endpoint-")
    assert result["id"]


@pytest.mark.parametrize("allowed", [True, False])
def test_one_origin_or_none(
    visit: Visit, page_of_another_origin: str, tiny_runtime: str, tmp_path: Path, allowed: bool
) -> None:
    project = projects.copy(tmp_path / "project")
    origin = page_of_another_origin if allowed else ""
    variables = {"ENDPOINT_NAME": "whatbreed-local", "CORS_ALLOW_ORIGIN": origin}
    projects.change_config(project, "local", environment_variables=variables)
    with (
        api_server(tiny_runtime, project=project) as address,
        web_server(answer(200, b"<!doctype html>", {"Content-Type": "text/html"})) as third,
    ):
        result = visit(page_of_another_origin).evaluate(CALL, [f"{address}/health", {}])
        assert (result.get("status") == 200) == allowed, result
        refused = visit(third).evaluate(CALL, [f"{address}/health", {}])
        assert "Failed to fetch" in refused["error"]
