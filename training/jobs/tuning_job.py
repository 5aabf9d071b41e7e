"""Search for better hyperparameters with SageMaker's tuner, in the search space of `tune`.

The search space is [tune].space of settings.toml; the tuner starts jobs with the settings of [fit].
The tuner supports neither torchrun nor network isolation, encrypted traffic or warm pools.
`fit --from-tuning` trains with the best values; --save writes them to a file for --settings.

example:
  python -m training tune-job --max-jobs 20 --parallel-jobs 4 --dry-run
  python -m training tune-job --job whatbreed-tune-261126-0930 --save tuned.toml
"""

import json
from collections.abc import Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import click

from aws import account as accounts
from aws import log_groups, prices, roles, s3_layout
from aws.account import Account
from aws.settings import FitSettings, TuningJobSettings
from cli import commands
from cli.errors import SettingsError
from cli.files import write_atomically
from training.jobs import hyperparameters, job_logs, s3_photos, sagemaker_trainer
from training.jobs.fit import job_values
from training.jobs.s3_photos import Listing
from training.settings import Choice, Range, TrainSettings, TuneSettings, as_toml

Space = Mapping[str, Range | Choice]
MAX_SEARCHED = 30
"""Hyperparameters of a tuning job, and values of one.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-limits.html
"""


@commands.command(__doc__)
@click.option("--run", default="tune", show_default=True, help="Start of the tuning job's name.")
@click.option("--job", metavar="NAME", help="Wait for this tuning job; start none.")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file to write the best values to.",
)
@click.option("--detach", is_flag=True, help="Do not wait for the tuning job to end.")
@commands.dry_run_option
@commands.json_option
@accounts.options(TuningJobSettings, FitSettings, TrainSettings, without_options=[TuneSettings])
def command(
    account: Account,
    run: str,
    job: str | None,
    save: Path | None,
    detach: bool,
    dry_run: bool,
    as_json: bool,
    tuning_job: TuningJobSettings,
    fit: FitSettings,
    train: TrainSettings,
    tune: TuneSettings,
) -> None:
    if tuning_job.objective not in fit.metrics:
        raise SettingsError(
            f'Unknown objective "{tuning_job.objective}". '
            f"Metrics of [fit]: {', '.join(fit.metrics)}."
        )
    if save and detach:
        raise SettingsError("--save waits for the best values: omit --detach.")
    if job:
        _finish(account, job, save, as_json)
        return
    data = s3_photos.fit_photos(account, fit)
    total = total_jobs(tuning_job, tune.space)
    if dry_run:
        print(json.dumps(summary(fit, tuning_job, tune.space, data), indent=2))
        return
    single = fit.model_copy(update={"instance_count": 1})  # the tuner cannot join instances
    sagemaker_trainer.check_network(account, single)
    print(f"each job starts its own {fit.instance_type}: tuning jobs cannot use warm pools")
    name = start(account, fit, tuning_job, run, tune.space, job_values(fit, train), data)
    jobs = f"{total} jobs, {tuning_job.parallel_jobs} in parallel"
    print(f"started {name}: {jobs}", flush=True)
    if detach:
        print(f"use its best values: python -m training fit --from-tuning {name}")
        return
    _finish(account, name, save, as_json)


def _finish(account: Account, name: str, save: Path | None, as_json: bool) -> None:
    """Wait for a tuning job, and print and save its best values."""
    follow(account, name)
    best = hyperparameters.best_of(account, name)
    if save:
        write_atomically(save, as_toml(best))
    if as_json:
        print(json.dumps({"tuning_job": name, "values": best}, indent=2))
        return
    for key, value in best.items():
        print(f"{key:>20}  {value}")
    print(f"train with these values: python -m training fit --from-tuning {name}")
    if save:
        print(f"or on this machine: python -m training train --settings {save}")


def summary(
    fit: FitSettings, tuning_job: TuningJobSettings, space: Space, data: Listing
) -> dict[str, Any]:
    """Return what `tune-job` would start, and its maximum cost if the price is known."""
    total = total_jobs(tuning_job, space)
    return {
        "space": {key: dimension.model_dump() for key, dimension in space.items()},
        "instances": f"1 x {fit.instance_type} per job",
        "spot": fit.spot,
        "warm_pools": "not available to tuning jobs: each job starts its own instance",
        "jobs": total,
        "parallel_jobs": tuning_job.parallel_jobs,
        "strategy": tuning_job.strategy,
        "data": data.uri,
        "photos": len(data.photos),
        "max_runtime_s": fit.max_runtime_s,
        **prices.at_most("training", fit.instance_type, total * fit.max_runtime_s / 3600),
    }


def start(
    account: Account,
    fit: FitSettings,
    tuning_job: TuningJobSettings,
    run: str,
    space: Space,
    values: Mapping[str, Any],
    data: Listing,
) -> str:
    """Start the tuning job and return its name. All jobs share the `values` that `space` lacks."""
    from sagemaker.train.tuner import HyperparameterTuner  # type: ignore[import-untyped]

    log_groups.ensure(account, log_groups.TRAINING)
    # Grid computes the number of jobs; Hyperband and Grid refuse SageMaker's early stopping.
    total = None if tuning_job.strategy == "Grid" else tuning_job.max_jobs
    stops = tuning_job.early_stopping and tuning_job.strategy in ("Bayesian", "Random")
    fixed = {key: value for key, value in values.items() if key.replace("-", "_") not in space}
    name = sagemaker_trainer.job_base_name(account, run)
    channels = sagemaker_trainer.data_channels(fit, data)
    with sagemaker_trainer.model_trainer(account, fit, run, fixed) as trainer:
        trainer.checkpoint_config = None  # parallel jobs must not share checkpoints
        # The tuner uploads below this name, and the role may read below the prefix only.
        trainer.base_job_name = f"{account.settings.prefix}/{s3_layout.JOBS}/{name}"
        tuner = HyperparameterTuner(
            model_trainer=trainer,
            objective_metric_name=tuning_job.objective,
            hyperparameter_ranges=ranges(space),
            metric_definitions=[
                {"Name": metric, "Regex": regex} for metric, regex in fit.metrics.items()
            ],
            strategy=tuning_job.strategy,
            objective_type="Maximize",
            max_jobs=total,
            max_parallel_jobs=tuning_job.parallel_jobs,
            early_stopping_type="Auto" if stops else "Off",
            base_tuning_job_name=name[:16].rstrip("-"),
            tags=account.settings.tag_list(),
        )
        roles.once_assumable(
            account,
            account.role_arn(account.settings.training_role),
            lambda: tuner.tune(inputs=channels, wait=False),
        )
    return str(tuner.latest_tuning_job.hyper_parameter_tuning_job_name)


def total_jobs(tuning_job: TuningJobSettings, space: Space) -> int:
    """Return the number of training jobs: for Grid, that of all combinations.

    Raises SettingsError if the strategy does not support the search space.
    """
    if len(space) > MAX_SEARCHED:
        raise SettingsError(f"[tune] space has {len(space)} dimensions; SageMaker allows 30.")
    for name, dimension in space.items():
        if isinstance(dimension, Choice) and len(dimension.values) > MAX_SEARCHED:
            count = len(dimension.values)
            raise SettingsError(f"[tune] space.{name} has {count} values; SageMaker allows 30.")
        if tuning_job.strategy == "Grid" and not isinstance(dimension, Choice):
            raise SettingsError(
                f"[tune] space.{name} is a range: Grid searches only choices. Write "
                'type = "choice", or use another strategy.'
            )
    choices = [dimension for dimension in space.values() if isinstance(dimension, Choice)]
    if tuning_job.strategy == "Grid":
        return prod(len(choice.values) for choice in choices)
    return tuning_job.max_jobs


def ranges(space: Space) -> dict[str, Any]:
    """Return the search space as SageMaker's parameter ranges, by option name."""
    from sagemaker.core import parameter  # type: ignore[import-untyped]

    def convert(dimension: Range | Choice) -> Any:
        if isinstance(dimension, Choice):
            return parameter.CategoricalParameter(dimension.values)
        if dimension.type == "int":
            return parameter.IntegerParameter(int(dimension.low), int(dimension.high))
        scaling = "Logarithmic" if dimension.type == "log" else "Auto"
        return parameter.ContinuousParameter(dimension.low, dimension.high, scaling_type=scaling)

    return {key.replace("_", "-"): convert(dimension) for key, dimension in space.items()}


def follow(account: Account, name: str) -> None:
    """Print the progress of a tuning job until it ends. Raises JobFailed if it fails."""
    job_logs.wait(
        account,
        "HyperParameterTuning",
        partial(hyperparameters.describe_tuning_job, account, name),
        _progress,
        completed=("Completed", "Stopped"),  # a stopped job has a best job, too
    )


def _progress(job: Mapping[str, Any]) -> str:
    completed = job.get("TrainingJobStatusCounters", {}).get("Completed", 0)
    text = f"{job['HyperParameterTuningJobStatus']}, completed jobs: {completed}"
    best = job.get("BestTrainingJob", {}).get("FinalHyperParameterTuningJobObjectiveMetric")
    return f"{text}, best {best['MetricName']} {best['Value']:.4f}" if best else text
