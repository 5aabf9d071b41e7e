"""Run a training job as its containers would: the job's own entrypoint on N hosts, in namespaces.

Each host has a mount namespace with its own /opt/ml, filled with what `fit` uploaded, and its own
host name. All share one network namespace, in which only `algo-1`, `algo-2` … resolve. Killing the
replay kills every process in it, like a spot interruption.
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

TOOLS = ("unshare", "mount", "ip", "hostname")


def obstacle() -> str:
    """Return why jobs cannot be replayed on this machine; empty if they can."""
    if os.geteuid() != 0:
        return "replaying a job needs root, for namespaces"
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"replaying a job needs {', '.join(missing)}"
    if sys.base_prefix.startswith("/opt"):
        return "this Python is installed in /opt, which a replay hides"
    probe = ["unshare", "-n", "-m", "-u", "-p", "-f", "mount", "-t", "tmpfs", "tmpfs", "/opt"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return "namespaces are not allowed here"
    return ""


@dataclass(frozen=True)
class Replay:
    """One training job, replayed below `folder`."""

    folder: Path
    job: dict[str, Any]

    @property
    def hosts(self) -> list[str]:
        return [f"algo-{n + 1}" for n in range(self.job["ResourceConfig"]["InstanceCount"])]

    def ml(self, host: str) -> Path:
        """Return the folder that the container of `host` has as /opt/ml."""
        return self.folder / host / "ml"

    def log(self, host: str) -> str:
        path = self.folder / host / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def lay_out(self) -> None:
        """Give each host a new /opt/ml with the checkpoints so far, as SageMaker does."""
        saved = self.folder / "checkpoints"
        if (written := self.ml(self.hosts[0]) / "checkpoints").is_dir():
            shutil.rmtree(saved, ignore_errors=True)
            shutil.copytree(written, saved)
        for host in self.hosts:
            ml = self.ml(host)
            shutil.rmtree(ml.parent, ignore_errors=True)
            for part in ("input/config", "model", "output/data", "input/data"):
                (ml / part).mkdir(parents=True)
            if saved.is_dir():
                shutil.copytree(saved, ml / "checkpoints")
            else:
                (ml / "checkpoints").mkdir()
                _download(self.job["CheckpointConfig"]["S3Uri"], ml / "checkpoints")
            for name, document in self._config(host).items():
                path = ml / "input" / "config" / f"{name}.json"
                path.write_text(json.dumps(document), encoding="utf-8")
            for channel in self.job["InputDataConfig"]:
                self._fetch(channel, ml / "input" / "data" / channel["ChannelName"], host)

    def store_checkpoints(self) -> None:
        """Copy the leader's checkpoints to S3, as SageMaker does while a job runs."""
        bucket, _, prefix = self.job["CheckpointConfig"]["S3Uri"][5:].partition("/")
        for path in (self.ml(self.hosts[0]) / "checkpoints").iterdir():
            boto3.client("s3").upload_file(str(path), bucket, f"{prefix}/{path.name}")

    def start(self) -> subprocess.Popen[bytes]:
        """Start all hosts; the process exits with 0 if each of them does."""
        names = "127.0.0.1 localhost " + " ".join(self.hosts)
        hosts_file = self.folder / "hosts"
        hosts_file.write_text(names + "\n", encoding="utf-8")
        specification = self.job["AlgorithmSpecification"]
        entrypoint = shlex.join(
            specification["ContainerEntrypoint"] + specification["ContainerArguments"]
        )
        lines = [
            "ip link set lo up",
            "mount -t proc proc /proc",
            f"mount --bind {shlex.quote(str(hosts_file))} /etc/hosts",
        ]
        for host in self.hosts:
            inside = (
                f"hostname {host} && mount -t tmpfs tmpfs /opt && mkdir /opt/ml && "
                f"mount --bind {shlex.quote(str(self.ml(host)))} /opt/ml && exec {entrypoint}"
            )
            log = shlex.quote(str(self.folder / host / "log"))
            lines.append(f"unshare -m -u bash -c {shlex.quote(inside)} > {log} 2>&1 &")
        lines += ["code=0", "for job in $(jobs -p); do wait $job || code=1; done", "exit $code"]
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": "/root",
            "TRAINING_JOB_NAME": self.job["TrainingJobName"],
            "PIP_NO_INDEX": "1",  # the requirements are installed
            "OMP_NUM_THREADS": "1",
            **self.job.get("Environment", {}),
        }
        return subprocess.Popen(
            [
                "unshare",
                "-n",
                "-m",
                "-p",
                "-f",
                "--kill-child=KILL",
                "bash",
                "-c",
                "\n".join(lines),
            ],
            env=environment,
        )

    def _config(self, host: str) -> dict[str, Any]:
        resources = self.job["ResourceConfig"]
        group = {
            "instance_group_name": "homogeneousCluster",
            "instance_type": resources["InstanceType"],
            "hosts": self.hosts,
        }
        return {
            "hyperparameters": self.job.get("HyperParameters", {}),
            "inputdataconfig": {
                channel["ChannelName"]: {"TrainingInputMode": "File"}
                for channel in self.job["InputDataConfig"]
            },
            "resourceconfig": {
                "current_host": host,
                "hosts": self.hosts,
                "network_interface_name": "lo",
                "current_instance_type": resources["InstanceType"],
                "current_group_name": "homogeneousCluster",
                "instance_groups": [group],
            },
        }

    def _fetch(self, channel: dict[str, Any], folder: Path, host: str) -> None:
        """Copy a channel from S3: all of it, or every n-th object if it is sharded."""
        source = channel["DataSource"]["S3DataSource"]
        bucket, _, prefix = source["S3Uri"].removeprefix("s3://").partition("/")
        s3 = boto3.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        if source.get("S3DataDistributionType") == "ShardedByS3Key":
            keys = keys[self.hosts.index(host) :: len(self.hosts)]
        for key in keys:
            path = folder / key.removeprefix(prefix).lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, key, str(path))

    def model_archive(self) -> Path:
        """Write model.tar.gz as SageMaker does from /opt/ml/model at the end."""
        archive = self.folder / "model.tar.gz"
        with tarfile.open(archive, "w:gz") as stream:
            for path in sorted(self.ml(self.hosts[0]).joinpath("model").iterdir()):
                stream.add(path, path.name)
        return archive


def _download(uri: str, folder: Path) -> None:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    s3 = boto3.client("s3")
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", []):
        s3.download_file(bucket, item["Key"], str(folder / item["Key"].rpartition("/")[2]))
