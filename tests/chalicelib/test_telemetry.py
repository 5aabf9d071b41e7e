"""The log line of a request."""

import json

import pytest

from chalicelib import telemetry

ROOT_ID = "1-5759e988-bd862e3fe1be46a994272793"


def log_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    telemetry.log_request(
        request_id="r",
        stage="prod",
        route="/health",
        method="GET",
        status=200,
        duration_ms=1,
    )
    record: dict[str, object] = json.loads(capsys.readouterr().out)
    return record


def test_a_sampled_trace_is_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    header = f"Root={ROOT_ID};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    assert log_line(capsys)["trace_id"] == ROOT_ID


@pytest.mark.parametrize("header", ["", "nonsense", f"Root={ROOT_ID};Parent=53;Sampled=0"])
def test_other_traces_are_not_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    assert "trace_id" not in log_line(capsys)
