"""Tests of `python -m ops loadtest` against real model servers on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ops.errors import LoadTestFailed
from ops.loadtest.command import conclusion
from ops.loadtest.generator import Call, Recording
from ops.loadtest.search import Search
from ops.loadtest.settings import LoadTestSettings
from ops.loadtest.step import summarize
from tests import servers
from tests.emulator.fixtures import Command

SHORT = (
    *("--step-s", "0.8", "--settle-s", "0.2", "--warm-up-s", "0.3", "--start-rate", "5"),
    *("--growth", "3", "--refinements", "1", "--p99-ms", "2000", "--max-rate", "40"),
    *("--connections", "16", "--max-seconds", "20"),
)


@pytest.fixture(scope="module")
def runtime(tiny_model_dir: Path) -> Iterator[str]:
    """The address of the tiny model behind SageMaker's Runtime API."""
    with servers.model_server(tiny_model_dir) as address:
        yield address


@pytest.fixture
def endpoint(runtime: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the endpoint that boto3 reaches."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", runtime)
    return "whatbreed-local"


@pytest.mark.server
def test_a_server_on_this_machine(runtime: str, tmp_path: Path, command: Command) -> None:
    chart = tmp_path / "charts" / "loadtest.png"
    outcome = command("ops", "loadtest", "--url", runtime, *SHORT, "--chart", chart)
    assert outcome.code == 0, outcome.err
    assert "passed" in outcome.out
    assert "Scaling target: " in outcome.out
    [costs] = [line.split() for line in outcome.out.splitlines() if "ops costs " in line]
    assert command("ops", *costs[3:]).code == 0  # the printed command works
    with Image.open(chart) as image:
        assert image.format == "PNG"
        assert image.width > 500


@pytest.mark.server
def test_an_endpoint_through_invoke_endpoint(endpoint: str, command: Command) -> None:
    options = ("--endpoint", endpoint, *SHORT, "--instances", "2", "--json")
    outcome = command("ops", "loadtest", *options)
    document = outcome.json
    assert document["rate_per_instance"] == document["rate"] / 2
    assert document["target_per_minute"] == document["rate_per_instance"] * 0.5 * 60
    assert document["steps"][0]["rate"] == 5
    assert document["steps"][0]["errors"] == {}
    assert "verdict" in outcome.err


@pytest.mark.server
def test_a_missing_endpoint(endpoint: str, command: Command) -> None:
    outcome = command("ops", "loadtest", "--endpoint", "missing", *SHORT)
    assert outcome.code == 1
    assert outcome.err.startswith("ops loadtest: missing does not classify an image: ")
    assert "not found" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.server
def test_a_limit_that_no_rate_keeps(runtime: str, command: Command) -> None:
    outcome = command("ops", "loadtest", "--url", runtime, *SHORT, "--p99-ms", "0.01")
    assert outcome.code == 1
    assert "The first rate, 5 per second, failed: p99 was" in outcome.err


def test_a_closed_port(command: Command) -> None:
    url = f"http://127.0.0.1:{servers.free_port()}"
    outcome = command("ops", "loadtest", "--url", url, *SHORT)
    assert outcome.code == 1
    assert "does not classify an image: nothing listens there. `make run` starts" in outcome.err


@pytest.mark.parametrize(
    "url",
    ["http://198.51.100.7", "https://127.0.0.1", "http://10.0.0.1", "http://localhost.test", "x"],
)
def test_a_url_must_be_of_this_machine(url: str, command: Command) -> None:
    outcome = command("ops", "loadtest", "--url", url)
    assert outcome.code == 2
    assert "--url is" in outcome.err


@pytest.mark.parametrize("targets", [(), ("--url", "http://127.0.0.1:1", "--endpoint", "e")])
def test_exactly_one_target_is_required(targets: tuple[str, ...], command: Command) -> None:
    outcome = command("ops", "loadtest", *targets)
    assert outcome.code == 2
    assert "Give exactly one of --url, --stage, --endpoint and --api." in outcome.err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--arrivals", "bursts"), ("--growth", "1"), ("--start-rate", "0"), ("--step-s", "-1")],
)
def test_settings_out_of_range(option: str, value: str, command: Command) -> None:
    outcome = command("ops", "loadtest", "--url", "http://127.0.0.1:1", option, value)
    assert outcome.code == 2
    assert f"{option} is" in outcome.err


@pytest.mark.parametrize("name", ["", "a.gif", "a.jpg"])
def test_images_that_cannot_be_read(name: str, tmp_path: Path, command: Command) -> None:
    outcome = command("ops", "loadtest", "--url", "http://127.0.0.1:1", "--images", tmp_path / name)
    assert outcome.code == 2
    assert str(tmp_path) in outcome.err
    assert outcome.err.count("\n") == 1


def search(*p99_ms: float, late_s: float = 0.001) -> Search:
    """A search whose steps of 10, 20, … requests per second have these p99, with a limit of 250."""
    return Search(
        [
            summarize(10.0 * number, Recording([Call(0, late_s, p99 / 1000, None, False)]), 0, 250)
            for number, p99 in enumerate(p99_ms, 1)
        ]
    )


def test_the_conclusion_names_the_commands_that_use_the_target() -> None:
    text = conclusion(search(100, 100, 900), 2, "dev", LoadTestSettings(p99_ms=250, safety=0.5))
    assert "10.0 requests per second and instance keep p99 within 250 ms" in text
    assert "python -m ops endpoint scale --stage dev --target-per-minute 300" in text
    assert "python -m ops costs --rate-per-instance 10.0 --target-per-minute 300" in text


@pytest.mark.parametrize(("late_s", "warns"), [(0.05, True), (0.001, False)])
def test_the_conclusion_warns_about_a_slow_generator(late_s: float, warns: bool) -> None:
    text = conclusion(search(100, 900, late_s=late_s), 1, None, LoadTestSettings(p99_ms=250))
    assert ("The load generator was too slow" in text) is warns


def test_the_conclusion_without_a_result_gives_the_reason() -> None:
    with pytest.raises(LoadTestFailed, match="p99 was 900 ms, above 250"):
        conclusion(search(900), 1, None, LoadTestSettings())
    with pytest.raises(LoadTestFailed, match="No rate was measured: stopped"):
        conclusion(Search([], "stopped"), 1, None, LoadTestSettings())


def test_the_target_by_aws_rule() -> None:
    # 30 requests per second, safety 0.5: 30 x 0.5 x 60 invocations per minute.
    assert LoadTestSettings(safety=0.5).target_per_minute(30) == 900
