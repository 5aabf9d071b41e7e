"""What `deploy --model` takes, and what `describe` says about the model afterwards."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest

from ops.endpoint.model_archive import pack
from tests import tiny_model
from tests.emulator.fixtures import ACCOUNT, BUCKET, Command

JOB = "whatbreed-fit-1"
TRAINED_WITH = {
    "data": "b3b51e23d8f08093",
    "commit": "5" * 40,
    "job": JOB,
    "command": "python -m training train --epochs 3",
    "settings": {"epochs": 3, "size": 32},
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    metrics = {"split": "test", "photos": 30, "top1": 0.9}
    return tiny_model.write(tmp_path / "model", trained_with=TRAINED_WITH, metrics=metrics)


@pytest.fixture
def deploy(command: Command, roles: None, bucket: str, image: str) -> Any:
    return lambda *options: command("ops", "endpoint", "deploy", "--stage", "dev", *options)


def described(command: Command) -> dict[str, Any]:
    outcome = command("ops", "endpoint", "describe", "--stage", "dev", "--json")
    assert outcome.code == 0, outcome.err
    return dict(outcome.json["model"])


def archive(folder: Path, inside: str = "", leave_out: str = "") -> bytes:
    """Pack a folder as `tar -czf model.tar.gz` does."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as content:
        for path in folder.iterdir():
            if path.name != leave_out:
                content.add(path, f"./{inside}{path.name}")
    return target.getvalue()


def put(key: str, body: bytes) -> str:
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
    return f"s3://{BUCKET}/{key}"


def put_record(folder: str, name: str, *jobs: str) -> None:
    started = "2026-11-26T10:00:00Z"
    record = {"name": name, "jobs": [{"id": job, "started": started} for job in jobs]}
    put(f"whatbreed/{folder}/{name}/run.json", json.dumps(record).encode())


def train(name: str = JOB, body: bytes | None = None) -> str:
    """Create a completed job, and its model if `body` is given; return the model's URI."""
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": "x", "TrainingInputMode": "File"},
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/whatbreed-training",
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/whatbreed/jobs"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    job = sagemaker.describe_training_job(TrainingJobName=name)
    uri = str(job["ModelArtifacts"]["S3ModelArtifacts"])
    if body is not None:
        put(uri.removeprefix(f"s3://{BUCKET}/"), body)
    return uri


def test_every_source_serves_the_same_archive(
    deploy: Any, command: Command, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.tar.gz").write_bytes(archive(model))
    train(body=archive(model))
    put_record("checkpoints", "big", "interrupted", JOB)
    put_record("ec2", "machine", "i-0123456789abcdef0")
    put("whatbreed/ec2/machine/model.tar.gz", archive(model))
    uri = put("elsewhere/mine.tar.gz", archive(model, inside="artifact/"))
    sources = {
        str(model): str(model),
        str(tmp_path / "model.tar.gz"): str(tmp_path / "model.tar.gz"),
        uri: uri,
        JOB: f"job {JOB}",
        "big": f"job {JOB}",
        "machine": "run machine",
    }
    archives = set()
    for source, origin in sources.items():
        outcome = deploy("--model", source, "--dry-run")
        assert outcome.code == 0, (source, outcome.err)
        assert f"model: tiny 1, {origin}" in outcome.out
        assert deploy("--model", source).code == 0
        archives.add(described(command)["archive"])
    [uri] = archives
    key = uri.removeprefix(f"s3://{BUCKET}/")
    body = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"]
    assert body.read() == pack(model)


def test_lineage(deploy: Any, command: Command, model: Path) -> None:
    train(body=archive(model))
    assert deploy("--job", JOB).code == 0
    lineage = described(command)
    assert lineage["origin"] == f"job {JOB}"
    assert {key: lineage[key] for key in ("data", "commit", "job")} == {
        key: TRAINED_WITH[key] for key in ("data", "commit", "job")
    }
    assert lineage["trained_with"]["settings"] == {"epochs": 3, "size": 32}
    table = command("ops", "endpoint", "describe", "--stage", "dev").out
    for text in ("InService", "1 x ml.c6i.large", "tiny 1", JOB, "5" * 40, "epochs 3, size 32"):
        assert text in table
    assert "top-1 0.9 on 30 photos of split test" in table
    boto3.client("s3").delete_object(
        Bucket=BUCKET, Key=lineage["archive"].removeprefix(f"s3://{BUCKET}/")
    )
    rest = described(command)
    assert "no longer exists" in rest["problem"]
    assert (rest["commit"], rest["version"]) == ("5" * 40, "1")


def test_lineage_of_a_model_that_records_nothing(
    deploy: Any, command: Command, tiny_model_dir: Path
) -> None:
    assert deploy("--model", tiny_model_dir).code == 0
    assert "not recorded" in command("ops", "endpoint", "describe", "--stage", "dev").out


def test_an_origin_that_a_tag_cannot_hold(deploy: Any, command: Command, model: Path) -> None:
    odd = model.rename(model.parent / "my model (2), größer & #1")
    assert deploy("--model", odd).code == 0
    assert described(command)["origin"].endswith("my model _2__ größer _ _1")


def test_describe_without_an_endpoint(command: Command, bucket: str) -> None:
    outcome = command("ops", "endpoint", "describe", "--stage", "dev")
    assert (outcome.code, "deploy a model first" in outcome.err) == (1, True)


def test_what_is_no_model_is_refused_before_anything_is_created(
    deploy: Any, model: Path, tmp_path: Path
) -> None:
    train("without-model")
    put_record("ec2", "running", "i-0123456789abcdef0")
    put_record("checkpoints", "unstarted")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar.gz").write_bytes(b"not an archive")
    (tmp_path / "part.tar.gz").write_bytes(archive(model)[:-200])
    (tmp_path / "no-weights.tar.gz").write_bytes(archive(model, leave_out="model.bin"))
    (model / "model.bin").write_bytes(b"other")
    (tmp_path / "changed.tar.gz").write_bytes(archive(model))
    expected = {
        "nowhere/model": "does not exist",
        "model.zip": "does not exist",
        "typo": "no folder, archive, training job or run",
        str(tmp_path / "empty"): "model.json is missing",
        str(tmp_path / "text.tar.gz"): "not a complete tar archive",
        str(tmp_path / "part.tar.gz"): "not a complete tar archive",
        str(tmp_path / "no-weights.tar.gz"): "has no model.bin",
        str(tmp_path / "changed.tar.gz"): "changed.tar.gz: ",
        f"s3://{BUCKET}/nothing": "does not exist",
        f"s3://{BUCKET}": "does not exist",
        "s3://": "not an S3 URI",
        "without-model": "no longer exists",
        "running": "has no model",
        "unstarted": "has not started a job",
    }
    for source, message in expected.items():
        outcome = deploy("--model", source)
        assert (outcome.code, message in outcome.err) == (1, True), (source, outcome.err)
        assert outcome.err.count("\n") == 1
        assert "/tmp/tmp" not in outcome.err
    assert boto3.client("sagemaker").list_models()["Models"] == []
