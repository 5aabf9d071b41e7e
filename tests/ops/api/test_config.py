"""`.chalice/config.json`, and that the guide explains all of it."""

import json
from typing import Any

import pytest
from chalice.deploy.validate import validate_route_content_types

from aws.stages import has_stack
from chalicelib.settings import load
from tests.servers import ROOT

CONFIG = json.loads((ROOT / ".chalice" / "config.json").read_text())
STAGES = CONFIG["stages"]
GUIDE = (ROOT / "docs" / "operations.md").read_text()


def value(stage: str, key: str) -> Any:
    return STAGES[stage].get(key, CONFIG.get(key))


def test_the_stages_are_local_dev_and_prod() -> None:
    assert list(STAGES) == ["local", "dev", "prod"]
    assert has_stack("prod")
    assert not has_stack("dev")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_what_the_api_needs(stage: str) -> None:
    settings = load(STAGES[stage]["environment_variables"])
    assert settings.endpoint_name == f"whatbreed-{stage}"
    assert settings.fetch_allow_loopback == (stage == "local")
    # API Gateway ends a request after 29 s: the function must have answered by then.
    longest_s = settings.fetch_timeout_s + settings.endpoint_timeout_s
    assert longest_s < value(stage, "lambda_timeout") < 29
    assert settings.batch_timeout_s < value(stage, "lambda_timeout")


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_stage_in_aws_is_limited_and_has_a_policy_of_its_own(stage: str) -> None:
    assert value(stage, "autogen_policy") is False
    assert value(stage, "iam_policy_file") == f"policy-{stage}.json"
    assert value(stage, "reserved_concurrency") >= 1
    assert value(stage, "api_gateway_endpoint_type") == "REGIONAL"
    assert value(stage, "lambda_architecture") == "arm64"
    assert value(stage, "log_retention_in_days") >= 1
    assert value(stage, "tags") == {"project": "whatbreed"}


def test_the_guide_explains_every_key() -> None:
    keys = {key for key in CONFIG if key not in ("version", "stages")}
    for stage in STAGES.values():
        keys |= set(stage) | set(stage["environment_variables"])
    missing = {key for key in keys if f"`{key}`" not in GUIDE}
    assert not missing


def test_the_guide_explains_every_alarm() -> None:
    resources = json.loads((ROOT / ".chalice" / "resources-prod.json").read_text())["Resources"]
    alarms = {
        one["Properties"]["AlarmName"]
        for one in resources.values()
        if one.get("Type") == "AWS::CloudWatch::Alarm"
    }
    missing = {name for name in alarms if f"`{name}`" not in GUIDE}
    assert not missing


def test_chalice_takes_the_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_NAME", "whatbreed-dev")
    import app

    validate_route_content_types(app.app.routes, app.app.api.binary_types)
