"""The whole life cycle by commands: from an empty account back to an empty one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from ops.audit.policy_analysis import as_list
from ops.endpoint import model_archive
from tests import tiny_model
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, Command
from tests.ops.endpoint.test_deploy import everything
from tests.ops.endpoint.test_scaling import state

pytestmark = [
    pytest.mark.training,
    # raised by the imports of the sagemaker SDK
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]


def test_life_cycle(
    aws: None,
    image: str,
    command: Command,
    emulator: State,
    colour_photos: Path,
    tmp_path: Path,
    encode: Callable[..., bytes],
) -> None:
    used = set[str]()

    def run(*arguments: object) -> Any:
        emulator.actions.clear()  # not those of the test itself
        outcome = command(*arguments)
        used.update(emulator.actions if "policy" not in arguments else ())
        assert outcome.code == 0, outcome.err
        return outcome

    sagemaker, s3 = boto3.client("sagemaker"), boto3.client("s3")

    # -- an empty account: roles, bucket, photos
    for role in ("training", "serving", "ec2"):
        run("ops", "policy", "--role", role, "--apply")
    run("training", "upload", "--data", colour_photos, "--create-bucket")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="whatbreed/data/")
    assert listed["KeyCount"] == sum(path.is_file() for path in colour_photos.rglob("*"))

    # -- a tuning job, a training job with its best values, an EC2 instance
    run("training", "tune-job", "--max-jobs", 2, "--detach")
    [tuning] = sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    run("training", "fit", "--instance-count", 2, "--epochs", 3)
    [job] = run("training", "jobs", "--contains", "whatbreed-fit", "--json").json
    assert (job["status"], job["instances"]) == ("Completed", 2)
    run("training", "ec2", "--instance-type", "c5.xlarge")
    [reservation] = boto3.client("ec2").describe_instances()["Reservations"]
    assert len(reservation["Instances"]) == 1
    archive = model_archive.pack(tiny_model.write(tmp_path / "first"))
    key = job["model"].removeprefix(f"s3://{BUCKET}/")
    s3.put_object(Bucket=BUCKET, Key=key, Body=archive)  # moto's jobs have no output

    # -- endpoint: create, scale, update, roll back
    run("ops", "endpoint", "deploy", "--stage", "dev", "--job", job["name"])
    first = sagemaker.describe_endpoint(EndpointName="whatbreed-dev")
    assert first["EndpointStatus"] == "InService"
    run("ops", "endpoint", "scale", "--stage", "dev")
    assert len(state()["targets"]) == 1
    second = tiny_model.write(tmp_path / "second", version="2")
    run("ops", "endpoint", "deploy", "--stage", "dev", "--model", second)
    endpoint = sagemaker.describe_endpoint(EndpointName="whatbreed-dev")
    assert endpoint["EndpointConfigName"] != first["EndpointConfigName"]
    run("ops", "endpoint", "deploy", "--stage", "dev", "--rollback")
    endpoint = sagemaker.describe_endpoint(EndpointName="whatbreed-dev")
    assert endpoint["EndpointConfigName"] == first["EndpointConfigName"]

    # -- batch transform
    def transform(request: dict[str, Any]) -> None:
        prediction = {
            "logits": [9.0, 1.0],
            "display_names": ["Red setter", "Green hound"],
            "dog_probability": 0.9,
            "model": {"temperature": 1.0},
        }
        target = request["TransformOutput"]["S3OutputPath"].removeprefix(f"s3://{BUCKET}/")
        s3.put_object(
            Bucket=BUCKET, Key=f"{target}/a.png.out", Body=json.dumps(prediction).encode()
        )

    emulator.on_transform = transform
    s3.put_object(Bucket=BUCKET, Key="whatbreed/transform-in/a.png", Body=encode((9, 9, 9)))
    source = f"s3://{BUCKET}/whatbreed/transform-in"
    run(
        "training",
        "transform",
        "--stage",
        "dev",
        "--input",
        source,
        "--output",
        tmp_path / "breeds.csv",
    )
    assert "a.png,Red setter,0.9997,0.9" in (tmp_path / "breeds.csv").read_text()

    # -- teardown
    outcome = run("ops", "endpoint", "teardown", "--stage", "dev", "--all")
    assert f"s3://{BUCKET}/whatbreed/data" in outcome.out
    assert everything() == [[], [], []]
    assert state() == {"targets": [], "policies": [], "schedules": []}
    assert boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert not [key for key in keys if "/input/" in key or "/checkpoints/" in key]
    assert (
        "nothing of whatbreed-dev is left"
        in run("ops", "endpoint", "teardown", "--stage", "dev", "--all").out
    )

    # -- `policy --role deploy` allows everything that the commands did
    policies = run("ops", "policy", "--role", "deploy").json
    allowed = {
        action
        for policy in policies.values()
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }
    # an administrator creates the bucket
    used -= {
        "s3:CreateBucket", "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock",
        "s3:GetLifecycleConfiguration", "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
    }  # fmt: skip
    # the first needs no permission, and the SDK continues without the second
    used -= {"sts:GetCallerIdentity", "iam:SimulatePrincipalPolicy"}
    assert used - allowed == set()
