"""The smoke test against the real API and against APIs that fail."""

from pathlib import Path

import pytest

from aws.errors import AwsError
from ops.api import smoke_test
from tests.emulator.fixtures import Command
from tests.ops.api.api_commands import fake_api
from tests.servers import HOST, answer, api_server, free_port, model_server, web_server


@pytest.mark.server
def test_the_real_api_passes(tiny_model_dir: Path) -> None:
    with model_server(tiny_model_dir) as runtime, api_server(runtime) as address:
        assert smoke_test.check(f"{address}/").startswith("tiny")


@pytest.mark.server
def test_a_model_that_does_not_respond_fails() -> None:
    with (
        api_server(f"http://{HOST}:{free_port()}") as address,
        pytest.raises(AwsError, match=r"Smoke test: .*deep=true returned 503 .*endpoint-unavail"),
    ):
        smoke_test.check(address, patience_s=0)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b"Internal\nServer Error", "returned 500 Internal Server Error"),
        (200, b"<html>", "returned Expecting value"),
        (200, b"[]", r"returned \[\]"),
        (200, b'{"status": "ok"}', "is not a WhatBreed API"),
    ],
)
def test_another_server_fails_in_one_line(status: int, body: bytes, message: str) -> None:
    with web_server(answer(status, body)) as url, pytest.raises(AwsError, match=message) as caught:
        smoke_test.check(url, patience_s=0)
    assert "\n" not in str(caught.value)


def test_failed_requests_are_repeated() -> None:
    with fake_api() as api:
        api.failures = 3
        assert "Dalmatian" in smoke_test.check(api.url, poll_s=0.01)
    assert len(api.keys) == 5


def test_no_server_fails() -> None:
    with pytest.raises(AwsError, match="refused"):
        smoke_test.check(f"http://{HOST}:{free_port()}", patience_s=0)


def test_the_command_reads_the_key_from_the_environment(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    with fake_api() as api:
        outcome = command("ops", "api", "smoke-test", api.url)
    assert outcome.code == 0, outcome.err
    assert "Dalmatian" in outcome.out
    assert set(api.keys) == {"secret"}
