"""`python -m training loadtest` against real model servers on loopback."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ops.costs import command as costs
from ops.endpoint import scaling
from ops.loadtest import command, photos
from ops.loadtest.command import target_per_minute
from ops.loadtest.generator import Drive
from ops.loadtest.step import Step
from tests import servers
from training import __main__ as training

SHORT = [
    *("--step-s", "0.8", "--settle-s", "0.2", "--warm-up-s", "0.3", "--start-rate", "5"),
    *("--growth", "3", "--refinements", "1", "--p99-ms", "2000", "--max-rate", "40"),
    *("--connections", "16", "--max-seconds", "20"),
]


@pytest.fixture(scope="module")
def runtime(tiny_model_dir: Path) -> Iterator[str]:
    """The address of the tiny model behind SageMaker's Runtime API."""
    with servers.model_server(tiny_model_dir) as address:
        yield address


def run(*options: str) -> int:
    return training.main(["loadtest", *options])


@pytest.mark.server
def test_a_server_on_this_machine(
    runtime: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chart = tmp_path / "charts" / "loadtest.png"
    assert run("--url", runtime, *SHORT, "--chart", str(chart)) == 0
    out = capsys.readouterr().out
    assert "held" in out
    assert "scaling target: " in out
    for name, add_arguments in (("scale", scaling.add_arguments), ("costs", costs.add_arguments)):
        [line] = [line for line in out.splitlines() if f"python -m training {name} " in line]
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        parser.parse_args(line.split()[4:])  # the command that is printed is one that there is
    with Image.open(chart) as image:
        assert image.format == "PNG"
        assert image.width > 500


@pytest.mark.server
def test_an_endpoint_by_its_name_through_invoke_endpoint(
    runtime: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_runtime(monkeypatch, runtime)
    assert run("--endpoint", "whatbreed-local", *SHORT, "--instances", "2", "--json") == 0
    printed = capsys.readouterr()
    found: dict[str, Any] = json.loads(printed.out)
    assert found["rate_per_instance"] == found["rate"] / 2
    assert found["target_per_minute"] == found["rate_per_instance"] * 0.5 * 60
    assert found["steps"][0]["rate"] == 5
    assert found["steps"][0]["errors"] == {}
    assert "verdict" in printed.err


@pytest.mark.server
def test_an_endpoint_that_does_not_exist(
    runtime: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_runtime(monkeypatch, runtime)
    assert run("--endpoint", "nobody", *SHORT) == 1
    error = capsys.readouterr().err
    assert error.startswith("training loadtest: nobody does not classify a photo: ")
    assert "not found" in error
    assert error.count("\n") == 1


@pytest.mark.server
def test_a_bound_that_nobody_holds(runtime: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--url", runtime, *SHORT, "--p99-ms", "0.01") == 1
    assert "not even 5 requests a second were held: p99 was" in capsys.readouterr().err


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--url", f"http://127.0.0.1:{servers.free_port()}", *SHORT) == 1
    assert "does not classify a photo: ConnectionRefusedError" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    ["http://198.51.100.7", "https://127.0.0.1", "http://10.0.0.1", "http://localhost.test", "x"],
)
def test_only_this_machine_is_driven_by_address(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--url", url) == 2
    assert "--url is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--arrivals", "bursts"), ("--growth", "1"), ("--start-rate", "0"), ("--step-s", "-1")],
)
def test_options_that_make_no_sense(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--url", "http://127.0.0.1:1", option, value) == 2
    assert f"{option} is" in capsys.readouterr().err


@pytest.mark.parametrize(("late_ms", "told"), [(50.0, True), (1.0, False)])
def test_a_generator_that_was_too_slow_itself_is_told(
    late_ms: float,
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def drive(*_: object) -> Drive:
        return Drive(wall_s=1)

    def summarize(rate: float, *_: object) -> Step:
        p99_ms = 100 if rate < 20 else 9000
        return Step(rate, rate, 100, {}, 10, 20, p99_ms, p99_ms, late_ms, 0, 0.2)

    class Answers:
        name = "test"

        def __init__(self, *_: object) -> None:
            pass

        @contextmanager
        def connect(self) -> Iterator["Answers"]:
            yield self

        def invoke(self, photo: photos.Photo) -> None:
            pass

    monkeypatch.setattr(command, "LocalServer", Answers)
    monkeypatch.setattr(command.generator, "drive", drive)
    monkeypatch.setattr(command, "summarize", summarize)
    assert run("--url", "http://127.0.0.1:1", *SHORT) == 0
    assert ("the load generator was late itself" in capsys.readouterr().out) is told


def test_aws_rule() -> None:
    # 30 requests a second, safety 0.5: 30 x 0.5 x 60 invocations a minute.
    assert target_per_minute(30, instances=1, safety=0.5) == 900
    assert target_per_minute(30, instances=3, safety=0.5) == 300


def test_photos_of_a_folder_and_the_sample(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.JPG", "JPEG")
    (tmp_path / "c.txt").write_text("no photo")
    found = photos.read([tmp_path])
    assert [photo.media_type for photo in found] == ["image/png", "image/jpeg"]
    [sample] = photos.read([])
    assert sample.media_type == "image/jpeg"
    assert 5_000 < len(sample.body) < 200_000


def test_a_photo_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--url", "http://127.0.0.1:1", "--photos"]
    assert run(*options, str(tmp_path)) == 2
    assert run(*options, str(tmp_path / "a.gif")) == 2
    assert run(*options, str(tmp_path / "a.jpg")) == 2
    assert capsys.readouterr().err.count("\n") == 3


def use_runtime(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Let boto3 ask the server at `address`, as somebody with keys that are nobody's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
