"""The whole way, by commands: from an empty account to one where nothing is left."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

from ops.audit.grants import as_list
from ops.endpoint import model_archive
from tests import tiny_model
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, Command
from tests.ops.endpoint.test_deploy import everything
from tests.ops.endpoint.test_scaling import state

# sagemaker's own imports warn of what its dependencies will drop.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


# The action that IAM asks for where it is not named like the call.
S3_ACTIONS = {
    "DeleteObjects": "DeleteObject",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The IAM actions of every call that is made from here on."""
    found = set[str]()
    call = BaseClient._make_api_call

    def record(self: Any, operation: str, request: Any) -> Any:
        service = self.meta.service_model.signing_name
        named = S3_ACTIONS.get(operation, operation) if service == "s3" else operation
        service = {"monitoring": "cloudwatch"}.get(service, service)
        found.add(f"{service}:{named}")
        return call(self, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    return found


def test_from_photos_to_nothing_left(
    aws: None,
    actions: set[str],
    image: str,
    command: Command,
    mended: State,
    colour_photos: Path,
    tmp_path: Path,
    encode: Callable[..., bytes],
) -> None:
    used = set[str]()

    def done(*arguments: object) -> Any:
        actions.clear()  # not those of the test itself
        outcome = command(*arguments)
        used.update(actions if arguments[0] != "policy" else ())
        assert outcome.code == 0, outcome.err
        return outcome

    sagemaker, s3 = boto3.client("sagemaker"), boto3.client("s3")

    # -- an empty account: roles, bucket, photos
    for role in ("training", "serving", "ec2"):
        done("policy", "--role", role, "--apply")
    done("upload", "--data", colour_photos, "--create-bucket")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="whatbreed/data/")
    assert listed["KeyCount"] == sum(path.is_file() for path in colour_photos.rglob("*"))

    # -- tuning, whose best values the next job takes; a job, whose model is deployed
    done("tune", "--cloud", "--max-jobs", 2, "--detach")
    [tuning] = sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    done("fit", "--instance-count", 2, "--epochs", 3)
    [job] = done("jobs", "--contains", "whatbreed-fit", "--json").json
    assert (job["status"], job["instances"]) == ("Completed", 2)
    done("ec2", "--instance-type", "c5.xlarge", "--machine-image", "ami-12345678")
    [reservation] = boto3.client("ec2").describe_instances()["Reservations"]
    assert len(reservation["Instances"]) == 1
    packed = tmp_path / "model.tar.gz"
    model_archive.pack(tiny_model.write(tmp_path / "first"), packed)
    key = job["model"].removeprefix(f"s3://{BUCKET}/")
    s3.upload_file(str(packed), BUCKET, key)  # what moto's job leaves out

    # -- endpoint: created, scaled, updated, back
    done("deploy", "--stage", "dev", "--job", job["name"])
    first = sagemaker.describe_endpoint(EndpointName="whatbreed-dev")
    assert first["EndpointStatus"] == "InService"
    done("scale", "--stage", "dev")
    assert len(state()["targets"]) == 1
    second = tiny_model.write(tmp_path / "second", version="2")
    done("deploy", "--stage", "dev", "--model", second)
    found = sagemaker.describe_endpoint(EndpointName="whatbreed-dev")
    assert found["EndpointConfigName"] != first["EndpointConfigName"]
    done("deploy", "--stage", "dev", "--rollback")
    found = sagemaker.describe_endpoint(EndpointName="whatbreed-dev")
    assert found["EndpointConfigName"] == first["EndpointConfigName"]

    # -- many photos at once
    def transform(request: dict[str, Any]) -> None:
        answer = {
            "logits": [9.0, 1.0],
            "display_names": ["Red setter", "Green hound"],
            "dog_probability": 0.9,
            "model": {"temperature": 1.0},
        }
        target = request["TransformOutput"]["S3OutputPath"].removeprefix(f"s3://{BUCKET}/")
        s3.put_object(Bucket=BUCKET, Key=f"{target}/a.png.out", Body=json.dumps(answer).encode())

    mended.on_transform = transform
    s3.put_object(Bucket=BUCKET, Key="whatbreed/transform-in/a.png", Body=encode((9, 9, 9)))
    source = f"s3://{BUCKET}/whatbreed/transform-in"
    done("transform", "--stage", "dev", "--input", source, "--output", tmp_path / "breeds.csv")
    assert "a.png,Red setter,0.9997,0.9" in (tmp_path / "breeds.csv").read_text()

    # -- and away with it
    outcome = done("teardown", "--stage", "dev", "--all")
    assert "stays: s3://" in outcome.out
    assert everything() == [[], [], []]
    assert state() == {"targets": [], "policies": [], "schedules": []}
    assert boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert not [key for key in keys if "/input/" in key or "/checkpoints/" in key]
    assert "nothing of whatbreed-dev is left" in done("teardown", "--stage", "dev", "--all").out

    # -- all of it with no more than `policy --role deploy` allows
    policy = done("policy", "--role", "deploy").json
    allowed = {a for one in policy["Statement"] for a in as_list(one["Action"])}
    # The first needs no permission; where the SDK is refused the second, it goes on.
    used -= {"sts:GetCallerIdentity", "iam:SimulatePrincipalPolicy"}
    assert used - allowed == set()
