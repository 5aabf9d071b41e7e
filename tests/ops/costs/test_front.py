"""The API's settings and what they let through, by Little's law and Erlang's formula."""

import json
import math
from pathlib import Path

import pytest

from aws import stages
from cli.errors import SettingsError
from ops.costs import front
from ops.costs.front import Front
from ops.costs.traffic import Traffic

STEADY = Traffic((10.0,) * 24)
OPEN = Front("prod", 512, reserved=None, provisioned=0, throttle_rate=None)


def test_concurrency_is_rate_times_duration() -> None:
    found = front.concurrency(OPEN, Traffic((10.0,) * 12 + (20.0,) * 12), duration_s=0.3)
    assert found.peak == pytest.approx(6)
    # The two lines between 10 and 20 make up for each other.
    assert found.mean == pytest.approx(4.5)
    assert found.peak_p99 == 12  # Poisson of mean 6: P(X <= 11) = 0.980, P(X <= 12) = 0.991
    assert found.throttled == 0
    assert found.refused == pytest.approx(0, abs=1e-9)
    assert found.spilled == 1  # none is provisioned


def test_reserved_concurrency_refuses_by_erlangs_formula() -> None:
    # 10 a second for 0.1 s is a load of 1: two functions lose a fifth, see test_queueing.
    small = Front("dev", 512, reserved=2, provisioned=2, throttle_rate=None)
    found = front.concurrency(small, STEADY, duration_s=0.1)
    assert found.refused == pytest.approx(0.2 * 864_000)
    assert found.spilled == pytest.approx(0.2)


def test_the_stage_limit_refuses_what_is_above() -> None:
    limited = Front("prod", 512, reserved=None, provisioned=0, throttle_rate=8)
    assert front.concurrency(limited, STEADY, 0.1).throttled == pytest.approx(2 * 86_400)


def test_large_loads() -> None:
    found = front.concurrency(OPEN, Traffic((100_000.0,) * 24), duration_s=0.3)
    assert found.peak_p99 == math.ceil(30_000 + 2.326 * math.sqrt(30_000))
    # 1,000 functions of 30,000 that are needed: all but a thirtieth is refused.
    assert found.refused / (100_000 * 86_400) == pytest.approx(29 / 30, abs=1e-3)


def test_the_settings_are_read_from_where_they_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "app_name": "whatbreed",
        "lambda_memory_size": 512,
        "stages": {
            "prod": {"environment_variables": {"ENDPOINT_NAME": "e"}, "reserved_concurrency": 10},
            "dev": {"environment_variables": {"ENDPOINT_NAME": "d"}, "lambda_memory_size": 256},
            "bare": {},
        },
    }
    resources = {
        "Resources": {
            "APIHandler": {
                "Properties": {
                    "ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 2}
                }
            },
            "RestAPI": {
                "Properties": {
                    "MethodSettings": [{"MetricsEnabled": True}, {"ThrottlingRateLimit": 20}]
                }
            },
        }
    }
    monkeypatch.setattr(stages, "CONFIG", tmp_path / "config.json")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "resources-prod.json").write_text(json.dumps(resources))
    assert front.read("prod") == Front("prod", 512, 10, 2, 20.0)
    dev = front.read("dev")
    assert dev == Front("dev", 256, None, 0, None)
    assert dev.concurrency == 1000
    for stage in ("bare", "nowhere"):
        with pytest.raises(SettingsError):
            front.read(stage)
    (tmp_path / "resources-prod.json").write_text("{")
    with pytest.raises(SettingsError, match=r"resources-prod\.json"):
        front.read("prod")


def test_every_stage_of_the_project_can_be_planned() -> None:
    for name in stages.names():
        found = front.read(name)
        assert found.memory_mb >= 128
        assert found.provisioned <= found.concurrency
