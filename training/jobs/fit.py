"""Train in a SageMaker job on one or more instances, with the photos copied by `upload`.

All settings of [train] and [fit] are options. Every call starts a new run with its own checkpoints;
--resume continues one that was interrupted, with its settings. --from-tuning uses the values of the
best job of `tune-job`. The log is shown until the job ends; Ctrl-C asks whether to stop the job.

example:
  python -m training fit --instance-count 2 --epochs 20
  python -m training fit --run nightly --spot false --warm-pool-s 1800 --detach
  python -m training fit --resume nightly
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from aws import account as accounts
from aws import log_groups, prices, roles, s3_layout, s3_storage, training_image, training_jobs
from aws.account import Account
from aws.errors import AwsError
from aws.settings import FitSettings
from cli import commands
from training.jobs import hyperparameters, runs, s3_photos, sagemaker_trainer
from training.jobs.job_logs import follow
from training.jobs.run_options import require_new, resume_option, run_option
from training.jobs.runs import Run
from training.jobs.s3_photos import Listing
from training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """A job of `run` that is ready to start. `resumes` is whether the run had jobs before."""

    run: Run
    fit: FitSettings
    values: dict[str, Any]
    data: Listing
    resumes: bool = False


@commands.command(__doc__)
@run_option
@resume_option
@click.option("--from-tuning", metavar="JOB", help="Use the values of this tuning job's best job.")
@click.option("--detach", is_flag=True, help="Do not wait for the job to end.")
@commands.dry_run_option
@commands.json_option
@accounts.options(FitSettings, TrainSettings)
def command(
    account: Account,
    run: str | None,
    resume: str | None,
    from_tuning: str | None,
    detach: bool,
    dry_run: bool,
    as_json: bool,
    fit: FitSettings,
    train: TrainSettings,
) -> None:
    require_new(resume, run=run, from_tuning=from_tuning)
    if resume:
        plan = resumed(account, resume)
    else:
        if from_tuning:
            best = hyperparameters.best_of(account, from_tuning)
            train = hyperparameters.with_values(train, best)
        plan = new(account, run, fit, train)
    if dry_run:
        print(json.dumps(summary(account, plan), indent=2))
        return
    sagemaker_trainer.check_network(account, plan.fit)
    name = start(account, plan)
    console = f"https://{account.region}.console.aws.amazon.com/sagemaker/home"
    verb = "resumed" if plan.resumes else "started"
    print(f"{verb} run {plan.run.name} in {name}: {console}?region={account.region}#/jobs/{name}")
    print(f"if it is interrupted: python -m training fit --resume {plan.run.name}", flush=True)
    if detach:
        print(f"show its log: python -m training jobs --follow {name}")
        return
    job = follow(account, name)
    if as_json:
        print(json.dumps(job, default=str, indent=2))
        return
    for metric in job.get("FinalMetricDataList", []):
        print(f"{metric['MetricName']:>16}  {metric['Value']:.4f}")
    print(f"model: {job['ModelArtifacts']['S3ModelArtifacts']}")
    print(f"deploy it: python -m ops endpoint deploy --stage dev --job {name}")


def new(account: Account, name: str | None, fit: FitSettings, train: TrainSettings) -> Plan:
    """Plan the first job of a new run. Raises an error if its name or its photos are not usable."""
    data = s3_photos.fit_photos(account, fit)
    name = runs.new_name(account, "fit", name)
    run = Run.of(name, "fit", train, fit, data)
    return Plan(run, fit, job_values(fit, train), data)


def resumed(account: Account, name: str) -> Plan:
    """Plan the next job of a run, with the settings that it was started with.

    Raises an error if the run is being trained or is finished, or if settings or photos differ.
    """
    run = runs.load(account, "fit", name)
    if run.jobs:
        job = training_jobs.describe(account, run.jobs[-1].id)
        if job["TrainingJobStatus"] in ("InProgress", "Stopping"):
            latest = job["TrainingJobName"]
            raise AwsError(
                f"Run {run.name} is being trained by {latest}: see its log with `python -m "
                f"training jobs --follow {latest}`, or stop it with --stop."
            )
        if job["TrainingJobStatus"] == "Completed":
            raise runs.finished(run, job["ModelArtifacts"]["S3ModelArtifacts"])
    fit = runs.resumed_machine(run, FitSettings)
    train = runs.resumed_train(run)
    runs.require_same_source(run, s3_photos.source(account, fit.data))
    data = s3_photos.fit_photos(account, fit)
    runs.require_same_photos(run, data)
    return Plan(run, fit, job_values(fit, train), data, resumes=bool(run.jobs))


def job_values(fit: FitSettings, train: TrainSettings) -> dict[str, Any]:
    """Return the hyperparameters of a job by option name."""
    values = hyperparameters.changed(train)
    if fit.distribution == "ShardedByS3Key":
        values |= {"sharded": True, "data": sagemaker_trainer.SHARDED_DATA}
    return values


def start(account: Account, plan: Plan) -> str:
    """Start the job, record it, and return its name. If AWS refuses it, delete the uploads."""
    run, began = plan.run, datetime.now(UTC)
    log_groups.ensure(account, log_groups.TRAINING)
    channels = sagemaker_trainer.data_channels(plan.fit, plan.data)
    runs.save(account, run)
    with sagemaker_trainer.model_trainer(account, plan.fit, run.name, plan.values) as trainer:
        try:
            roles.once_assumable(
                account,
                account.role_arn(account.settings.training_role),
                lambda: trainer.train(input_data_config=channels, wait=False, logs=False),
            )
        except BaseException:
            _delete_uploads(account, run.name, began)
            if not run.jobs:
                runs.delete(account, run)
            raise
    name = str(trainer._latest_training_job.training_job_name)
    runs.save(account, run.with_job(name, began))
    return name


def _delete_uploads(account: Account, run: str, began: datetime) -> None:
    """Delete what was uploaded for this run's jobs since `began`."""
    name = sagemaker_trainer.job_base_name(account, run)
    prefix = f"{account.settings.prefix}/{s3_layout.JOBS}/{name}-"
    began = began.replace(microsecond=0)  # S3's times are in whole seconds
    objects = s3_storage.listing(account, account.bucket, prefix)
    s3_storage.delete(account, [item["Key"] for item in objects if item["LastModified"] >= began])


def summary(account: Account, plan: Plan) -> dict[str, Any]:
    """Return what `fit` would start, and its maximum cost if the price is known."""
    fit, run = plan.fit, plan.run
    hours = fit.instance_count * fit.max_runtime_s / 3600
    return {
        "run": run.name,
        "resumes": plan.resumes,
        "name": sagemaker_trainer.job_base_name(account, run.name) + "-TIMESTAMP",
        "role": account.role_arn(account.settings.training_role),
        "image": training_image.uri(account, fit),
        "instances": f"{fit.instance_count} x {fit.instance_type}",
        "spot": fit.spot,
        "data": plan.data.uri,
        "photos": len(plan.data.photos),
        "distribution": fit.distribution,
        "hyperparameters": plan.values,
        "checkpoints": runs.uri(account, run),
        "output": account.uri(s3_layout.JOBS),
        "vpc": account.settings.vpc_config(),
        "network_isolation": fit.network_isolation,
        "max_runtime_s": fit.max_runtime_s,
        **prices.at_most("training", fit.instance_type, hours),
    }
