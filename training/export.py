"""Export a trained model to the served artifact: OpenVINO, as small as accuracy allows.

int8, fp16 and fp32 are measured on split test through the code that serves them. The smallest that
keeps the top-1 accuracy of fp32 is written, calibrated on held-out photos.

example:
  python -m training export --run runs/default --data photos --output model_code/default
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import openvino as ov
import torch

from cli import commands, settings, tables
from cli.files import write_atomically
from model_code import artifact
from model_code.artifact import SecondLook
from training import (
    confusions,
    evaluate,
    folder_layout,
    instruction_sets,
    model_card,
    openvino_graph,
    photos,
    quantisation,
    run_files,
    second_look,
)
from training.breed_names import display_name
from training.calibration import fit_temperature, fit_threshold
from training.errors import DataError, TrainingError
from training.evaluate import Scores
from training.metrics import Floats, Ints, top_k
from training.model_card import Evidence
from training.options import data_option, run_option
from training.photos import Photo
from training.run_files import TrainedModel
from training.settings import ExportSettings

NAME = "whatbreed"
PRECISIONS = ("int8", "fp16", "fp32")

Splits = Mapping[str, Sequence[Photo]]
HeldOut = tuple[Floats, Ints, Floats]
"""Logits [N, breeds], targets [N] and dog probabilities [N] of held-out photos."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact of one precision in its own folder, with its scores on each split."""

    precision: str
    folder: Path
    weights_bytes: int
    scores: dict[str, Scores]

    def top1(self, split: str) -> float:
        return top_k(self.scores[split].logits, self.scores[split].targets, 1)


@commands.command(__doc__)
@run_option
@data_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to write the artifact to.",
)
@click.option("--version", help="Version of the model. Default: today's date, like 2026.11.21.")
@settings.options(ExportSettings)
def command(
    run_path: Path, data_path: Path, output: Path, version: str | None, export: ExportSettings
) -> None:
    trained = run_files.load_model(run_path)
    export_model(trained, photos.read(data_path), output, export, version)


def export_model(
    trained: TrainedModel,
    everything: Sequence[Photo],
    output: Path,
    settings: ExportSettings,
    version: str | None = None,
) -> None:
    """Print how the precisions compare and write the best artifact and its model card.

    Raises DataError if `everything` is not what the model was trained on. A model trained on shards
    is exempt, because no machine has all of its photos.
    """
    version = version or f"{datetime.now(UTC):%Y.%m.%d}"
    everything = photos.hold_out(
        everything, trained.settings["valid_fraction"], trained.settings["seed"]
    )
    fingerprint = photos.fingerprint(photos.training_photos(everything))
    if fingerprint != trained.data and not trained.settings.get("sharded"):
        raise DataError("--data has other photos than the model was trained on.")
    splits = {
        split: [photo for photo in everything if photo.split == split]
        for split in folder_layout.SPLITS
    }
    judge = "test" if splits["test"] else "valid"
    if not splits[judge]:
        raise DataError("--data needs photos in split test or split valid to measure the model.")
    if not splits["valid"] and trained.held_out is None:
        raise DataError("Calibration needs a split valid or a cross-validated head.")
    with TemporaryDirectory() as scratch:
        candidates = _candidates(trained, splits, Path(scratch), version, settings)
        comparison = as_table(candidates, judge)
        print(comparison)
        best = choose(candidates, judge, settings.max_drop)
        held_out = _held_out(best, trained)
        description = _calibrate(best, held_out, trained, settings, judge)
        description["metrics"]["instruction_sets"] = _agreement(best, judge, settings)
        _publish(best.folder, description, output)
    evidence = Evidence(best.scores[judge], best.scores.get("other"), *held_out[:2], comparison)
    card = model_card.render(description, evidence, splits)
    write_atomically(output / model_card.FILE, card)
    print(f"{output}: {best.precision}, {json.dumps(description['metrics'])}")


def choose(candidates: Sequence[Candidate], judge: str, max_drop: float) -> Candidate:
    """Return the smallest candidate that loses at most `max_drop` points of top-1 to fp32.

    The candidates are ordered by size; fp32 is the last. `judge` is the split to compare on.
    """
    reference = candidates[-1].top1(judge)
    return next(
        candidate
        for candidate in candidates
        if 100 * (reference - candidate.top1(judge)) <= max_drop
    )


def as_table(candidates: Sequence[Candidate], judge: str) -> str:
    """Compare the precisions on split `judge`: top-1, points lost to fp32, size of the weights."""
    reference = candidates[-1].top1(judge)
    rows = [
        [
            candidate.precision,
            f"{candidate.top1(judge):.4f}",
            f"{100 * (reference - candidate.top1(judge)):.2f}",
            f"{candidate.weights_bytes / 1e6:.1f}",
        ]
        for candidate in candidates
    ]
    return tables.render(["precision", f"top-1 {judge}", "drop", "weights in MB"], rows)


def _candidates(
    trained: TrainedModel, splits: Splits, scratch: Path, version: str, settings: ExportSettings
) -> list[Candidate]:
    spec = openvino_graph.input_spec(trained)
    draft: dict[str, Any] = {
        "format": artifact.FORMAT,
        "name": NAME,
        "version": version,
        "labels": trained.breeds,
        "display_names": [display_name(breed) for breed in trained.breeds],
        "input": {"size": spec.size_px, "mean": spec.mean, "std": spec.std, "crop": spec.crop},
        "temperature": 1.0,
        "dog_threshold": 0.5,
        "metrics": {},
        "trained_with": {},
    }
    rule = None
    candidates = []
    for precision in PRECISIONS:
        folder = scratch / precision
        folder.mkdir()
        graph = openvino_graph.convert(trained)
        if precision == "int8":
            graph = quantisation.quantise(graph, splits["train"], spec, settings.calibration_photos)
        ov.save_model(graph, folder / artifact.GRAPH_FILE, compress_to_fp16=precision != "fp32")
        write_description(folder, draft)
        if openvino_graph.looks_twice(trained):
            rule = rule or _second_look(trained, folder, splits["valid"])
            write_description(folder, {**draft, "second_look": asdict(rule)})
        model = evaluate.load(folder)
        scores = {
            split: evaluate.score(model, splits[split])
            for split in ("valid", "test", "other")
            if splits[split]
        }
        weights_bytes = (folder / artifact.WEIGHTS_FILE).stat().st_size
        candidates.append(Candidate(precision, folder, weights_bytes, scores))
    return candidates


def _second_look(trained: TrainedModel, folder: Path, valid: Sequence[Photo]) -> SecondLook:
    """Fit the rule on held-out photos: the cross-validation, or first looks at split valid."""
    if trained.held_out is not None:
        return second_look.fit(trained.held_out, trained.settings)
    first = evaluate.score(evaluate.load(folder), valid).logits
    threshold = second_look.fit_threshold(first, trained.settings["second_looks"])
    return second_look.rule(trained.settings, threshold)


def _calibrate(
    best: Candidate,
    held_out: HeldOut,
    trained: TrainedModel,
    settings: ExportSettings,
    judge: str,
) -> dict[str, Any]:
    """Fit temperature and threshold, and return the description of `best` with its metrics."""
    logits, targets, dog_probabilities = held_out
    description: dict[str, Any] = json.loads((best.folder / artifact.DESCRIPTION_FILE).read_text())
    temperature = description["temperature"] = fit_temperature(logits, targets)
    description["dog_threshold"] = fit_threshold(dog_probabilities, settings.max_dogs_refused)
    description["confused_with"] = confusions.by_label(
        confusions.confused(logits, targets), trained.breeds
    )
    description["trained_with"] = {
        "backbone": trained.backbone,
        "data": trained.data,
        "commit": trained.commit,
        "job": trained.job,
        "command": trained.command,
        "settings": trained.settings,
        "epoch": trained.epoch,
        "precision": best.precision,
        "torch": torch.__version__,
        "openvino": ov.__version__,
    }
    write_description(best.folder, description)
    model = evaluate.load(best.folder)
    description["metrics"] = {
        "split": judge,
        **evaluate.measure(model, best.scores[judge], best.scores.get("other")),
        "held_out": evaluate.measure_breeds(logits, targets, temperature),
    }
    return description


def _agreement(best: Candidate, judge: str, settings: ExportSettings) -> dict[str, Any]:
    """Return how `best` does on the instruction sets of this CPU. Raises TrainingError."""
    scores = best.scores[judge]
    sets = instruction_sets.compare(best.folder, scores.photos, scores.targets)
    for name, agreement in sets.items():
        lost = abs(agreement["top1"] - best.top1(judge)) * len(scores.photos)
        if lost > 1.01 or agreement["max_difference"] > settings.max_logit_difference:
            raise TrainingError(
                f"The model is not the same with {name}: {agreement}. Allowed are one photo and "
                f"--max-logit-difference {settings.max_logit_difference}."
            )
    return sets


def _held_out(best: Candidate, trained: TrainedModel) -> HeldOut:
    """Return logits [N, breeds], targets [N] and dog probabilities [N] of held-out photos.

    They are split valid, or split train in the cross-validation of the head.
    """
    if trained.held_out is None:
        scores = best.scores["valid"]
        return scores.logits, scores.targets, scores.dog_probabilities
    rule = artifact.load(best.folder).second_look
    logits, dogs = second_look.combine(trained.held_out, rule)
    return logits, trained.held_out["targets"].numpy(), dogs


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write `model.json` with the checksums of the graph's files."""
    checksums = {
        file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for file in (artifact.GRAPH_FILE, artifact.WEIGHTS_FILE)
    }
    text = json.dumps({**description, "sha256": checksums}, indent=1, ensure_ascii=False)
    write_atomically(folder / artifact.DESCRIPTION_FILE, text + "\n")


def _publish(folder: Path, description: dict[str, Any], output: Path) -> None:
    """Copy the artifact to `output`, `model.json` last: its checksums reveal a partial copy."""
    write_description(folder, description)
    output.mkdir(parents=True, exist_ok=True)
    for file in (artifact.WEIGHTS_FILE, artifact.GRAPH_FILE, artifact.DESCRIPTION_FILE):
        write_atomically(output / file, (folder / file).read_bytes())
