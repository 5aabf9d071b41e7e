"""Stages: .chalice/config.json is checked by name, type and range before AWS is called."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aws import stages
from aws.settings import ScalingSettings
from cli.errors import SettingsError
from tests.emulator.fixtures import Command

CONFIG: dict[str, Any] = {
    "version": "2.0",
    "app_name": "whatbreed",
    "lambda_memory_size": 512,
    "environment_variables": {"LOG_LEVEL": "INFO"},
    "stages": {
        "local": {},
        "dev": {
            "reserved_concurrency": 5,
            "environment_variables": {"ENDPOINT_NAME": "whatbreed-dev"},
        },
    },
}
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a project's config.json, with keys at the top and of stage dev."""

    def write(top: dict[str, Any] | None = None, **dev: Any) -> None:
        document = json.loads(json.dumps(CONFIG)) | (top or {})
        document["stages"]["dev"] |= dev
        (tmp_path / ".chalice" / "config.json").write_text(json.dumps(document))

    (tmp_path / ".chalice").mkdir()
    monkeypatch.setenv(stages.PROJECT_VARIABLE, str(tmp_path))
    write()
    return write


def resources(project: Path, content: object) -> None:
    (project / ".chalice" / "resources-dev.json").write_text(json.dumps(content))


def provision(project: Path, count: object) -> None:
    properties = {"ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": count}}
    resources(project, {"Resources": {"APIHandlerAliaslive": {"Properties": properties}}})


def test_a_stage(write: Write) -> None:
    assert stages.read("dev") == stages.Stage(
        name="dev",
        endpoint="whatbreed-dev",
        function="whatbreed-dev",
        reserved_concurrency=5,
        traced=False,
        memory_mb=512,
    )
    assert stages.names() == ["dev"]
    assert not stages.has_stack("dev")


def test_the_nearest_value_counts(write: Write) -> None:
    write({"xray": True, "lambda_functions": {"api_handler": {"lambda_memory_size": 256}}})
    assert stages.read("dev").traced
    assert stages.read("dev").memory_mb == 256
    write(
        lambda_functions={"api_handler": {"reserved_concurrency": 2, "tags": {}}},
        lambda_memory_size=1024,
    )
    assert stages.read("dev").reserved_concurrency == 2
    assert stages.read("dev").memory_mb == 1024


def test_the_stages_of_the_project() -> None:
    for name in stages.names():
        assert stages.read(name).endpoint


@pytest.mark.parametrize(
    ("top", "dev", "message"),
    [
        ({}, {"reserved_concurency": 5}, 'stages.dev: unknown key "reserved_concurency"'),
        ({}, {"reserved_concurency": 5}, 'Did you mean "reserved_concurrency"?'),
        ({"log_retention_in_day": 7}, {}, 'config.json: unknown key "log_retention_in_day"'),
        (
            {},
            {"lambda_functions": {"api_handler": {"lambda_timout": 9}}},
            'stages.dev.lambda_functions.api_handler: unknown key "lambda_timout"',
        ),
        (
            {},
            {"lambda_functions": {"api_handler": {"api_gateway_stage": "x"}}},
            'unknown key "api_gateway_stage"',
        ),
        ({}, {"stages": {}}, 'stages.dev: unknown key "stages"'),
        ({}, {"reserved_concurrency": "5"}, "stages.dev.reserved_concurrency: "),
        ({}, {"reserved_concurrency": -1}, "greater than or equal to 0"),
        ({}, {"reserved_concurrency": True}, "stages.dev.reserved_concurrency: "),
        ({}, {"lambda_memory_size": 64}, "greater than or equal to 128"),
        ({"lambda_timeout": 901}, {}, "less than or equal to 900"),
        ({"log_retention_in_days": 0}, {}, "log_retention_in_days: "),
        ({}, {"api_gateway_endpoint_type": "REGINAL"}, "'EDGE', 'REGIONAL' or 'PRIVATE'"),
        ({}, {"environment_variables": {"A": 1}}, "environment_variables.A: "),
        ({}, {"environment_variables": {}}, "set ENDPOINT_NAME"),
        ({}, {"environment_variables": {"AWS_REGION": "x"}}, "AWS_REGION is reserved by Lambda"),
        ({}, {"environment_variables": {"A-B": "x"}}, '"A-B" must be letters, digits and _'),
        (
            {},
            {"environment_variables": {"ENDPOINT_NAME": "a", "B1": "b" * 4_100}},
            "bytes; Lambda accepts 4096.",
        ),
        ({}, {"layers": ["x"] * 6}, "at most 5 items"),
        ({}, {"tags": {"aws:x": "y"}}, 'tag "aws:x" is reserved'),
        ({}, {"tags": {"x": "a,b"}}, "tags.x"),
        ({}, {"tags": {str(number): "y" for number in range(48)}}, "47"),
        ({"app_name": "a.b"}, {}, "app_name: "),
        ({"app_name": "a" * 60}, {}, "at most 64 letters, digits, - and _"),
        ({}, {"api_gateway_stage": "a/b"}, "api_gateway_stage: "),
        ({"stages": {"dev": []}}, {}, "stages.dev"),
        ({"app_name": None}, {}, "app_name: "),
    ],
)
def test_an_invalid_config(
    write: Write, tmp_path: Path, top: dict[str, Any], dev: dict[str, Any], message: str
) -> None:
    if "stages" in top:
        (tmp_path / ".chalice" / "config.json").write_text(json.dumps(CONFIG | top))
    else:
        write(top, **dev)
    with pytest.raises(SettingsError) as caught:
        stages.read("dev")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stack_may_not_have_an_underscore_in_its_name(write: Write, tmp_path: Path) -> None:
    write({"app_name": "what_breed"})
    assert stages.read("dev").function == "what_breed-dev"
    (tmp_path / ".chalice" / "resources-dev.json").write_text('{"Resources": {}}')
    with pytest.raises(SettingsError, match=r'the stack "what_breed-dev" may not have _'):
        stages.read("dev")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\xff"])
def test_a_broken_file(write: Write, tmp_path: Path, text: str) -> None:
    for name in ("resources-dev.json", "config.json"):
        (tmp_path / ".chalice" / name).write_bytes(text.encode("latin-1"))
        with pytest.raises(SettingsError, match=name):
            stages.read("dev")


def test_every_key_of_chalice_is_accepted(write: Write) -> None:
    domain = {
        "domain_name": "x.org",
        "certificate_arn": "arn:x",
        "tls_version": "TLS_1_2",
        "url_prefix": "/",
        "tags": {"a": "b"},
    }
    write(
        {"profile": "work", "lambda_functions": {"api_handler": {"xray": True}}},
        api_gateway_custom_domain=domain,
        api_gateway_endpoint_type="PRIVATE",
        api_gateway_endpoint_vpce=["vpce-1"],
        api_gateway_policy_file="resource-policy.json",
        api_gateway_stage="dev",
        autogen_policy=False,
        automatic_layer=True,
        iam_policy_file="policy.json",
        iam_role_arn="arn:x",
        lambda_architecture="arm64",
        lambda_timeout=28,
        layers=["arn:x"],
        log_retention_in_days=7,
        manage_iam_role=False,
        minimum_compression_size=0,
        security_group_ids=["sg-1"],
        subnet_ids=["subnet-1"],
        tags={"a": "b"},
        websocket_api_custom_domain=domain,
        xray=None,
    )
    assert stages.read("dev").name == "dev"


def test_an_unknown_stage_lists_the_stages(write: Write) -> None:
    with pytest.raises(SettingsError, match=r'no stage "prod"\. Stages: local, dev'):
        stages.read("prod")


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, "must be at least 1"),
        (-1, "must be at least 1"),
        ("2", "must be at least 1"),
        (6, "above reserved_concurrency 5 of stage dev"),
    ],
)
def test_provisioned_concurrency_that_lambda_refuses(
    write: Write, tmp_path: Path, count: object, message: str
) -> None:
    provision(tmp_path, count)
    with pytest.raises(SettingsError, match=message):
        stages.read("dev")


def test_provisioned_concurrency(write: Write, tmp_path: Path) -> None:
    provision(tmp_path, 5)
    assert stages.read("dev").provisioned_concurrency == 5
    write(reserved_concurrency=None)
    provision(tmp_path, 500)
    assert stages.read("dev").provisioned_concurrency == 500
    resources(tmp_path, {"Resources": {"RestAPI": {"Properties": {"Name": "x"}}}})
    assert stages.read("dev").provisioned_concurrency is None
    assert stages.properties("dev", "RestAPI") == {"Name": "x"}
    assert stages.properties("dev", "Nothing") == {}


def test_a_command_refuses_a_wrong_config_before_it_calls_aws(
    write: Write, aws: None, command: Command
) -> None:
    write(reserved_concurency=5)
    outcome = command(
        "training", "transform", "--stage", "dev", "--input", "s3://b/p", "--output", "x.csv"
    )
    assert outcome.code == 2
    assert 'unknown key "reserved_concurency"' in outcome.err


def test_settings_of_a_stage_that_config_json_lacks(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("WHATBREED_SETTINGS", str(path))
    path.write_text("[stage.dev.scaling]\nmax_instances = 2\n")
    assert ScalingSettings.read(stage="dev").max_instances == 2
    assert ScalingSettings.read().max_instances == 4
    path.write_text("[stage.dve.scaling]\nmax_instances = 2\n")
    with pytest.raises(SettingsError, match='unknown stage "dve"'):
        ScalingSettings.read(stage="dev")
