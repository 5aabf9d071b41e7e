"""The limits of settings are those of AWS's service models."""

import re
from typing import Any

import boto3
import pytest
from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel

from aws.naming import REPOSITORY
from aws.settings import (
    AwsSettings,
    Ec2Settings,
    FitSettings,
    ScalingSettings,
    ServingSettings,
    TransformSettings,
)
from cli.errors import SettingsError
from cli.settings import Section
from tests.aws_rules.logs import RETENTION_DAYS


def limits(service: str, shape: str) -> dict[str, Any]:
    model = boto3.client(service, region_name="us-east-1").meta.service_model
    return dict(model.shape_for(shape).metadata)


def limit(section: type[BaseModel], field: str, kind: type) -> Any:
    metadata = section.model_fields[field].metadata
    [found] = [item for item in metadata if isinstance(item, kind)]
    return found


@pytest.mark.parametrize(
    ("section", "field", "service", "shape"),
    [
        (AwsSettings, "subnets", "sagemaker", "Subnets"),
        (AwsSettings, "security_groups", "sagemaker", "VpcSecurityGroupIds"),
        (FitSettings, "metrics", "sagemaker", "MetricDefinitionList"),
        (ServingSettings, "repository", "ecr", "RepositoryName"),
    ],
)
def test_lengths(section: type[BaseModel], field: str, service: str, shape: str) -> None:
    assert limit(section, field, MaxLen).max_length == limits(service, shape)["max"]


def test_ranges() -> None:
    assert limit(FitSettings, "max_runtime_s", Le).le == 28 * 24 * 3600
    assert limit(FitSettings, "warm_pool_s", Le).le == 3600
    assert limit(TransformSettings, "concurrency", Le).le * 6 <= 100
    assert limit(Ec2Settings, "volume_gb", Ge).ge == 8


def test_the_pattern_of_repositories() -> None:
    theirs = limits("ecr", "RepositoryName")["pattern"]
    for name in ("a", "a-b", "a--b", "a/b", "A", "a_b.c", "-a", "a/", "team/whatbreed-serving"):
        assert bool(re.search(REPOSITORY, name)) == bool(re.fullmatch(theirs, name)), name


@pytest.mark.parametrize("days", [*RETENTION_DAYS, 2, 31])
def test_days_of_retention(days: int) -> None:
    if days in RETENTION_DAYS:
        assert AwsSettings.read({"log_retention_days": str(days)}).log_retention_days == days
    else:
        with pytest.raises(SettingsError, match="--log-retention-days"):
            AwsSettings.read({"log_retention_days": str(days)})


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (AwsSettings, {"kms_key": "arn:aws:kms:us-east-1:123456789012:alias/mine"}),
        (AwsSettings, {"tags": {"aws:x": "1"}}),
        (AwsSettings, {"tags": {"k": "v" * 257}}),
        (AwsSettings, {"tags": {"k": "?"}}),
        (AwsSettings, {"tags": {str(number): "" for number in range(49)}}),
        (AwsSettings, {"serving_role": "r" * 65}),
        (AwsSettings, {"security_groups": ["sg-1"] * 6, "subnets": ["subnet-1"]}),
        (Ec2Settings, {"role": "arn:aws:iam::123456789012:role/r"}),
        (ServingSettings, {"repository": "Upper"}),
        (FitSettings, {"metrics": {"a": "x" * 501}}),
        (FitSettings, {"metrics": {str(number): "x" for number in range(41)}}),
        (FitSettings, {"pip_index_url": "pypi"}),
        (
            ScalingSettings,
            {"schedules": [{"name": "a", "cron": "0 22 * * * *", "min": 1, "max": 1}]},
        ),
        (
            ScalingSettings,
            {"schedules": [{"name": "a", "cron": "0 22 ? * ? *", "min": 1, "max": 1}]},
        ),
        (
            ScalingSettings,
            {"schedules": 2 * [{"name": "a", "cron": "0 22 * * ? *", "min": 1, "max": 1}]},
        ),
        (
            ScalingSettings,
            {
                "schedules": [
                    {"name": f"a{number}", "cron": "0 22 * * ? *", "min": 1, "max": 1}
                    for number in range(201)
                ]
            },
        ),
    ],
)
def test_values_that_aws_refuses(section: type[Section], values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        section.read(values)


def test_numbers_of_a_list_are_options(change_settings: Any) -> None:
    assert ServingSettings.read({"serverless_memory_mb": "4096"}).serverless_memory_mb == 4096
