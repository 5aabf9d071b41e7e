"""Tests of what the name of an instance type contains."""

import boto3
import pytest

from aws.instance_types import architecture, has_gpu, has_local_storage, vcpus
from cli.errors import SettingsError
from tests.aws_rules import local_storage


def test_vcpus_by_size() -> None:
    types = ("ml.c7g.medium", "ml.c6i.large", "ml.m5.xlarge", "ml.c7i.4xlarge")
    assert [vcpus(name) for name in types] == [1, 2, 4, 16]
    with pytest.raises(SettingsError, match="is not an instance type"):
        vcpus("ml.c6i")


def instance_types(service: str, shape: str) -> list[str]:
    model = boto3.client(service, region_name="us-east-1").meta.service_model
    return list(model.shape_for(shape).enum)


@pytest.mark.parametrize(
    "shape",
    ["TrainingInstanceType", "TransformInstanceType", "ProductionVariantInstanceType"],
)
def test_local_storage_of_every_type_of_sagemaker(shape: str) -> None:
    names = instance_types("sagemaker", shape)
    mine = {name for name in names if has_local_storage(name)}
    assert mine == {name for name in names if local_storage.has(name)}


def test_types_by_architecture() -> None:
    arm = ["a1.large", "t4g.micro", "c7gn.large", "g5g.xlarge", "m6gd.large", "p6e-gb200.36xlarge"]
    assert {architecture(name) for name in arm} == {"arm64"}
    x86 = ["c7i.large", "g5.xlarge", "gr6.4xlarge", "g6e.xlarge", "c5d.large", "ml.c6i.large"]
    assert {architecture(name) for name in x86} == {"amd64"}
    gpus = ["g5g.xlarge", "gr6.4xlarge", "p4d.24xlarge", "ml.g4dn.xlarge", "p6e-gb200.36xlarge"]
    assert all(map(has_gpu, gpus))
    assert not any(map(has_gpu, ["c7g.large", "m5.large", "inf2.xlarge"]))
