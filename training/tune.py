"""Search for better hyperparameters with Optuna, over the space in settings.toml.

The study is a file: a search that was interrupted goes on. Trials that are clearly worse than the
others after some epochs are ended early. The best values go to tuned.toml, which `train` takes.

example:
  python -m training tune --data ../shared/photos --output runs/tune --trials 12 --epochs 6
  python -m training train --data ../shared/photos --settings runs/tune/tuned.toml
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState
from tqdm import tqdm

from cli.errors import SettingsError
from training import settings
from training.distributed import World
from training.errors import TrainingError
from training.run_folder import write_text
from training.settings import TrainSettings
from training.train import train

STUDY_FILE = "study.db"
TUNED_FILE = "tuned.toml"
PLOT_FILE = "tune.png"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One dimension of the search space: a float on a log or linear scale, an int, or a choice."""

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    values: tuple[Any, ...] = ()

    def suggest(self, trial: optuna.Trial) -> Any:
        """A value for `trial`."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.name, self.values)
        if self.kind == "int":
            return trial.suggest_int(self.name, int(self.low), int(self.high))
        return trial.suggest_float(self.name, self.low, self.high, log=self.kind == "log")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="photos: a folder or an index")
    parser.add_argument("--output", type=Path, default=Path("runs/tune"), help="the study's folder")
    parser.add_argument(
        "--trials",
        type=int,
        default=settings.table("tune")["trials"],
        help="how many in all, those of earlier calls too (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the trials as JSON")
    settings.add_train_options(parser)


def run(arguments: argparse.Namespace) -> None:
    options = settings.train_settings(vars(arguments))
    study = search(options, space(), arguments.data, arguments.output, arguments.trials)
    done = study.get_trials(states=(TrialState.COMPLETE,))
    if not done:
        raise TrainingError("no trial was completed; their errors stand above")
    write_text(arguments.output / TUNED_FILE, as_toml(study.best_params))
    plot(study, arguments.output / PLOT_FILE)
    if arguments.json:
        rows = [
            {"trial": trial.number, "state": trial.state.name, "valid_top1": trial.value}
            | trial.params
            for trial in study.trials
        ]
        print(json.dumps({"best": study.best_params, "trials": rows}, indent=2))
    else:
        print(as_table(study))
        print(f"best: {study.best_value:.4f} with {arguments.output / TUNED_FILE}")


def space() -> list[Parameter]:
    """The table [tune.space] of settings.toml. Raises `SettingsError` for what is no dimension."""
    known = settings.table("train")
    found = []
    for name, entry in settings.table("tune")["space"].items():
        kind = entry.get("type")
        if name not in known:
            raise SettingsError(f"[tune.space] {name} is no key of [train]")
        if kind == "choice" and entry.get("values"):
            found.append(Parameter(name, kind, values=tuple(entry["values"])))
        elif kind in ("float", "log", "int") and entry.get("low", 0) < entry.get("high", 0):
            found.append(Parameter(name, kind, entry["low"], entry["high"]))
        else:
            raise SettingsError(
                f"[tune.space] {name} must be a choice with values, or float, log or int with "
                f"low below high, not {entry}"
            )
    return found


def search(
    options: TrainSettings, dimensions: list[Parameter], data: Path, output: Path, trials: int
) -> optuna.Study:
    """The study in `output`, grown until it has `trials` trials that ended, or were ended early.

    The objective is the top-1 accuracy on split valid of the weights that the run keeps.
    """
    output.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="whatbreed",
        storage=f"sqlite:///{output / STUDY_FILE}",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=options.seed, n_startup_trials=5),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=3, n_warmup_steps=settings.table("tune")["patience_epochs"]
        ),
    )

    def objective(trial: optuna.Trial) -> float:
        chosen = {dimension.name: dimension.suggest(trial) for dimension in dimensions}
        tqdm.write(f"trial {trial.number}: {chosen}")

        def report(row: Mapping[str, Any]) -> None:
            trial.report(row["valid_top1"], row["epoch"])
            if trial.should_prune():
                raise optuna.TrialPruned

        folder = output / f"trial-{trial.number}"
        trained = train(replace(options, **chosen), data, folder, World(), after_epoch=report)
        return trained.valid_top1

    # A trial that the end of an earlier call cut short is run again, with the same values.
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    for _ in tqdm(range(len(ended), trials), desc="tune", unit="trial", disable=None):
        study.optimize(objective, n_trials=1, catch=(SettingsError,))
    return study


def as_toml(values: Mapping[str, Any]) -> str:
    """`values` as keys of [train]; JSON's texts, numbers and truth values are TOML's too."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def as_table(study: optuna.Study) -> str:
    """The trials, the best first, with the values they tried."""
    names = list(study.best_params)
    lines = [" ".join([f"{'trial':>5} {'state':<9} {'top-1':>7}", *(f"{n:>15}" for n in names)])]
    for trial in sorted(study.trials, key=lambda trial: -(trial.value or 0)):
        top1 = f"{trial.value:.4f}" if trial.value is not None else ""
        values = (
            f"{trial.params.get(name, ''):>15.5g}"
            if isinstance(trial.params.get(name), float)
            else f"{trial.params.get(name, '')!s:>15}"
            for name in names
        )
        lines.append(
            " ".join([f"{trial.number:>5} {trial.state.name.lower():<9} {top1:>7}", *values])
        )
    return "\n".join(lines)


def plot(study: optuna.Study, path: Path) -> None:
    """One panel a hyperparameter: its value against the accuracy of the trials that ended."""
    done = study.get_trials(states=(TrialState.COMPLETE,))
    names = list(study.best_params)
    figure = Figure(figsize=(3 * len(names), 3), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        panel.scatter([trial.params[name] for trial in done], [trial.value for trial in done])
        panel.set_xlabel(name)
    panels[0].set_ylabel("top-1 on split valid")
    figure.savefig(path, dpi=110)
