"""Tests of `loadtest --api` against real servers on loopback."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from cli.errors import SettingsError
from ops.loadtest import api as whole_api
from ops.loadtest import images
from ops.loadtest.api import Api
from ops.loadtest.photo_server import photo_server
from ops.loadtest.settings import LoadTestSettings
from ops.loadtest.target import RequestFailed
from tests import servers
from tests.emulator.fixtures import Command
from tests.ops.loadtest.test_command import SHORT
from tests.servers import answer, web_server

BUSY = b'{"type": "endpoint-busy", "title": "Busy", "status": 429, "detail": "."}'
ANSWER = b'{"predictions": [], "timing_ms": {"fetch": 1.0, "inference": 2.0, "total": 4.0}}'
DEPLOYED = "https://api.example.com/prod"


@pytest.fixture(scope="module")
def product(tiny_model_dir: Path) -> Iterator[str]:
    """The address of `chalice local` in front of the tiny model."""
    with (
        servers.model_server(tiny_model_dir) as runtime,
        servers.api_server(runtime, ENDPOINT_NAME="whatbreed-local") as address,
    ):
        yield address


@pytest.mark.server
@pytest.mark.parametrize("options", [(), ("--upload",)], ids=["by URL", "by upload"])
def test_chalice_local(options: tuple[str, ...], product: str, command: Command) -> None:
    outcome = command("ops", "loadtest", "--api", product, *SHORT, "--json", *options)
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert report["rate"] >= 5
    assert report["refusals"] == [] or report["bottleneck"]["part"]
    medians = report["steps"][0]["median_ms"]
    assert medians["endpoint"] > 0
    assert (medians["photos"] > 1) == (not options)  # fetching takes more than reading a body
    assert "chalice local is one Python process" in outcome.err


def test_an_api_whose_endpoint_is_busy(command: Command) -> None:
    free = threading.Semaphore(1)

    def predict(request: BaseHTTPRequestHandler) -> None:
        assert request.path == "/prod/predict?top_k=1"
        assert request.headers["x-api-key"] == "secret"
        if not free.acquire(blocking=False):
            answer(429, BUSY)(request)
            return
        try:
            threading.Event().wait(0.06)
            answer(200, ANSWER)(request)
        finally:
            free.release()

    with web_server(predict) as address:
        rates = ("--start-rate", "4", "--growth", "10", "--arrivals", "even")
        options = ("--api", f"{address}/prod/", "--api-key", "secret", *SHORT, *rates)
        outcome = command("ops", "loadtest", *options)
    assert outcome.code == 0
    assert "HTTP 429 endpoint-busy (endpoint)" in outcome.out
    assert "The bottleneck is the endpoint: at 22 requests per second it refused" in outcome.out


def test_a_rate_that_fails_at_once_still_names_the_bottleneck(command: Command) -> None:
    numbers = iter(range(1000))

    def predict(request: BaseHTTPRequestHandler) -> None:
        answer(*((200, ANSWER) if next(numbers) == 0 else (500, b'{"message": "x"}')))(request)

    with web_server(predict) as address:
        outcome = command("ops", "loadtest", "--api", address, *SHORT)
    assert outcome.code == 1
    assert "The bottleneck is the API's concurrency" in outcome.out
    assert "The first rate, 5 per second, failed" in outcome.err


def test_a_refused_key_ends_the_test_after_one_request(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "wrong")
    keys = list[str]()

    def predict(request: BaseHTTPRequestHandler) -> None:
        keys.append(request.headers["x-api-key"])
        answer(403, b'{"type": "api-key-required"}')(request)

    with web_server(predict) as address:
        outcome = command("ops", "loadtest", "--api", address, *SHORT)
    assert outcome.code == 1
    assert "does not classify an image: HTTP 403 api-key-required" in outcome.err
    assert keys == ["wrong"]


def test_a_deployed_api_needs_a_confirmation_that_names_the_cost(command: Command) -> None:
    outcome = command("ops", "loadtest", "--api", DEPLOYED, "--upload")
    assert outcome.code == 2
    assert "Not started: at most 100000 requests to https://api.example.com/prod" in outcome.err
    assert "for up to $0.8" in outcome.err
    assert "Pass --yes" in outcome.err


def test_a_deployed_api_cannot_reach_photos_on_this_machine(command: Command) -> None:
    outcome = command("ops", "loadtest", "--api", DEPLOYED, "--yes")
    assert outcome.code == 2
    assert "cannot reach photos on this machine. Pass --photo-url" in outcome.err


def test_dry_run_shows_the_cost_and_sends_nothing(command: Command) -> None:
    outcome = command("ops", "loadtest", "--api", DEPLOYED, "--upload", "--dry-run")
    assert outcome.code == 0
    assert "Would send at most 100000 requests to https://api.example.com/prod" in outcome.out
    assert "$0.8" in outcome.out
    with web_server(answer(500)) as address:
        outcome = command("ops", "loadtest", "--api", address, "--dry-run")
    assert outcome.code == 0
    assert "$" not in outcome.out


def test_a_local_api_needs_no_confirmation() -> None:
    whole_api.confirm(Api("http://localhost:8000", 1, ""), LoadTestSettings(), yes=False)
    whole_api.confirm(Api(DEPLOYED, 1, ""), LoadTestSettings(), yes=True)
    for url in ("http://127.0.0.1.example.com", "http://10.0.0.1:8000", "https://localhost.test"):
        with pytest.raises(SettingsError, match="Only test an API of your own"):
            whole_api.confirm(Api(url, 1, ""), LoadTestSettings(), yes=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--api", "127.0.0.1:8000"), '--api is "127.0.0.1:8000"'),
        (("--api", "ftp://127.0.0.1"), "--api is"),
        (("--api", "http://api.example.com", "--api-key", "k"), "only over https"),
        (("--api", DEPLOYED, "--photo-url", "photo.jpg"), 'The photo URL "photo.jpg" must begin'),
        (("--api", DEPLOYED, "--photo-url", "https://e.com/a", "--upload"), "--upload excludes"),
        (("--endpoint", "e", "--upload"), "require --api"),
        (("--api", DEPLOYED, "--url", "http://127.0.0.1:1"), "Give exactly one of"),
    ],
)
def test_errors_of_the_user_are_one_line(
    options: tuple[str, ...], message: str, command: Command
) -> None:
    outcome = command("ops", "loadtest", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_photo_urls_of_a_list(tmp_path: Path) -> None:
    file = tmp_path / "photos.txt"
    file.write_text("https://example.com/a.jpg\n\n  https://example.com/b.jpg  \n")
    urls = whole_api.read_photo_urls(["https://example.com/c.jpg"], file)
    assert urls == [f"https://example.com/{name}.jpg" for name in "cab"]
    with whole_api.requests(Api(DEPLOYED, 1, ""), [], upload=False, photo_urls=urls) as bodies:
        assert [json.loads(body.body)["url"] for body in bodies] == urls
        assert {body.media_type for body in bodies} == {"application/json"}
    file.write_text("\n")
    with pytest.raises(SettingsError, match="lists no URL"):
        whole_api.read_photo_urls([], file)


def test_photos_are_served_on_loopback_until_the_end() -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with photo_server(images.read([])) as urls:
        [url] = urls
        assert url.startswith("http://127.0.0.1:")
        with opener.open(url) as response:
            assert response.headers["Content-Type"] == "image/jpeg"
            assert response.read() == images.read([])[0].body
        with pytest.raises(OSError, match="404"):
            opener.open(f"{url}1")
    with pytest.raises(OSError, match="refused"):
        opener.open(url)


def test_failures_have_the_type_of_the_problem() -> None:
    with web_server(answer(429, BUSY)) as address:
        with Api(address, 5, "").connect() as send, pytest.raises(RequestFailed) as failure:
            send(images.read([])[0])
        assert str(failure.value) == "HTTP 429 endpoint-busy"
    for body in (b"", b"[]", b'{"type": 1}', b"<html>", b'{"message": "Forbidden"}'):
        assert whole_api.problem_type(body) == ""
