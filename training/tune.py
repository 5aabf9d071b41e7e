"""Search for better hyperparameters with Optuna, over the space in [tune.space] of settings.toml.

If interrupted, run the same command again to resume. Trials that are clearly worse than the others
are stopped early. The best values are written to tuned.toml for `train --settings`.

example:
  python -m training tune --data photos --output runs/tune --trials 12 --epochs 6
  python -m training train --data photos --settings runs/tune/tuned.toml
"""

import json
from pathlib import Path
from typing import Any

import click
import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState
from pydantic import ValidationError
from tqdm import tqdm

from cli import commands, settings, tables
from cli.errors import SettingsError
from cli.files import write_atomically
from training.distributed import World
from training.errors import TrainingError
from training.hooks import Epoch, Hook
from training.options import data_option
from training.settings import Choice, Range, TrainSettings, TuneSettings, as_toml
from training.trainer import Trainer

STUDY_FILE = "study.db"
TUNED_FILE = "tuned.toml"
PLOT_FILE = "tune.png"


@commands.command(__doc__)
@data_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("runs/tune"),
    help="Folder of the study. Default: runs/tune.",
)
@commands.json_option
@settings.options(TuneSettings, TrainSettings)
def command(
    data_path: Path, output: Path, as_json: bool, tune: TuneSettings, train: TrainSettings
) -> None:
    study = search(tune, train, data_path, output)
    if not study.get_trials(states=(TrialState.COMPLETE,)):
        raise TrainingError("No trial was completed. See their errors above.")
    write_atomically(output / TUNED_FILE, as_toml(study.best_params))
    plot(study, output / PLOT_FILE)
    if as_json:
        rows = [
            {"trial": trial.number, "state": trial.state.name, "valid_top1": trial.value}
            | trial.params
            for trial in study.trials
        ]
        print(json.dumps({"best": study.best_params, "trials": rows}, indent=2))
    else:
        print(as_table(study))
        print(f"best: {study.best_value:.4f} with {output / TUNED_FILE}")


class _Pruner(Hook):
    """Reports the accuracy of a trial after each epoch and stops it if it is not promising."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def after_epoch(self, epoch: Epoch) -> None:
        row = epoch.history[-1]
        self._trial.report(row["valid_top1"], row["epoch"])
        if self._trial.should_prune():
            raise optuna.TrialPruned


def search(tune: TuneSettings, train: TrainSettings, data: Path, output: Path) -> optuna.Study:
    """Add trials to the study in `output` until `tune.trials` are complete or pruned.

    The objective is the top-1 accuracy on split valid of the weights that a run keeps.
    """
    output.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="whatbreed",
        storage=f"sqlite:///{output / STUDY_FILE}",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=train.seed, n_startup_trials=5),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=tune.patience_epochs),
    )

    def objective(trial: optuna.Trial) -> float:
        values = {name: suggest(trial, name, entry) for name, entry in tune.space.items()}
        tqdm.write(f"trial {trial.number}: {values}")
        settings = TrainSettings.model_validate({**train.model_dump(), **values})
        folder = output / f"trial-{trial.number}"
        return Trainer(settings, data, folder, World(), [_Pruner(trial)]).train().valid_top1

    # Repeat the trials that the end of an earlier call interrupted, with the same values.
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    for _ in tqdm(range(len(ended), tune.trials), desc="tune", unit="trial", disable=None):
        study.optimize(objective, n_trials=1, catch=(SettingsError, ValidationError))
    return study


def suggest(trial: optuna.Trial, name: str, entry: Range | Choice) -> Any:
    """Let Optuna choose a value of one dimension."""
    if isinstance(entry, Choice):
        return trial.suggest_categorical(name, entry.values)
    if entry.type == "int":
        return trial.suggest_int(name, int(entry.low), int(entry.high))
    return trial.suggest_float(name, entry.low, entry.high, log=entry.type == "log")


def as_table(study: optuna.Study) -> str:
    """Return a table of the trials and their values, the best first."""
    names = list(study.best_params)
    rows = [
        [
            str(trial.number),
            trial.state.name.lower(),
            "-" if trial.value is None else f"{trial.value:.4f}",
            *(_cell(trial.params.get(name, "-")) for name in names),
        ]
        for trial in sorted(study.trials, key=lambda trial: -(trial.value or 0))
    ]
    return tables.render(["trial", "state", "top-1", *names], rows)


def _cell(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def plot(study: optuna.Study, path: Path) -> None:
    """Plot each hyperparameter against the accuracy of the completed trials."""
    completed = study.get_trials(states=(TrialState.COMPLETE,))
    names = list(study.best_params)
    figure = Figure(figsize=(3 * len(names), 3), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        panel.scatter(
            [trial.params[name] for trial in completed], [trial.value for trial in completed]
        )
        panel.set_xlabel(name)
    panels[0].set_ylabel("top-1 on split valid")
    figure.savefig(path, dpi=110)
