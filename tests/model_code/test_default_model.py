"""The model that ships with the project, judged through the code that serves it."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openvino as ov
import pytest

from model_code import artifact, inference
from model_code.inference import Model
from tests.conftest import ROOT, PhotoCollection

SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"


@pytest.fixture(scope="module")
def model() -> Model:
    return inference.model_fn(inference.DEFAULT_MODEL_DIR)


def ask(model: Model, picture: bytes) -> dict[str, Any]:
    """The container's answer to one picture."""
    data = inference.input_fn(picture, "image/*")
    answer: dict[str, Any] = json.loads(inference.output_fn(inference.predict_fn(data, model)))
    return answer


def ask_all(model: Model, photos: PhotoCollection, split: str) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(2) as threads:
        pictures = map(photos.read, photos.split(split))
        return list(threads.map(lambda picture: ask(model, picture), pictures))


def test_it_is_small_and_says_what_it_is() -> None:
    files = list(inference.DEFAULT_MODEL_DIR.iterdir())
    assert sum(file.stat().st_size for file in files) < 15_000_000
    loaded = artifact.load(inference.DEFAULT_MODEL_DIR)
    assert len(loaded.labels) == 133
    for label, name in zip(loaded.labels, loaded.display_names, strict=True):
        assert name.lower() == label.replace("_", " ").lower()
    assert loaded.metrics
    assert loaded.trained_with


def test_it_knows_the_sample(model: Model) -> None:
    answer = ask(model, SAMPLE.read_bytes())
    likeliest = answer["logits"].index(max(answer["logits"]))
    assert answer["display_names"][likeliest] == "Dalmatian"
    assert answer["dog_probability"] >= answer["model"]["dog_threshold"]


@pytest.mark.photos
def test_accuracy_and_dog_gate(model: Model, photos: PhotoCollection) -> None:
    """The floors that the first model had to reach, on photographers it has never seen."""
    dogs = ask_all(model, photos, "test")
    ranks = []
    for row, answer in zip(photos.split("test"), dogs, strict=True):
        own = answer["logits"][answer["labels"].index(row["label"])]
        ranks.append(sum(logit > own for logit in answer["logits"]))
    assert sum(rank == 0 for rank in ranks) / len(ranks) >= 0.80
    assert sum(rank < 5 for rank in ranks) / len(ranks) >= 0.95

    others = [answer["dog_probability"] for answer in ask_all(model, photos, "other")]
    pairs = [
        (answer["dog_probability"] > other) + 0.5 * (answer["dog_probability"] == other)
        for answer in dogs
        for other in others
    ]
    assert sum(pairs) / len(pairs) >= 0.97  # the area under the ROC curve


def test_int8_spares_small_depthwise_convolutions_and_the_gates_sum() -> None:
    """They are slower in it, or too coarse (training/export.py)."""
    graph = ov.Core().read_model(inference.DEFAULT_MODEL_DIR / artifact.GRAPH_FILE)
    before = {
        node.get_friendly_name(): [port.get_node().get_type_name() for port in node.input_values()]
        for node in graph.get_ops()
    }
    depthwise = {
        node.input(0).get_shape()[2]: before[node.get_friendly_name()][1] == "Constant"
        for node in graph.get_ops()
        if node.get_type_name() == "GroupConvolution"
    }
    spared = {size_px for size_px, is_spared in depthwise.items() if is_spared}
    assert spared == {size_px for size_px in depthwise if size_px <= 28}
    [total] = [node for node in graph.get_ops() if node.get_type_name() == "ReduceSum"]
    assert "FakeQuantize" not in before[total.get_friendly_name()]
