"""Train in a SageMaker job on one or more instances, with the photos copied by `upload`.

All settings of [train] and [fit] are options. The jobs of one --run share checkpoints: a later job
resumes where an earlier one ended. --from-tuning uses the values of the best job of `tune-job`.
The log is shown until the job ends; Ctrl-C asks whether to stop the job.

example:
  python -m training fit --instance-count 2 --epochs 20
  python -m training fit --run nightly --spot false --warm-pool-s 1800 --detach
"""

import json
from datetime import UTC, datetime
from typing import Any

import click

from aws import account as accounts
from aws import log_groups, prices, s3_layout, s3_storage, training_image
from aws.account import Account
from aws.settings import FitSettings
from cli import commands
from training.jobs import hyperparameters, sagemaker_trainer
from training.jobs.job_logs import follow
from training.settings import TrainSettings


@commands.command(__doc__)
@click.option("--run", default="fit", show_default=True, help="Jobs of one run share checkpoints.")
@click.option("--from-tuning", metavar="JOB", help="Use the values of this tuning job's best job.")
@click.option("--detach", is_flag=True, help="Do not wait for the job to end.")
@commands.dry_run_option
@commands.json_option
@accounts.options(FitSettings, TrainSettings)
def command(
    account: Account,
    run: str,
    from_tuning: str | None,
    detach: bool,
    dry_run: bool,
    as_json: bool,
    fit: FitSettings,
    train: TrainSettings,
) -> None:
    values = job_values(fit, train)
    if from_tuning:
        values = hyperparameters.best_of(account, from_tuning) | values
    data = sagemaker_trainer.photos_uri(account, fit)
    if dry_run:
        print(json.dumps(summary(account, fit, run, values, data), indent=2))
        return
    sagemaker_trainer.check_network(account, fit)
    name = start(account, fit, run, values, data)
    console = f"https://{account.region}.console.aws.amazon.com/sagemaker/home"
    print(f"started {name}: {console}?region={account.region}#/jobs/{name}", flush=True)
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


def job_values(fit: FitSettings, train: TrainSettings) -> dict[str, Any]:
    """Return the hyperparameters of a job by option name."""
    values = hyperparameters.changed(train)
    if fit.distribution == "ShardedByS3Key":
        values |= {"sharded": True, "data": sagemaker_trainer.SHARDED_DATA}
    return values


def start(account: Account, fit: FitSettings, run: str, values: dict[str, Any], data: str) -> str:
    """Start the job and return its name. If AWS refuses it, delete what was uploaded."""
    began = datetime.now(UTC)
    log_groups.ensure(account, log_groups.TRAINING)
    channels = sagemaker_trainer.data_channels(account, fit, data)
    with sagemaker_trainer.model_trainer(account, fit, run, values) as trainer:
        try:
            trainer.train(input_data_config=channels, wait=False, logs=False)
        except BaseException:
            _delete_uploads(account, run, began)
            raise
    return str(trainer._latest_training_job.training_job_name)


def _delete_uploads(account: Account, run: str, began: datetime) -> None:
    """Delete what was uploaded for this run's jobs since `began`."""
    name = sagemaker_trainer.job_base_name(account, run)
    prefix = f"{account.settings.prefix}/{s3_layout.JOBS}/{name}-"
    began = began.replace(microsecond=0)  # S3's times are in whole seconds
    objects = s3_storage.listing(account, account.bucket, prefix)
    s3_storage.delete(account, [item["Key"] for item in objects if item["LastModified"] >= began])


def summary(
    account: Account, fit: FitSettings, run: str, values: dict[str, Any], data: str
) -> dict[str, Any]:
    """Return what `fit` would start, and its maximum cost if the price is known."""
    price = prices.instance_usd_per_hour("training", fit.instance_type)
    hours = fit.max_runtime_s / 3600 * fit.instance_count
    unknown = {} if price else {"cost_note": prices.unknown("training", fit.instance_type)}
    return {
        "name": sagemaker_trainer.job_base_name(account, run) + "-TIMESTAMP",
        "role": account.role_arn(account.settings.training_role),
        "image": training_image.uri(account, fit),
        "instances": f"{fit.instance_count} x {fit.instance_type}",
        "spot": fit.spot,
        "data": data,
        "distribution": fit.distribution,
        "hyperparameters": values,
        "checkpoints": account.uri(s3_layout.CHECKPOINTS, run),
        "output": account.uri(s3_layout.JOBS),
        "vpc": account.settings.vpc_config(),
        "network_isolation": fit.network_isolation,
        "max_runtime_s": fit.max_runtime_s,
        "cost_at_most_usd": None if price is None else round(price * hours, 2),
        **unknown,
    }
