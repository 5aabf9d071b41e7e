"""Train the same model on one and several instances and on EC2, and compare time, cost, accuracy.

VALUES are numbers of instances; with --local, numbers of processes on this machine; with --runs,
finished runs or jobs to compare, of which none is started. All runs see the same photos in each
step: --batch-size is divided by the number of instances. --ec2 adds an EC2 instance of the same
type. The command shows the most that it can cost and asks before it starts. If it is interrupted,
run it again with the --name that it printed: it waits for the runs that were started, and starts
the others.

example:
  python -m training compare 1 4 --ec2 --epochs 5 --dry-run
  python -m training compare 1 4 --ec2 --epochs 5 --name first
  python -m training compare --runs compare-1-20261121120000 compare-4-20261121120000
  python -m training compare --local 1 2 --photos photos --epochs 1
"""

import json
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from aws import account as accounts
from aws import training_jobs
from aws.account import Account
from aws.polling import poll
from aws.settings import Ec2Settings, FitSettings
from cli import commands
from cli.errors import CommandError, SettingsError
from training.jobs import (
    comparison,
    comparison_jobs,
    comparison_plot,
    local_runs,
    measurement,
    runs,
)
from training.jobs.comparison_jobs import Plans
from training.jobs.job_logs import confirm_on_terminal
from training.jobs.measurement import Measurement
from training.settings import TrainSettings

_ENDED = ("Completed", "Failed", "Stopped")


@commands.command(__doc__)
@click.argument("values", nargs=-1, required=True)
@click.option("--ec2", "with_ec2", is_flag=True, help="Also train on an EC2 instance as in [ec2].")
@click.option("--name", metavar="NAME", help="Name of the comparison, to wait for it again.")
@click.option("--local", is_flag=True, help="Train on this machine; VALUES are processes.")
@click.option("--runs", "only_runs", is_flag=True, help="Start nothing; VALUES are runs or jobs.")
@click.option("--photos", type=click.Path(exists=True, path_type=Path), help="With --local.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="PNG file to write a chart to."
)
@commands.dry_run_option
@commands.yes_option
@commands.json_option
@accounts.options(FitSettings, TrainSettings, without_options=[Ec2Settings])
def command(
    account: Account,
    values: tuple[str, ...],
    with_ec2: bool,
    name: str | None,
    local: bool,
    only_runs: bool,
    photos: Path | None,
    plot: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    fit: FitSettings,
    train: TrainSettings,
    ec2: Ec2Settings,
) -> None:
    if local and only_runs:
        raise SettingsError("--local starts runs and --runs does not: omit one of them.")
    if (local or only_runs) and with_ec2:
        raise SettingsError("--ec2 adds an instance to jobs in AWS: omit --local and --runs.")
    if (local or only_runs) and name:
        raise SettingsError("--name names jobs in AWS: omit --local and --runs.")
    if photos and not local:
        raise SettingsError("--photos is for --local: jobs in AWS read [fit] data.")
    # with --json, only the result goes to standard output
    with redirect_stdout(sys.stderr) if as_json and (only_runs or not dry_run) else nullcontext():
        if only_runs:
            measured = [_measure(account, name) for name in values]
        elif local:
            measured = _train_here(_counts(values), train, photos, dry_run=dry_run)
        else:
            machine = ec2 if with_ec2 else None
            plans = comparison_jobs.plan(account, name, _counts(values), fit, train, machine)
            started = _start(account, plans, dry_run=dry_run, yes=yes)
            measured = _wait(account, plans.names) if started else []
    if dry_run and not only_runs:
        return
    compared = comparison.rows(measured)
    if plot:
        comparison_plot.write(compared, plot)
    if as_json:
        print(json.dumps(comparison.as_json(compared), indent=2))
        return
    print(comparison.render(compared))
    for line in (*comparison.notes(compared), comparison.recommendation(compared)):
        print(line)


def _counts(values: Sequence[str]) -> list[int]:
    """Return VALUES as different numbers."""
    counts = []
    for value in values:
        if not re.fullmatch("[1-9][0-9]{0,3}", value):
            raise SettingsError(
                f'"{value}" is not a number of instances or processes. To compare runs by name, '
                "give --runs."
            )
        counts.append(int(value))
    if len(set(counts)) < len(counts):
        raise SettingsError(f"{' '.join(values)} has a number twice.")
    return counts


def _start(account: Account, plans: Plans, *, dry_run: bool, yes: bool) -> bool:
    """Show what would start and what it costs at most, ask, and start it unless `dry_run`."""
    if not (plans.jobs or plans.instance):
        print(f"all runs were started before: {', '.join(plans.names)}")
        return not dry_run
    print(json.dumps(comparison_jobs.summary(account, plans), indent=2), flush=True)
    if dry_run:
        return False
    if not yes and not confirm_on_terminal("Start these jobs?"):
        raise CommandError("Nothing was started. Confirm at a terminal, or give --yes.")
    comparison_jobs.start(account, plans)
    return True


def _train_here(
    counts: Sequence[int], train: TrainSettings, photos: Path | None, *, dry_run: bool
) -> list[Measurement]:
    if photos is None:
        raise SettingsError("--local needs the folder of the photos: --photos FOLDER.")
    settings = {count: comparison_jobs.share(train, count) for count in counts}
    if dry_run:
        print(f"would train on this machine with {counts} processes")
        return []
    with TemporaryDirectory() as scratch:
        return [
            local_runs.measure(each, photos.resolve(), Path(scratch) / f"local-{count}", count)
            for count, each in settings.items()
        ]


def _measure(account: Account, name: str) -> Measurement:
    """Measure a run, or a job that has no record. Raises an error if it does not exist."""
    run = runs.get(account, name)
    if run is None and not name.startswith(f"{account.settings.prefix}-"):
        run = runs.find(account, name)
    if run is not None and run.place == "ec2":
        return measurement.of_ec2(account, run)
    if run is not None and not run.jobs:
        raise SettingsError(f"Run {name} has no job: its start was interrupted.")
    job = training_jobs.describe(account, run.jobs[-1].id if run else name)
    return measurement.of_job(account, job, run or measurement.run_of(account, job))


def _wait(account: Account, names: Sequence[str]) -> list[Measurement]:
    """Wait until all runs have ended, and return their measurements."""
    try:
        return poll(
            account,
            lambda: [_measure(account, name) for name in names],
            lambda measured: all(each.status in _ENDED for each in measured),
            lambda measured: ", ".join(f"{each.name} {each.status}" for each in measured),
        )
    except KeyboardInterrupt:
        print("the runs continue and are billed until they end")
        print(f"to wait for them again: python -m training compare --runs {' '.join(names)}")
        for name in names:
            print(f"to stop: python -m training jobs --stop {name}")
        raise
