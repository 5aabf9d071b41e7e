"""Tests of API limits and Lambda concurrency, by Little's law and Erlang's formula."""

import json
import math
from pathlib import Path

import pytest

from aws import stages
from cli.errors import SettingsError
from ops.costs import concurrency
from ops.costs.concurrency import ApiStage, function_load
from ops.costs.traffic import Traffic

STEADY = Traffic((10.0,) * 24)
UNLIMITED = ApiStage("prod", 512, reserved=None, provisioned=0, throttle_rate=None)


def test_concurrency_is_rate_times_duration() -> None:
    load = function_load(UNLIMITED, Traffic((10.0,) * 12 + (20.0,) * 12), duration_s=0.3)
    assert load.peak == pytest.approx(6)
    # The rise from 10 to 20 and the fall from 20 to 10 cancel out.
    assert load.mean == pytest.approx(4.5)
    assert load.peak_p99 == 12  # Poisson of mean 6: P(X <= 11) = 0.980, P(X <= 12) = 0.991
    assert load.throttled_per_day == 0
    assert load.rejected_per_day == pytest.approx(0, abs=1e-9)
    assert load.spillover == 1  # none is provisioned


def test_reserved_concurrency_rejects_by_erlangs_formula() -> None:
    # 10 per second for 0.1 s is a load of 1: two functions lose a fifth, see test_queueing.
    api = ApiStage("dev", 512, reserved=2, provisioned=2, throttle_rate=None)
    load = function_load(api, STEADY, duration_s=0.1)
    assert load.rejected_per_day == pytest.approx(0.2 * 864_000)
    assert load.spillover == pytest.approx(0.2)


def test_the_stage_limit_throttles_the_excess() -> None:
    api = ApiStage("prod", 512, reserved=None, provisioned=0, throttle_rate=8)
    assert function_load(api, STEADY, 0.1).throttled_per_day == pytest.approx(2 * 86_400)


def test_large_loads() -> None:
    load = function_load(UNLIMITED, Traffic((100_000.0,) * 24), duration_s=0.3)
    normal = 30_000 + 2.326 * math.sqrt(30_000)
    assert load.peak_p99 == pytest.approx(normal, abs=2)
    # 1,000 functions of the 30,000 that are needed: all but a thirtieth is rejected.
    assert load.rejected_per_day / (100_000 * 86_400) == pytest.approx(29 / 30, abs=1e-3)


def test_limits_are_read_from_the_stage_and_its_resources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = {"environment_variables": {"ENDPOINT_NAME": "e"}}
    prod = {**endpoint, "reserved_concurrency": 10, "lambda_memory_size": 512}
    config = {"app_name": "whatbreed", "stages": {"prod": prod, "dev": endpoint}}
    methods = [{"MetricsEnabled": True}, {"ThrottlingRateLimit": 20}]
    provisioned = {"ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 2}}
    resources = {
        "RestAPI": {"Properties": {"MethodSettings": methods}},
        "APIHandlerAliaslive": {"Properties": provisioned},
    }
    folder = tmp_path / ".chalice"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "resources-prod.json").write_text(json.dumps({"Resources": resources}))
    monkeypatch.setenv(stages.PROJECT_VARIABLE, str(tmp_path))
    assert concurrency.read("prod") == ApiStage("prod", 512, 10, 2, 20.0)
    unlimited = concurrency.read("dev")
    assert unlimited == ApiStage("dev", 128, None, 0, None)
    assert unlimited.concurrency == 1000


def test_every_stage_of_the_project_has_limits() -> None:
    for name in stages.names():
        api = concurrency.read(name)
        assert api.memory_mb >= 128
        assert api.provisioned <= api.concurrency
    with pytest.raises(SettingsError):
        concurrency.read("missing")
