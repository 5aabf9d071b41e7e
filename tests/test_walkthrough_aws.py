"""docs/walkthrough-aws.ipynb: a dry run changes nothing, and every cell can be run twice."""

import json
import os
import threading
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
import nbformat
import pytest
from nbclient import NotebookClient

from ops.endpoint.model_archive import pack
from tests.conftest import ROOT
from tests.emulator.fixtures import BUCKET
from tests.emulator.moto_server import aws_server
from tests.servers import model_server
from training.run_result import Result

NOTEBOOK = ROOT / "docs" / "walkthrough-aws.ipynb"
RESULT = Result(10, 600, 30, 0.87, 1000, 3, 1, resumed=False)

pytestmark = [
    pytest.mark.server,
    # of the notebook's libraries
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Machines:
    """What jobs and EC2 instances do, which the emulator does not: train and upload a model."""

    def __init__(self, archive: bytes) -> None:
        self.archive = archive
        self.s3, self.ec2 = boto3.client("s3"), boto3.client("ec2")
        self.sagemaker = boto3.client("sagemaker")

    def work(self, stopped: threading.Event) -> None:
        while not stopped.wait(0.5):
            if self.s3.list_buckets()["Buckets"]:
                self._finish_jobs()
                self._finish_instances()

    def keys(self, prefix: str) -> set[str]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return {item["Key"] for item in listed.get("Contents", [])}

    def _put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def _finish_jobs(self) -> None:
        for summary in self.sagemaker.list_training_jobs()["TrainingJobSummaries"]:
            job = self.sagemaker.describe_training_job(TrainingJobName=summary["TrainingJobName"])
            model = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/")
            if model not in self.keys(model):
                folder = job["CheckpointConfig"]["S3Uri"].removeprefix(f"s3://{BUCKET}/")
                self._put(f"{folder}/result.json", RESULT.json().encode())
                self._put(model, self.archive)

    def _finish_instances(self) -> None:
        records = [key for key in self.keys("whatbreed/ec2/") if key.endswith("/run.json")]
        for folder in (record.removesuffix("/run.json") for record in records):
            body = self.s3.get_object(Bucket=BUCKET, Key=f"{folder}/run.json")["Body"].read()
            jobs = json.loads(body)["jobs"]
            if jobs and f"{folder}/model.tar.gz" not in self.keys(folder):
                started = 1_790_000_000
                names = ("installed", "downloaded", "trained", "exported")
                times = [f"{name} {started + 60 * n}\n" for n, name in enumerate(names)]
                self._put(f"{folder}/times.txt", "".join(times).encode())
                self._put(f"{folder}/run/result.json", RESULT.json().encode())
                self._put(f"{folder}/model.tar.gz", self.archive)
                self.ec2.terminate_instances(InstanceIds=[jobs[-1]["id"]])


@pytest.fixture(scope="module")
def account(tiny_model_dir: Path, colour_photos: Path) -> Iterator[dict[str, str]]:
    """The environment of an empty account whose machines work, and the notebook's settings."""
    with (
        aws_server() as environment,
        model_server(
            tiny_model_dir, "model_code.local", "--endpoint-name", "whatbreed-dev"
        ) as runtime,
    ):
        values = {
            **environment,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime,
            "PHOTOS": str(colour_photos),
            "COMPARE": "--instance-type ml.m5.xlarge --epochs 3",
        }
        before = dict(os.environ)
        os.environ.update(values)
        stopped = threading.Event()
        worker = threading.Thread(target=Machines(pack(tiny_model_dir)).work, args=[stopped])
        worker.start()
        try:
            yield values
        finally:
            stopped.set()
            worker.join()
            os.environ.clear()
            os.environ.update(before)


def execute(tmp_path: Path, *, spend: bool, times: int = 1) -> dict[str, str]:
    """Run each code cell `times` times in a row; return what the last time printed, by id."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = []
    for cell in notebook.cells:
        for number in range(times if cell.cell_type == "code" else 1):
            copy = deepcopy(cell)
            copy["id"] = f"{cell['id']}-{number}"
            cells.append(copy)
    notebook.cells = cells
    environment = {
        **os.environ,
        "SPEND": "yes" if spend else "",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PYTHONPATH": str(ROOT),
    }
    client = NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(ROOT / "docs")}}
    )
    client.execute(env=environment)
    return {
        cell["id"].removesuffix(f"-{times - 1}"): "".join(_text(each) for each in cell["outputs"])
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def _text(output: Any) -> str:
    return "".join(output.get("text") or output.get("data", {}).get("text/plain") or "")


def test_the_dry_run_of_an_empty_account_changes_nothing(
    account: dict[str, str], tmp_path: Path
) -> None:
    printed = execute(tmp_path, spend=False)
    assert "dry run: nothing is changed" in printed["settings"]
    assert "would" in printed["prepare"]
    assert "Bucket" in printed["compare"]
    assert "would create endpoint whatbreed-dev" in printed["deploy"]
    assert boto3.client("s3").list_buckets()["Buckets"] == []
    assert boto3.client("iam").list_roles()["Roles"] == []
    assert boto3.client("sagemaker").list_endpoints()["Endpoints"] == []


def test_every_cell_runs_twice_and_leaves_nothing_that_is_billed(
    account: dict[str, str], tmp_path: Path
) -> None:
    printed = execute(tmp_path, spend=True, times=2)
    assert "all runs were started before: first-1, first-4, first-ec2" in printed["compare"]
    assert "Train on" in printed["compare"]
    assert "to be served: first-1" in printed["best"]
    assert "already serves" in printed["deploy"]
    assert "whatbreed-dev: InService" in printed["deploy"]
    assert "-> Blue_terrier" in printed["predict"]
    assert "1 to 2 instances, target 960" in printed["scale"]
    sagemaker = boto3.client("sagemaker")
    assert len(sagemaker.list_training_jobs()["TrainingJobSummaries"]) == 2
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_models()["Models"] == []
    states = {
        instance["State"]["Name"]
        for reservation in boto3.client("ec2").describe_instances()["Reservations"]
        for instance in reservation["Instances"]
    }
    assert states == {"terminated"}
