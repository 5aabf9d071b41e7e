"""Write a self-contained HTML page about a run and its model: learning curves, errors, calibration.

The page contains photos: share it only with people who may see the data set.

example:
  python -m training report --run runs/default --model model_code/default --data photos
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import click
import numpy as np

from cli import commands
from cli.files import write_atomically
from model_code.inference import Model
from training import doubtful_labels, evaluate, metrics, plots, run_files
from training.breed_names import display_name
from training.doubtful_labels import DoubtfulLabel
from training.evaluate import Scores
from training.options import data_option, model_option, run_option, split_option

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c2430; }
h1, h2 { font-weight: 600; line-height: 1.2 } h2 { margin-top: 2.5rem }
img { max-width: 100% } table { border-collapse: collapse }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid #dde2e8 }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem }
figure { margin: 0 } figcaption { font-size: 13px }
"""


@commands.command(__doc__)
@run_option
@model_option
@data_option
@split_option
@click.option(
    "--output", type=click.Path(path_type=Path), help="Default: report.html in the run's folder."
)
@click.option("--mistakes", default=24, help="Number of mistakes to show. Default: 24.")
def command(
    run_path: Path,
    model_path: Path,
    data_path: Path,
    split: str,
    output: Path | None,
    mistakes: int,
) -> None:
    model = evaluate.load(model_path)
    dogs, others = evaluate.score_split(model, data_path, split)
    doubtful = doubtful_labels.read(run_path)
    text = page(model, dogs, others, run_files.read_history(run_path), mistakes, doubtful)
    output = output or run_path / "report.html"
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, text)
    print(f"{output}: {len(text) / 1e6:.1f} MB")


def page(
    model: Model,
    dogs: Scores,
    others: Scores | None,
    history: Sequence[Mapping[str, Any]],
    mistakes: int,
    doubtful: Sequence[DoubtfulLabel] = (),
) -> str:
    """Return the page as HTML with all images embedded."""
    artifact = model.artifact
    names = artifact.display_names
    probabilities = metrics.softmax(dogs.logits, artifact.temperature)
    bins = metrics.reliability(probabilities, dogs.targets)
    sections = [
        ("Metrics", _table(evaluate.measure(model, dogs, others))),
        ("Worst mistakes", _mistakes(dogs, probabilities, names, mistakes)),
        ("Confusion between breeds", _image(plots.confusion_map(dogs, names))),
        ("Reliability", _image(plots.reliability_diagram(bins))),
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
    if doubtful:
        sections.append(("Doubtful labels, left out of the fit", _doubtful(doubtful)))
    sections.append(("Training", _table(artifact.trained_with)))
    body = "\n".join(f"<h2>{escape(title)}</h2>\n{content}" for title, content in sections)
    title = escape(f"{artifact.name} {artifact.version}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>\n{body}\n</html>\n"
    )


def _mistakes(
    dogs: Scores, probabilities: np.ndarray[Any, Any], names: Sequence[str], limit: int
) -> str:
    """Show the wrong predictions with the highest confidence."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != dogs.targets)
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]])][:limit]
    figures = []
    for number in worst:
        true, guess = dogs.targets[number], predicted[number]
        caption = (
            f"predicted <b>{escape(names[guess])}</b> {probabilities[number, guess]:.0%}<br>"
            f"true {escape(names[true])} {probabilities[number, true]:.0%}"
        )
        photo = plots.thumbnail(dogs.photos[number].path)
        figures.append(f"<figure>{_image(photo)}<figcaption>{caption}</figcaption></figure>")
    summary = f"<p>{len(wrong)} of {len(dogs.photos)} predictions are wrong.</p>"
    return f'{summary}<div class="mistakes">{"".join(figures)}</div>'


def _doubtful(labels: Sequence[DoubtfulLabel]) -> str:
    figures = [
        f"<figure>{_image(plots.thumbnail(Path(label.file)))}<figcaption>"
        f"label {escape(display_name(label.label))} {label.probability:.2%}<br>likelier "
        f"<b>{escape(display_name(label.likelier))}</b> {label.likelier_probability:.0%}"
        "</figcaption></figure>"
        for label in labels
    ]
    return f'<div class="mistakes">{"".join(figures)}</div>'


def _epochs(history: Sequence[Mapping[str, Any]]) -> str:
    columns = ["epoch", "train_loss", "valid_loss", "valid_top1", "valid_top5", "images_per_s"]
    head = "".join(f"<th>{column}</th>" for column in columns)
    rows = ["".join(f"<td>{row[column]}</td>" for column in columns) for row in history]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _table(values: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>"
        for key, value in values.items()
    ]
    return f"<table>{''.join(rows)}</table>"


def _image(source: str) -> str:
    return f'<img alt="" src="{source}">'
