"""`training transform`: the responses of the real handlers, collected in one file."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from model_code import inference
from model_code.errors import InvocationError
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, Command


@pytest.fixture
def photos(bucket: str, encode: Callable[..., bytes]) -> str:
    """An S3 prefix with two photos, a broken one and a file that is not a photo."""
    s3 = boto3.client("s3")
    content = {
        "red.png": encode((250, 10, 10)),
        "below/green.jpg": encode((10, 250, 10), "JPEG"),
        "broken.jpg": b"not a photo",
        "notes.txt": b"text",
    }
    for name, body in content.items():
        s3.put_object(Bucket=bucket, Key=f"whatbreed/transform-in/{name}", Body=body)
    return f"s3://{bucket}/whatbreed/transform-in"


@pytest.fixture
def model(
    command: Command,
    bucket: str,
    roles: None,
    image: str,
    tiny_model_dir: Path,
    emulator: State,
) -> dict[str, Any]:
    """An endpoint, and transform jobs that use its model; returns the last job's request."""
    assert (
        command("ops", "endpoint", "deploy", "--stage", "dev", "--model", tiny_model_dir).code == 0
    )
    loaded, request = inference.model_fn(tiny_model_dir), dict[str, Any]()

    def transform(job: dict[str, Any]) -> None:
        request.update(job)
        s3 = boto3.client("s3")
        source = job["TransformInput"]["DataSource"]["S3DataSource"]
        start = source["S3Uri"].removeprefix(f"s3://{BUCKET}/")
        target = job["TransformOutput"]["S3OutputPath"].removeprefix(f"s3://{BUCKET}/")
        if source["S3DataType"] == "ManifestFile":
            manifest = s3.get_object(Bucket=BUCKET, Key=start)["Body"].read()
            first, *names = json.loads(manifest)
            start = first["prefix"].removeprefix(f"s3://{BUCKET}/")
            sent = [start + name for name in names]
        else:
            sent = [
                item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=start)["Contents"]
            ]
        request["sent"] = sent
        for key in sent:
            body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            try:
                data = inference.input_fn(body, job["TransformInput"]["ContentType"])
                response = inference.output_fn(inference.predict_fn(data, loaded))
            except InvocationError:
                continue
            name = key.removeprefix(start)
            s3.put_object(Bucket=BUCKET, Key=f"{target}/{name}.out", Body=response)

    emulator.on_transform = transform
    return request


def test_csv(model: dict[str, Any], photos: str, command: Command, tmp_path: Path) -> None:
    output = tmp_path / "breeds.csv"
    outcome = command(
        "training", "transform", "--stage", "dev", "--input", photos, "--output", output
    )
    assert outcome.code == 1  # one photo was refused
    assert "1 photos were refused" in outcome.err
    with output.open(newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {"red.png", "below/green.jpg", "broken.jpg"}
    assert rows["red.png"]["breed"] == "Red setter"
    assert float(rows["red.png"]["probability"]) > 0.9
    assert 0 < float(rows["red.png"]["dog_probability"]) < 1
    assert rows["below/green.jpg"]["breed"] == "Green hound"
    assert rows["broken.jpg"]["breed"] == ""
    assert "refused" in rows["broken.jpg"]["error"]
    models = boto3.client("sagemaker").list_models()["Models"]
    assert model["ModelName"] == models[0]["ModelName"]


def test_only_photos_are_sent(
    model: dict[str, Any], photos: str, command: Command, tmp_path: Path
) -> None:
    """Batch Transform sends every object below a prefix, and one that is refused fails the job."""
    s3 = boto3.client("s3")
    options = ["--stage", "dev", "--input", photos, "--output", tmp_path / "x.csv"]
    for name in ("._red.png", "__MACOSX/red.png", ".DS_Store", "below/"):
        s3.put_object(Bucket=BUCKET, Key=f"whatbreed/transform-in/{name}", Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="whatbreed/transform-in/broken.jpg")
    outcome = command("training", "transform", *options)
    assert outcome.code == 0, outcome.err
    assert "leaves out 4 files that are not photos, such as .DS_Store" in outcome.out
    folder = "whatbreed/transform-in"
    assert model["sent"] == [f"{folder}/below/green.jpg", f"{folder}/red.png"]


def test_a_prefix_of_photos_needs_no_manifest(
    model: dict[str, Any], photos: str, command: Command, tmp_path: Path
) -> None:
    options = ["--stage", "dev", "--input", photos, "--output", tmp_path / "x.csv", "--detach"]
    boto3.client("s3").delete_object(Bucket=BUCKET, Key="whatbreed/transform-in/notes.txt")
    assert command("training", "transform", *options).code == 0
    source = model["TransformInput"]["DataSource"]["S3DataSource"]
    assert source == {"S3DataType": "S3Prefix", "S3Uri": f"{photos}/"}


def test_json_lines(model: dict[str, Any], photos: str, command: Command, tmp_path: Path) -> None:
    boto3.client("s3").delete_object(Bucket=BUCKET, Key="whatbreed/transform-in/broken.jpg")
    output = tmp_path / "breeds.jsonl"
    outcome = command(
        "training", "transform", "--stage", "dev", "--input", photos, "--output", output
    )
    assert outcome.code == 0, outcome.err
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["breed"] for line in lines] == ["Green hound", "Red setter"]


def test_detach_then_collect(
    model: dict[str, Any], photos: str, command: Command, tmp_path: Path
) -> None:
    output = tmp_path / "breeds.csv"
    options = ["--stage", "dev", "--input", photos, "--output", output]
    assert command("training", "transform", *options, "--detach").code == 0
    assert not output.exists()
    outcome = command("training", "transform", *options, "--job", model["TransformJobName"])
    assert "2 of 3 photos classified" in outcome.out


def test_dry_run_and_errors(
    model: dict[str, Any], photos: str, command: Command, tmp_path: Path
) -> None:
    base = ["--stage", "dev", "--input", photos]
    assert (
        "would classify 3"
        in command("training", "transform", *base, "--output", tmp_path / "x.csv", "--dry-run").out
    )
    assert ".csv or .jsonl" in command("training", "transform", *base, "--output", "x.txt").err
    dry_run = command("training", "transform", *base, "--output", tmp_path / "x.csv", "--dry-run")
    assert "on 1 x ml.c6i.xlarge, $0.20 per hour" in dry_run.out
    empty = ["--stage", "dev", "--input", f"s3://{BUCKET}/nothing", "--output", "x.csv"]
    assert "There are no photos below" in command("training", "transform", *empty).err
    assert model == {}


@pytest.mark.parametrize(
    ("instance_type", "encrypted"), [("ml.g4dn.xlarge", False), ("ml.c6i.large", True)]
)
def test_local_storage_takes_no_key(
    model: dict[str, Any],
    photos: str,
    key: str,
    command: Command,
    tmp_path: Path,
    instance_type: str,
    encrypted: bool,
) -> None:
    options = ["--stage", "dev", "--input", photos, "--output", tmp_path / "x.csv"]
    options += ["--instance-type", instance_type, "--concurrency", 16, "--detach"]
    outcome = command("training", "transform", *options)
    assert outcome.code == 0, outcome.err
    name = model["TransformJobName"]
    job = boto3.client("sagemaker").describe_transform_job(TransformJobName=name)
    assert job["TransformOutput"]["KmsKeyId"] == key
    assert ("VolumeKmsKeyId" in job["TransformResources"]) == encrypted
    [group] = boto3.client("logs").describe_log_groups(
        logGroupNamePrefix="/aws/sagemaker/TransformJobs"
    )["logGroups"]
    assert group["retentionInDays"] == 90


def test_photos_in_flight_are_limited(photos: str, command: Command) -> None:
    """SageMaker allows 100 MB of concurrent payloads."""
    options = ["--stage", "dev", "--input", photos, "--output", "x.csv", "--concurrency", 17]
    outcome = command("training", "transform", *options)
    assert outcome.code == 2
    assert "--concurrency" in outcome.err


def test_the_role_may_write_metrics_of_transform_jobs(aws: None, command: Command) -> None:
    statements = command("ops", "policy", "--role", "serving").json["Statement"]
    [measure] = [item for item in statements if item["Sid"] == "Measure"]
    namespaces = measure["Condition"]["StringEquals"]["cloudwatch:namespace"]
    assert "/aws/sagemaker/TransformJobs" in namespaces
