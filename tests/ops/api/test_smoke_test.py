"""The smoke test, asked of the real API and of APIs that fail."""

from pathlib import Path

import pytest

from aws.errors import AwsError
from ops.api import smoke_test
from tests.servers import HOST, answer, api_server, free_port, model_server, web_server


@pytest.mark.server
def test_the_real_api_passes(tiny_model_dir: Path) -> None:
    with model_server(tiny_model_dir) as runtime, api_server(runtime) as address:
        said = smoke_test.check(f"{address}/")
    assert said.startswith("tiny")


@pytest.mark.server
def test_a_model_that_does_not_answer_fails() -> None:
    with (
        api_server(f"http://{HOST}:{free_port()}") as address,
        pytest.raises(AwsError, match=r"smoke test: .*deep=true answers 503 .*endpoint-unavail"),
    ):
        smoke_test.check(address, patience_s=0)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b"Internal\nServer Error", "answers 500 Internal Server Error"),
        (200, b"<html>", "answers Expecting value"),
        (200, b"[]", r"answers \[\]"),
        (200, b'{"status": "ok"}', "does not answer as WhatBreed"),
    ],
)
def test_what_is_not_the_api_fails_in_one_line(status: int, body: bytes, said: str) -> None:
    with web_server(answer(status, body)) as address, pytest.raises(AwsError, match=said) as it:
        smoke_test.check(address, patience_s=0)
    assert "\n" not in str(it.value)


def test_it_waits_for_an_api_that_is_not_known_everywhere_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.ops.api.programs import api

    with api() as behind:
        behind.healthy = False

        def recover(_: float) -> None:
            behind.healthy = True

        monkeypatch.setattr(smoke_test.time, "sleep", recover)
        assert "Dalmatian" in smoke_test.check(behind.url)


def test_nobody_there_fails() -> None:
    with pytest.raises(AwsError, match="refused"):
        smoke_test.check(f"http://{HOST}:{free_port()}", patience_s=0)
