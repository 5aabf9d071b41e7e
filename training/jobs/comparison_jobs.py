"""The jobs of a comparison: planned, priced and started together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aws import ec2_instances, prices
from aws.account import Account
from aws.settings import Ec2Settings, FitSettings
from cli.errors import SettingsError
from training.jobs import ec2, fit, runs, sagemaker_trainer
from training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Plans:
    """SageMaker jobs on different numbers of instances, and an EC2 instance of the same type.

    `names` are those of all runs of the comparison, of which some may have been started before.
    """

    names: list[str]
    jobs: list[fit.Plan]
    instance: ec2.Plan | None


def share(train: TrainSettings, machines: int) -> TrainSettings:
    """Return [train] for one of `machines`, which together see the same photos in each step."""
    if train.batch_size % machines:
        raise SettingsError(
            f"--batch-size {train.batch_size} cannot be divided by {machines}, so the runs would "
            "not see the same photos in each step: give a multiple."
        )
    return train.model_copy(update={"batch_size": train.batch_size // machines})


def plan(
    account: Account,
    name: str | None,
    counts: Sequence[int],
    settings: FitSettings,
    train: TrainSettings,
    machine: Ec2Settings | None,
) -> Plans:
    """Plan a job per number of instances, and one on EC2 unless `machine` is None.

    The runs are called `name`-1, `name`-4, `name`-ec2; those that were started before are not
    planned again. Raises an error if the photos or the network are not usable.
    """
    name = name or f"compare-{datetime.now(UTC):%Y%m%d%H%M%S}"
    runs_of = {f"{name}-{count}": count for count in counts}
    jobs = []
    for run, count in runs_of.items():
        if _is_started(account, run):
            continue
        each = settings.model_copy(update={"instance_count": count})
        sagemaker_trainer.check_network(account, each)
        jobs.append(fit.new(account, run, each, share(train, count)))
    if machine is None:
        return Plans([*runs_of], jobs, None)
    run = f"{name}-ec2"
    if _is_started(account, run):
        return Plans([*runs_of, run], jobs, None)
    instance_type = settings.instance_type.removeprefix("ml.")
    machine = machine.model_copy(update={"instance_type": instance_type, "spot": settings.spot})
    return Plans([*runs_of, run], jobs, ec2.new(account, run, machine, train, settings))


def _is_started(account: Account, name: str) -> bool:
    run = runs.get(account, name)
    return run is not None and bool(run.jobs)


def summary(account: Account, plans: Plans) -> dict[str, Any]:
    """Return what would start, and the most that it costs if the prices are known."""
    lines: list[dict[str, Any]] = [
        {
            "run": plan.run.name,
            "on": f"{plan.fit.instance_count} x {plan.fit.instance_type}",
            "spot": plan.fit.spot,
            "hyperparameters": plan.values,
            **prices.at_most(
                "training",
                plan.fit.instance_type,
                plan.fit.instance_count * plan.fit.max_runtime_s / 3600,
            ),
        }
        for plan in plans.jobs
    ]
    if (instance := plans.instance) is not None:
        kind = instance.ec2.instance_type
        lines.append(
            {
                "run": instance.run.name,
                "on": f"EC2 {kind}",
                "spot": instance.ec2.spot,
                "hyperparameters": instance.values,
                **prices.at_most("ec2", kind, instance.ec2.max_hours),
                "spot_usd_per_hour": ec2_instances.spot_usd_per_hour(account, kind),
            }
        )
    costs = [line["cost_at_most_usd"] for line in lines]
    total = None if None in costs else round(sum(costs), 2)
    return {"runs": lines, "cost_at_most_usd": total}


def start(account: Account, plans: Plans) -> None:
    """Start all jobs. If AWS refuses one, stop those that have started."""
    started: list[str] = []
    sagemaker = account.client("sagemaker")
    try:
        for plan in plans.jobs:
            started.append(fit.start(account, plan))
            print(f"started run {plan.run.name} in {started[-1]}", flush=True)
        if plans.instance is not None:
            instance = ec2.start(account, plans.instance)
            print(f"started run {plans.instance.run.name} on {instance}", flush=True)
    except BaseException:
        for name in started:
            sagemaker.stop_training_job(TrainingJobName=name)
            print(f"stopped {name}: the comparison is incomplete without all jobs", flush=True)
        raise
