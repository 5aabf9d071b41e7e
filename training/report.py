"""One self-contained HTML page about a run and its model: how it learnt, and where it is wrong.

The page holds photos: it is for those who may see the collection, and belongs into runs/.

example:
  python -m training report --run runs/default --model model_code/default --data ../shared/photos
"""

import argparse
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from model_code.inference import DEFAULT_MODEL_DIR, Model
from training import evaluate, metrics, photos, plots, run_folder
from training.errors import DataError
from training.evaluate import Scores

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c2430; }
h1, h2 { font-weight: 600; line-height: 1.2 } h2 { margin-top: 2.5rem }
img { max-width: 100% } table { border-collapse: collapse }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid #dde2e8 }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem }
figure { margin: 0 } figcaption { font-size: 13px }
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, default=Path("runs/default"), help="what train wrote")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL_DIR, help="artifact's folder")
    parser.add_argument("--data", type=Path, required=True, help="photos: a folder or an index")
    parser.add_argument("--split", default="test", choices=photos.SPLITS)
    parser.add_argument("--output", type=Path, help="the page (default: report.html of the run)")
    parser.add_argument("--mistakes", type=int, default=24, help="how many to show (%(default)s)")


def run(arguments: argparse.Namespace) -> None:
    model = evaluate.load(arguments.model)
    everything = photos.read(arguments.data)
    dogs = [photo for photo in everything if photo.split == arguments.split]
    others = [photo for photo in everything if photo.split == "other"]
    if not dogs:
        raise DataError(f"{arguments.data} has no photos in split {arguments.split}")
    history = run_folder.read_history(arguments.run)
    text = page(
        model,
        evaluate.score(model, dogs),
        evaluate.score(model, others) if others else None,
        history,
        arguments.mistakes,
    )
    output = arguments.output or arguments.run / "report.html"
    output.parent.mkdir(parents=True, exist_ok=True)
    run_folder.write_text(output, text)
    print(f"{output}: {len(text) / 1e6:.1f} MB")


def page(
    model: Model,
    dogs: Scores,
    others: Scores | None,
    history: Sequence[Mapping[str, Any]],
    mistakes: int,
) -> str:
    """The page as HTML, pictures included."""
    artifact = model.artifact
    names = artifact.display_names
    probabilities = metrics.softmax(dogs.logits, artifact.temperature)
    table = metrics.confusion(dogs.logits.argmax(axis=1), dogs.targets, len(names))
    sections = [
        ("Figures", _rows(evaluate.figures(model, dogs, others).items())),
        ("Worst mistakes", _mistakes(dogs, probabilities, names, mistakes)),
        ("Confusion between breeds", _image(plots.confusion_map(table, names))),
        (
            "Reliability",
            _image(plots.reliability_diagram(metrics.reliability(probabilities, dogs.targets))),
        ),
    ]
    if others is not None:
        histogram = plots.gate_histogram(
            dogs.dog_probabilities, others.dog_probabilities, artifact.dog_threshold
        )
        sections.append(("Dog gate", _image(histogram)))
    if history:
        sections += [
            ("Learning curves", _image(plots.learning_curves(history))),
            ("Throughput and time per phase", _image(plots.throughput(history))),
            ("Epochs", _epochs(history)),
        ]
    sections.append(("How it was trained", _rows(artifact.trained_with.items())))
    body = "\n".join(f"<h2>{escape(title)}</h2>\n{content}" for title, content in sections)
    title = escape(f"{artifact.name} {artifact.version}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>\n{body}\n</html>\n"
    )


def _mistakes(
    dogs: Scores, probabilities: np.ndarray[Any, Any], names: Sequence[str], most: int
) -> str:
    """The photos that were named wrong with the highest confidence."""
    named = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(named != dogs.targets)
    worst = wrong[np.argsort(-probabilities[wrong, named[wrong]])][:most]
    shown = []
    for number in worst:
        true, guess = dogs.targets[number], named[number]
        caption = (
            f"<b>{escape(names[guess])}</b> {probabilities[number, guess]:.0%}<br>"
            f"is {escape(names[true])} {probabilities[number, true]:.0%}"
        )
        photo = plots.thumbnail(dogs.photos[number].path)
        shown.append(f"<figure>{_image(photo)}<figcaption>{caption}</figcaption></figure>")
    return f'<p>{len(wrong)} of {len(dogs.photos)}</p><div class="mistakes">{"".join(shown)}</div>'


def _epochs(history: Sequence[Mapping[str, Any]]) -> str:
    columns = ["epoch", "train_loss", "valid_loss", "valid_top1", "valid_top5", "images_per_s"]
    head = "".join(f"<th>{column}</th>" for column in columns)
    rows = ["".join(f"<td>{row[column]}</td>" for column in columns) for row in history]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _rows(items: Any) -> str:
    rows = [f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in items]
    return f"<table>{''.join(rows)}</table>"


def _image(source: str) -> str:
    return f'<img alt="" src="{source}">'
