"""Train in SageMaker: one job on any number of instances, from the photos that `upload` sent.

Every key of [train] and of [cloud.training] in settings.toml is an option. The jobs of one --run
share their checkpoints: the second goes on where the first ended. The log is shown while waiting;
Ctrl-C asks whether to stop the job, --detach does not wait. --from-tuning takes the values of the
best job of a `tune --cloud`.

example:
  python -m training fit --instance-count 2 --epochs 20
  python -m training fit --run nightly --spot false --warm-pool-s 1800 --detach
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws import account as accounts
from aws import s3_layout, s3_storage, settings, training_image
from aws.account import Account, told_in_one_line
from aws.errors import AwsError
from aws.s3_layout import DATA
from aws.settings import FitSettings
from training import settings as configuration
from training.jobs import sagemaker_trainer, source_code
from training.jobs.job_logs import follow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="S3 prefix of the photos (default: where upload puts them)")
    parser.add_argument("--run", default="fit", help="its jobs share checkpoints (default fit)")
    parser.add_argument("--from-tuning", metavar="NAME", help="take its best job's values")
    parser.add_argument("--detach", action="store_true", help="do not wait for the end")
    parser.add_argument("--dry-run", action="store_true", help="say what would be started")
    parser.add_argument("--json", action="store_true", help="print the job as JSON at the end")
    accounts.add_options(parser)
    settings.add_options(parser, settings.FitSettings)
    configuration.add_train_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    options = FitSettings.read(vars(arguments))
    values = hyperparameters(arguments, options)
    if arguments.from_tuning:
        from training.jobs.tuning_job import best_values

        values = {**best_values(account, arguments.from_tuning), **values}
    data = arguments.data or account.uri(DATA)
    if not s3_storage.exists(account):
        raise AwsError(f"bucket {account.bucket} does not exist: upload --create-bucket makes it")
    sagemaker_trainer.check_photos(account, options, data)
    if arguments.dry_run:
        print(json.dumps(summary(account, options, arguments.run, values, data), indent=2))
        return
    name = start(account, options, arguments.run, values, data)
    print(f"started {name}: {console_address(account, name)}", flush=True)
    if arguments.detach:
        print(f"watch it with `python -m training jobs --follow {name}`")
        return
    job = follow(account, name)
    if arguments.json:
        print(json.dumps(job, default=str, indent=2))
        return
    for metric in job.get("FinalMetricDataList", []):
        print(f"{metric['MetricName']:>16}  {metric['Value']:.4f}")
    print(f"model: {job['ModelArtifacts']['S3ModelArtifacts']}")
    print(f"deploy it with `python -m training deploy --stage dev --job {name}`")


def hyperparameters(arguments: argparse.Namespace, options: FitSettings) -> dict[str, Any]:
    """The values of [train] that were given as options, checked, by their option's names.

    The job carries our settings.toml, so that all others need not be said.
    """
    given = {key: value for key, value in vars(arguments).items() if value is not None}
    checked = configuration.train_settings(given)
    known = configuration.table("train")
    values = {key: getattr(checked, key) for key in given if key in known}
    if options.distribution == "ShardedByS3Key":
        values.update(sharded=True, data=sagemaker_trainer.SHARDED_DATA)
    return {key.replace("_", "-"): value for key, value in values.items()}


def start(
    account: Account, options: FitSettings, run: str, values: dict[str, Any], data: str
) -> str:
    """Start the job and return its name. Where AWS refuses it, what was uploaded is removed."""
    began = datetime.now(UTC)
    with TemporaryDirectory() as folder:
        source_code.pack(Path(folder))
        job = sagemaker_trainer.model_trainer(account, options, run, values, Path(folder))
        try:
            job.train(
                input_data_config=sagemaker_trainer.data_channels(account, options, data),
                wait=False,
                logs=False,
            )
        except BaseException:
            _remove_uploads(account, run, began)
            raise
        finally:
            sagemaker_trainer.clean_up(job)
    return str(job._latest_training_job.training_job_name)


def _remove_uploads(account: Account, run: str, began: datetime) -> None:
    """Remove what was packed for a job that never came to be."""
    prefix = f"{account.settings.prefix}/{s3_layout.JOBS}/{sagemaker_trainer.job_base_name(account, run)}-"
    found = s3_storage.listing(account, account.bucket, prefix)
    began = began.replace(microsecond=0)  # S3 counts seconds
    s3_storage.delete(account, [item["Key"] for item in found if item["LastModified"] >= began])


def summary(
    account: Account, options: FitSettings, run: str, values: dict[str, Any], data: str
) -> dict[str, Any]:
    """What `fit` would start, and the most that it could cost in US dollars where that is known."""
    price = settings.prices().get(options.instance_type)
    hours = options.max_runtime_s / 3600 * options.instance_count
    return {
        "name": sagemaker_trainer.job_base_name(account, run) + "-TIMESTAMP",
        "role": account.role_arn(account.settings.training_role),
        "image": training_image.uri(account, options),
        "instances": f"{options.instance_count} x {options.instance_type}",
        "spot": options.spot,
        "data": data,
        "distribution": options.distribution,
        "hyperparameters": values,
        "checkpoints": account.uri(s3_layout.CHECKPOINTS, run),
        "output": account.uri(s3_layout.JOBS),
        "vpc": account.settings.vpc_config(),
        "network_isolation": options.network_isolation,
        "max_runtime_s": options.max_runtime_s,
        "cost_at_most_usd": None if price is None else round(price * hours, 2),
    }


def console_address(account: Account, name: str) -> str:
    """Where AWS's console shows the job."""
    host = f"https://{account.region}.console.aws.amazon.com"
    return f"{host}/sagemaker/home?region={account.region}#/jobs/{name}"
