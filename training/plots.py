"""The plots of a report, as data URLs."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import ImageOps
from sklearn.metrics import confusion_matrix

from model_code import decoding
from training.evaluate import Scores

BLUE, ORANGE, GREY = "#1f5f8b", "#d1691f", "#8a8f98"


def learning_curves(history: Sequence[Mapping[str, Any]]) -> str:
    """Plot losses and accuracies over the epochs."""
    figure, left, right = _two_panels()
    epochs = [row["epoch"] for row in history]
    for name, colour in (("train_loss", GREY), ("valid_loss", BLUE)):
        left.plot(epochs, [row[name] for row in history], color=colour, label=name)
    for name, colour in (("valid_top1", BLUE), ("valid_top5", ORANGE)):
        right.plot(epochs, [row[name] for row in history], color=colour, label=name)
    for panel in (left, right):
        panel.set_xlabel("epoch")
        panel.legend(frameon=False)
    return _png(figure)


def throughput(history: Sequence[Mapping[str, Any]]) -> str:
    """Plot the photos per second in each epoch and the seconds of each phase."""
    figure, left, right = _two_panels()
    left.bar([row["epoch"] for row in history], [row["images_per_s"] for row in history])
    left.set_xlabel("epoch")
    left.set_ylabel("training photos per second")
    phases = sorted(history[-1]["seconds"].items(), key=lambda item: item[1])
    right.barh([name for name, _ in phases], [spent for _, spent in phases], color=GREY)
    right.set_xlabel("seconds")
    return _png(figure)


def reliability_diagram(bins: Sequence[tuple[float, float, int]]) -> str:
    """Plot accuracy over confidence; a calibrated model is on the diagonal."""
    figure, left, right = _two_panels()
    left.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    left.plot([c for c, _, _ in bins], [a for _, a, _ in bins], "o-", color=BLUE)
    left.set_xlabel("mean confidence")
    left.set_ylabel("accuracy")
    right.bar([c for c, _, _ in bins], [n for _, _, n in bins], width=0.05, color=BLUE)
    right.set_xlabel("mean confidence")
    right.set_ylabel("photos")
    return _png(figure)


def gate_histogram(
    dogs: NDArray[np.floating], others: NDArray[np.floating], threshold: float
) -> str:
    """Plot the dog probabilities of photos with and without a dog; the line is the threshold."""
    figure, left, right = _two_panels()
    for panel, values, title in ((left, dogs, "dogs"), (right, others, "other photos")):
        panel.hist(values, bins=np.linspace(0, 1, 41).tolist(), color=BLUE)
        panel.axvline(threshold, color=ORANGE)
        panel.set_yscale("log")
        panel.set_xlabel(f"dog probability of {title}")
    return _png(figure)


def confusion_map(dogs: Scores, names: Sequence[str]) -> str:
    """Plot the confusion matrix of the breeds that are confused at all, true breeds in rows."""
    table = confusion_matrix(dogs.targets, dogs.logits.argmax(axis=1), labels=range(len(names)))
    wrong = table - np.diag(np.diag(table))
    shown = np.flatnonzero(wrong.sum(axis=0) + wrong.sum(axis=1))
    side = max(4.0, 0.2 * len(shown) + 2)
    figure = Figure(figsize=(side, side), layout="constrained")
    panel = figure.subplots()
    if len(shown):
        panel.imshow(table[np.ix_(shown, shown)], cmap="Blues")
        ticks, labels = list(range(len(shown))), [names[number] for number in shown.tolist()]
        panel.set_xticks(ticks, labels, rotation=90, fontsize=7)
        panel.set_yticks(ticks, labels, fontsize=7)
    panel.set_xlabel("predicted")
    panel.set_ylabel("true")
    return _png(figure)


def thumbnail(path: Path, side_px: int = 180) -> str:
    """Return a small copy of a photo."""
    with decoding.open_photo(path) as stored:
        image = ImageOps.exif_transpose(stored).convert("RGB")
    image.thumbnail((side_px, side_px))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _two_panels() -> tuple[Figure, Axes, Axes]:
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    return figure, left, right


def _png(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
