"""Turn a trained model into the artifact that is served: OpenVINO, as small as accuracy allows.

int8, fp16 and fp32 are each judged on split test through the code that serves; the smallest that
keeps the top-1 accuracy of fp32 is written, with its probabilities calibrated on held-out photos.

example:
  python -m training export --run runs/default --data ../shared/photos --output model_code/default
"""

import argparse
import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nncf
import openvino as ov
import torch
from openvino.preprocess import PrePostProcessor
from openvino.tools.ovc import convert_model

from model_code import artifact
from model_code.artifact import InputSpec
from model_code.inference import DOG_PROBABILITY, INPUT, LOGITS
from training import backbones, evaluate, model_card, photos, pixels, run_folder, settings
from training.breed_names import display_name
from training.calibration import fit_temperature, fit_threshold
from training.errors import DataError
from training.evaluate import Scores
from training.metrics import Floats, Ints, top_k
from training.model import Served
from training.photos import Photo
from training.run_folder import TrainedModel

NAME = "whatbreed"
PRECISIONS = ("int8", "fp16", "fp32")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact of one precision in a folder of its own, and what it scores on each split."""

    precision: str
    folder: Path
    weights_bytes: int
    scores: dict[str, Scores]

    def top1(self, split: str) -> float:
        return top_k(self.scores[split].logits, self.scores[split].targets, 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, default=Path("runs/default"), help="what train wrote")
    parser.add_argument("--data", type=Path, required=True, help="photos: a folder or an index")
    parser.add_argument("--output", type=Path, required=True, help="the artifact's folder")
    parser.add_argument("--version", help="of the model (default: the day, like 2026.11.21)")


def run(arguments: argparse.Namespace) -> None:
    trained = run_folder.load_model(arguments.run)
    export(trained, photos.read(arguments.data), arguments.output, arguments.version)


def export(
    trained: TrainedModel, everything: Sequence[Photo], output: Path, version: str | None = None
) -> None:
    """Write the artifact of `trained` into `output`, after printing how the precisions compare.

    Raises `DataError` where `everything` is not what the model was trained on, which only a model
    trained on shards is spared: its photos are never in one place.
    """
    options = settings.table("export")
    version = version or f"{datetime.now(UTC):%Y.%m.%d}"
    chosen = photos.hold_out(
        everything, trained.settings["valid_fraction"], trained.settings["seed"]
    )
    here = photos.fingerprint(photos.to_train_on(chosen))
    if here != trained.data and not trained.settings.get("sharded"):
        raise DataError("--data holds other photos than the model was trained on")
    splits = {split: [photo for photo in chosen if photo.split == split] for split in photos.SPLITS}
    judge = "test" if splits["test"] else "valid"
    if not splits[judge]:
        raise DataError("there is neither a split test nor a split valid to judge the model on")
    with TemporaryDirectory() as scratch:
        candidates = _candidates(trained, splits, Path(scratch), version, options)
        comparison = as_table(candidates, judge)
        print(comparison)
        best = choose(candidates, judge, options["max_drop"])
        description = _calibrated(best, trained, options, judge)
        _publish(best.folder, description, output)
    text = model_card.write(description, best.scores[judge], splits, comparison)
    run_folder.write_text(output / model_card.FILE, text)
    print(f"{output}: {best.precision}, {json.dumps(description['metrics'])}")


def choose(candidates: Sequence[Candidate], judge: str, max_drop: float) -> Candidate:
    """The first candidate whose top-1 on split `judge` is at most `max_drop` points below the last.

    The candidates come smallest first and fp32 last.
    """
    reference = candidates[-1].top1(judge)
    return next(
        candidate
        for candidate in candidates
        if 100 * (reference - candidate.top1(judge)) <= max_drop
    )


def as_table(candidates: Sequence[Candidate], judge: str) -> str:
    """How the precisions compare on split `judge`: top-1, points lost to fp32, size of weights."""
    reference = candidates[-1].top1(judge)
    lines = [f"{'precision':<10}{'top-1 ' + judge:>12}{'drop':>8}{'weights':>11}"]
    for candidate in candidates:
        top1 = candidate.top1(judge)
        size_mb = candidate.weights_bytes / 1e6
        drop = 100 * (reference - top1)
        lines.append(f"{candidate.precision:<10}{top1:>12.4f}{drop:>8.2f}{size_mb:>8.1f} MB")
    return "\n".join(lines)


def convert(trained: TrainedModel) -> ov.Model:
    """The fp32 graph: uint8 NHWC pixels in, breed logits and dog probability out."""
    backbone = backbones.create(trained.backbone, pretrained=False)
    shape = (1, 3, trained.size, trained.size)
    with torch.no_grad(), warnings.catch_warnings():
        # OpenVINO 2026.4 traces with torch.jit, which torch 2.13 calls deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        graph = convert_model(
            Served(trained.network()), example_input=torch.zeros(shape), input=shape
        )
    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(
        _one_if_alike([255 * mean for mean in backbone.mean])
    ).scale(_one_if_alike([255 * std for std in backbone.std]))
    graph = steps.build()
    graph.input(0).tensor.set_names({INPUT})
    for port, name in zip(graph.outputs, (LOGITS, DOG_PROBABILITY), strict=True):
        port.tensor.set_names({name})
    return graph


def _one_if_alike(values: list[float]) -> float | list[float]:
    """One number in place of equal ones: OpenVINO is five times as fast with it, 2 % of a photo."""
    return values[0] if len(set(values)) == 1 else values


def _candidates(
    trained: TrainedModel,
    splits: dict[str, list[Photo]],
    scratch: Path,
    version: str,
    options: dict[str, Any],
) -> list[Candidate]:
    spec = input_spec(trained)
    draft = {
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
    found = []
    for precision in PRECISIONS:
        folder = scratch / precision
        folder.mkdir()
        graph = convert(trained)
        if precision == "int8":
            graph = _quantised(graph, splits["train"], spec, options["calibration_photos"])
        ov.save_model(graph, folder / artifact.GRAPH_FILE, compress_to_fp16=precision != "fp32")
        _describe(folder, draft)
        model = evaluate.load(folder)
        scores = {
            split: evaluate.score(model, splits[split])
            for split in ("valid", "test", "other")
            if splits[split]
        }
        weights_bytes = (folder / artifact.WEIGHTS_FILE).stat().st_size
        found.append(Candidate(precision, folder, weights_bytes, scores))
    return found


def input_spec(trained: TrainedModel) -> InputSpec:
    """What the endpoint does to a photo for this model; mean and std are in units of 0..1."""
    backbone = backbones.create(trained.backbone, pretrained=False)
    return InputSpec(trained.size, trained.crop, backbone.mean, backbone.std)


def _quantised(
    graph: ov.Model, train: Sequence[Photo], spec: InputSpec, calibration_photos: int
) -> ov.Model:
    """`graph` in int8, its ranges taken from photos spread evenly over split train."""
    step = max(1, len(train) // calibration_photos)
    inputs = list(pixels.batches_as_served(train[::step], spec, 1, "calibrate"))
    # Nothing evens out what the breeds' head is wrong by, nor the gate's sum of probabilities.
    kept = [
        node.get_friendly_name()
        for node in graph.get_ops()
        if _is_breeds(node) or _is_small_depthwise(node, spec.size_px)
    ]
    return nncf.quantize(
        graph,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.MIXED,  # symmetric weights, asymmetric activations
        subset_size=len(inputs),
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(names=kept, types=["ReduceSum"]),
    )


def _is_breeds(node: ov.Node) -> bool:
    """Whether `node` is the linear head of the breeds (`BreedClassifier.breeds`)."""
    return bool(node.get_type_name() == "MatMul" and ".breeds" in node.get_friendly_name())


def _is_small_depthwise(node: ov.Node, size_px: int) -> bool:
    """Whether `node` is a depthwise convolution of 28 by 28 pixels or fewer, for photos of 224: in
    int8 it takes longer than in bf16 or fp32."""
    if node.get_type_name() != "GroupConvolution":
        return False
    return bool(8 * node.input(0).get_shape()[2] <= size_px)


def _calibrated(
    best: Candidate, trained: TrainedModel, options: dict[str, Any], judge: str
) -> dict[str, Any]:
    """The description of `best` with temperature and threshold fitted, and its measured figures."""
    logits, targets, dog_probabilities = _held_out(best, trained)
    description: dict[str, Any] = json.loads((best.folder / artifact.DESCRIPTION_FILE).read_text())
    temperature = description["temperature"] = fit_temperature(logits, targets)
    description["dog_threshold"] = fit_threshold(dog_probabilities, options["max_dogs_refused"])
    description["trained_with"] = {
        "backbone": trained.backbone,
        "data": trained.data,
        "command": trained.command,
        "settings": trained.settings,
        "epoch": trained.epoch,
        "precision": best.precision,
        "torch": torch.__version__,
        "openvino": ov.__version__,
    }
    _describe(best.folder, description)
    model = evaluate.load(best.folder)
    measured = evaluate.figures(model, best.scores[judge], best.scores.get("other"))
    description["metrics"] = {
        "split": judge,
        **measured,
        "held_out": evaluate.breed_figures(logits, targets, temperature),
    }
    return description


def _held_out(best: Candidate, trained: TrainedModel) -> tuple[Floats, Ints, Floats]:
    """Logits [N, breeds], targets [N] and dog probabilities [N] of photos that shaped no weight:
    those of split valid, or those of split train in the cross-validation of the head."""
    if "valid" in best.scores:
        scores = best.scores["valid"]
        return scores.logits, scores.targets, scores.dog_probabilities
    if trained.held_out is None:
        raise DataError("there is neither a split valid nor a cross-validation to calibrate on")
    held_out = {name: tensor.numpy() for name, tensor in trained.held_out.items()}
    return held_out["logits"], held_out["targets"], held_out["dog_probabilities"]


def _describe(folder: Path, description: dict[str, Any]) -> None:
    """Write `model.json` beside the graph, with the checksums of the graph's files."""
    checksums = {
        file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for file in (artifact.GRAPH_FILE, artifact.WEIGHTS_FILE)
    }
    text = json.dumps({**description, "sha256": checksums}, indent=1, ensure_ascii=False)
    run_folder.write_text(folder / artifact.DESCRIPTION_FILE, text + "\n")


def _publish(folder: Path, description: dict[str, Any], output: Path) -> None:
    """Replace the artifact in `output`; `model.json` comes last, so a torn copy is refused."""
    _describe(folder, description)
    output.mkdir(parents=True, exist_ok=True)
    for file in (artifact.WEIGHTS_FILE, artifact.GRAPH_FILE, artifact.DESCRIPTION_FILE):
        aside = output / f"{file}.writing"
        aside.write_bytes((folder / file).read_bytes())
        aside.replace(output / file)
