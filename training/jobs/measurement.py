"""What a run cost and achieved: its time in parts, its price, and its accuracy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aws import ec2_instances, prices, s3_storage
from aws.account import Account
from training.jobs import runs
from training.jobs.runs import Run
from training.run_result import FILE, Result


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of a run, from the request to the model.

    `startup` is the time until the program runs, without the download of the photos: that is part
    of `data`, like reading and decoding them. `export` includes the upload of the model.
    """

    startup: float
    data: float
    training: float
    export: float

    @property
    def total(self) -> float:
        return self.startup + self.data + self.training + self.export


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run. `usd_spot` is the price of a spot job. What is unknown is None, and `note` says why.

    `train` are the settings [train], `data` identifies the photos.
    """

    name: str
    place: str
    machines: int
    status: str
    times: Times | None = None
    result: Result | None = None
    usd_on_demand: float | None = None
    usd_spot: float | None = None
    train: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    note: str = ""


def run_of(account: Account, job: Mapping[str, Any]) -> Run | None:
    """Return the record of a job's run, which is next to its checkpoints; None if it has none."""
    folder = (job.get("CheckpointConfig") or {}).get("S3Uri", "")
    return runs.get(account, folder.rstrip("/").rpartition("/")[2]) if folder else None


def of_job(account: Account, job: Mapping[str, Any], run: Run | None) -> Measurement:
    """Measure a SageMaker job from DescribeTrainingJob and the result.json of its run."""
    resources = job["ResourceConfig"]
    kind, count = resources.get("InstanceType", ""), int(resources.get("InstanceCount", 1))
    folder = (job.get("CheckpointConfig") or {}).get("S3Uri", "")
    completed = job["TrainingJobStatus"] == "Completed"
    result = _result(account, folder) if completed and folder else None
    price = prices.instance_usd_per_hour("training", kind)
    trained_s, billed_s = job.get("TrainingTimeInSeconds"), job.get("BillableTimeInSeconds")
    spot = bool(job.get("EnableManagedSpotTraining"))
    return Measurement(
        name=run.name if run else job["TrainingJobName"],
        place=f"{count} x {kind}",
        machines=count,
        status=job["TrainingJobStatus"],
        times=_job_times(job, result),
        result=result,
        usd_on_demand=_usd(price, trained_s, count),
        usd_spot=_usd(price, billed_s, count) if spot else None,
        train=run.train if run else job.get("HyperParameters") or {},
        data=run.fingerprint if run else "",
        note="" if price is not None else prices.unknown("training", kind),
    )


def of_ec2(account: Account, run: Run) -> Measurement:
    """Measure an EC2 run from the times and the result.json that its instance wrote."""
    kind, folder = run.machine["instance_type"], runs.uri(account, run)
    finished = s3_storage.object_exists(account, f"{folder}/model.tar.gz")
    state = ec2_instances.state(account, run.jobs[-1].id) if run.jobs else "terminated"
    status = "Completed" if finished else "Failed" if state == "terminated" else "InProgress"
    result = _result(account, f"{folder}/run") if finished else None
    times = _ec2_times(account, run, result) if finished else None
    total_s = None if times is None else times.total
    price = prices.instance_usd_per_hour("ec2", kind)
    spot_price = ec2_instances.spot_usd_per_hour(account, kind) if run.machine["spot"] else None
    return Measurement(
        name=run.name,
        place=f"EC2 {kind}",
        machines=1,
        status=status,
        times=times,
        result=result,
        usd_on_demand=_usd(price, total_s, 1),
        usd_spot=_usd(spot_price, total_s, 1),
        train=run.train,
        data=run.fingerprint,
        note="" if price is not None else prices.unknown("ec2", kind),
    )


def _job_times(job: Mapping[str, Any], result: Result | None) -> Times | None:
    """Return the seconds of a job's parts, or None if it has not ended.

    The status Training includes the start of the container and the installation of packages, which
    belong to the start-up: it is what the program has not measured.
    """
    ended: datetime | None = job.get("TrainingEndTime")
    if ended is None:
        return None
    total = (ended - job["CreationTime"]).total_seconds()
    spent = dict.fromkeys(("Downloading", "Training", "Uploading"), 0.0)
    for transition in job.get("SecondaryStatusTransitions") or []:
        end = transition.get("EndTime") or ended
        if transition["Status"] in spent:
            spent[transition["Status"]] += (end - transition["StartTime"]).total_seconds()
    data, export = spent["Downloading"], spent["Uploading"]
    training = spent["Training"]
    if result is not None:
        training = min(training, result.training_s)
        data, export = data + result.data_s, export + result.export_s
    startup = max(0.0, total - data - training - export)
    return Times(startup, data, training, export)


def _ec2_times(account: Account, run: Run, result: Result | None) -> Times | None:
    text = s3_storage.read(account, f"{runs.uri(account, run)}/times.txt")
    if text is None or result is None:
        return None
    at = {name: float(value) for name, value in map(str.split, text.decode().splitlines())}
    started = run.jobs[-1].started.timestamp()
    data = at["downloaded"] - at["installed"] + result.data_s
    export, total = at["exported"] - at["trained"], at["exported"] - started
    startup = max(0.0, total - data - result.training_s - export)
    return Times(startup, data, result.training_s, export)


def _result(account: Account, folder: str) -> Result | None:
    return Result.parse(s3_storage.read(account, f"{folder.rstrip('/')}/{FILE}"))


def _usd(price: float | None, seconds: float | None, machines: int) -> float | None:
    if price is None or seconds is None:
        return None
    return price * seconds / 3600 * machines
