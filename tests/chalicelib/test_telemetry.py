"""The log line: its trace."""

import json

import pytest

from chalicelib import telemetry

ROOT_ID = "1-5759e988-bd862e3fe1be46a994272793"


def written(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    telemetry.log_request(
        request_id="r",
        stage="prod",
        route="/health",
        method="GET",
        status=200,
        duration_ms=1,
        answer={},
    )
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_the_line_names_the_trace_that_x_ray_keeps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    header = f"Root={ROOT_ID};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a87bd80c:0"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    assert written(capsys)["trace_id"] == ROOT_ID


@pytest.mark.parametrize("header", ["", "nonsense", f"Root={ROOT_ID};Parent=53;Sampled=0"])
def test_no_trace_is_named_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    assert "trace_id" not in written(capsys)
