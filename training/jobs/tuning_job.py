"""SageMaker's hyperparameter tuning over the same search space as the local `tune`.

example:
  python -m training tune --cloud --max-jobs 20 --parallel-jobs 4
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botocore.exceptions import ClientError

from aws import account as accounts
from aws import s3_layout, s3_storage, settings
from aws.account import Account, is_missing, told_in_one_line
from aws.errors import AwsError, JobFailed
from aws.s3_layout import DATA
from aws.settings import FitSettings, TuningJobSettings
from cli.errors import SettingsError
from training import settings as configuration
from training.jobs import sagemaker_trainer, source_code
from training.jobs.fit import hyperparameters

POLL_S = 30.0
_ENDED = frozenset({"Completed", "Failed", "Stopped"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="S3 prefix of the photos (default: where upload puts them)")
    parser.add_argument("--run", default="tune", help="start of the job's name (default tune)")
    parser.add_argument("--detach", action="store_true", help="do not wait for the end")
    parser.add_argument("--dry-run", action="store_true", help="say what would be started")
    parser.add_argument("--json", action="store_true", help="print the best job as JSON")
    accounts.add_options(parser)
    settings.add_options(parser, TuningJobSettings)
    settings.add_options(parser, FitSettings)
    configuration.add_train_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    options = FitSettings.read(vars(arguments))
    budget = TuningJobSettings.read(vars(arguments))
    if budget.objective not in options.metrics:
        raise SettingsError(f"objective {budget.objective!r} is none of [cloud.training.metrics]")
    space = configuration.table("tune")["space"]
    data = arguments.data or account.uri(DATA)
    if not s3_storage.exists(account):
        raise AwsError(f"bucket {account.bucket} does not exist: upload --create-bucket makes it")
    sagemaker_trainer.check_photos(account, options, data)
    if arguments.dry_run:
        what = {"space": space, "jobs": budget.max_jobs, "at_a_time": budget.parallel_jobs}
        print(json.dumps({**what, "strategy": budget.strategy, "data": data}, indent=2))
        return
    fixed = {
        key: value
        for key, value in hyperparameters(arguments, options).items()
        if key.replace("-", "_") not in space
    }
    name = start(account, options, budget, arguments.run, space, fixed, data)
    print(f"started tuning job {name}: {budget.max_jobs} jobs, {budget.parallel_jobs} at a time")
    if arguments.detach:
        print(f"take its best values with `python -m training fit --from-tuning {name}`")
        return
    follow(account, name)
    best = best_values(account, name)
    if arguments.json:
        print(json.dumps({"tuning_job": name, "values": best}, indent=2))
        return
    for key, value in best.items():
        print(f"{key:>20}  {value}")
    print(f"train with them: `python -m training fit --from-tuning {name}`")


def start(
    account: Account,
    options: FitSettings,
    budget: TuningJobSettings,
    run: str,
    space: Mapping[str, Any],
    fixed: dict[str, Any],
    data: str,
) -> str:
    """Start the tuning job and return its name; `fixed` are the values that all jobs share.

    `HyperparameterTuner` starts each job through the containers' own toolkit: without torchrun,
    network isolation, encryption between containers or warm pools.
    """
    from sagemaker.train.tuner import (  # type: ignore[import-untyped]
        HyperparameterTuner,
    )

    with TemporaryDirectory() as folder:
        source_code.pack(Path(folder))
        # Checkpoints of several jobs must not meet: each of them starts from nothing.
        model_trainer = sagemaker_trainer.model_trainer(account, options, run, fixed, Path(folder))
        model_trainer.checkpoint_config = None
        # The tuner uploads below this name, and the role may read below the prefix only.
        model_trainer.base_job_name = f"{account.settings.prefix}/{s3_layout.JOBS}/{sagemaker_trainer.job_base_name(account, run)}"
        tuner = HyperparameterTuner(
            model_trainer=model_trainer,
            objective_metric_name=budget.objective,
            hyperparameter_ranges=ranges(space),
            metric_definitions=[
                {"Name": name, "Regex": regex} for name, regex in options.metrics.items()
            ],
            strategy=budget.strategy,
            objective_type="Maximize",
            max_jobs=budget.max_jobs,
            max_parallel_jobs=budget.parallel_jobs,
            early_stopping_type="Auto" if budget.early_stopping else "Off",
            base_tuning_job_name=sagemaker_trainer.job_base_name(account, run)[:16].rstrip("-"),
            tags=account.settings.tag_list(),
        )
        try:
            tuner.tune(inputs=sagemaker_trainer.data_channels(account, options, data), wait=False)
        finally:
            sagemaker_trainer.clean_up(model_trainer)
    return str(tuner.latest_tuning_job.hyper_parameter_tuning_job_name)


def ranges(space: Mapping[str, Any]) -> dict[str, Any]:
    """The search space of settings.toml, [tune.space], as SageMaker's parameter ranges.

    A range has a `type`: float, log (a float on a log scale) or int with `low` and `high`, or
    choice with `values`. Raises `SettingsError` for anything else.
    """
    from sagemaker.core.parameter import (  # type: ignore[import-untyped]
        CategoricalParameter,
        ContinuousParameter,
        IntegerParameter,
    )

    found: dict[str, Any] = {}
    for key, one in space.items():
        try:
            match one["type"]:
                case "choice":
                    values = CategoricalParameter(one["values"])
                case "int":
                    values = IntegerParameter(one["low"], one["high"])
                case "float":
                    values = ContinuousParameter(one["low"], one["high"])
                case "log":
                    values = ContinuousParameter(
                        one["low"], one["high"], scaling_type="Logarithmic"
                    )
                case other:
                    raise SettingsError(f"[tune.space] {key}: type {other!r} is unknown")
        except KeyError as missing:
            raise SettingsError(f"[tune.space] {key} lacks {missing}") from None
        found[key.replace("_", "-")] = values
    return found


def follow(account: Account, name: str) -> None:
    """Print how many jobs are done until the tuning job ends. Raises `JobFailed`."""
    told = ""
    while True:
        job = _describe(account, name)
        counts = job.get("TrainingJobStatusCounters", {})
        best = job.get("BestTrainingJob", {}).get("FinalHyperParameterTuningJobObjectiveMetric", {})
        line = f"{name}: {job['HyperParameterTuningJobStatus']}, {counts.get('Completed', 0)} done"
        if best:
            line += f", best {best['MetricName']} {best['Value']:.4f}"
        if line != told:
            print(line, flush=True)
            told = line
        if job["HyperParameterTuningJobStatus"] in _ENDED:
            break
        time.sleep(POLL_S)
    if job["HyperParameterTuningJobStatus"] == "Failed":
        raise JobFailed(f"{name} failed: {job.get('FailureReason', 'AWS gives no reason')}")


def best_values(account: Account, name: str) -> dict[str, Any]:
    """The hyperparameters of a tuning job's best training job, by their option's names.

    Raises `AwsError` where there is no such tuning job, or none of its jobs has ended yet.
    """
    best = _describe(account, name).get("BestTrainingJob") or {}
    if not best.get("TunedHyperParameters"):
        raise AwsError(f"{name} has no best job yet: wait until one of its jobs has completed")
    return {
        key: _value(text)
        for key, text in best["TunedHyperParameters"].items()
        if not key.startswith(("sagemaker_", "_tuning"))
    }


def _describe(account: Account, name: str) -> dict[str, Any]:
    try:
        return dict(
            account.client("sagemaker").describe_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=name
            )
        )
    except ClientError as error:
        if is_missing(error):
            raise AwsError(f"no tuning job {name}: see `python -m training jobs`") from None
        raise


def _value(text: str) -> Any:
    """A hyperparameter as the number it stands for.

    SageMaker knows texts only, and writes those of a categorical range as JSON texts.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return _value(value) if isinstance(value, str) and value != text else value
