"""The shipped model, evaluated with the code that serves it."""

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


def classify(model: Model, image: bytes) -> dict[str, Any]:
    """Return the container's response to an image."""
    data = inference.input_fn(image, "image/*")
    response: dict[str, Any] = json.loads(inference.output_fn(inference.predict_fn(data, model)))
    return response


def classify_all(model: Model, photos: PhotoCollection, split: str) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(2) as threads:
        images = map(photos.read, photos.split(split))
        return list(threads.map(lambda image: classify(model, image), images))


def test_size_and_description() -> None:
    files = list(inference.DEFAULT_MODEL_DIR.iterdir())
    assert sum(file.stat().st_size for file in files) < 15_000_000
    loaded = artifact.load(inference.DEFAULT_MODEL_DIR)
    assert len(loaded.labels) == 133
    for label, name in zip(loaded.labels, loaded.display_names, strict=True):
        assert name.lower() == label.replace("_", " ").lower()
    assert loaded.metrics
    assert loaded.trained_with


def test_the_sample(model: Model) -> None:
    response = classify(model, SAMPLE.read_bytes())
    likeliest = response["logits"].index(max(response["logits"]))
    assert response["display_names"][likeliest] == "Dalmatian"
    assert response["dog_probability"] >= response["model"]["dog_threshold"]


@pytest.mark.photos
def test_accuracy_and_dog_gate(model: Model, photos: PhotoCollection) -> None:
    """The minimum accuracy, on photos by photographers that are not in the training data."""
    dogs = classify_all(model, photos, "test")
    ranks = []
    for row, response in zip(photos.split("test"), dogs, strict=True):
        target = response["logits"][response["labels"].index(row["label"])]
        ranks.append(sum(logit > target for logit in response["logits"]))
    assert sum(rank == 0 for rank in ranks) / len(ranks) >= 0.85
    assert sum(rank < 5 for rank in ranks) / len(ranks) >= 0.98

    others = [response["dog_probability"] for response in classify_all(model, photos, "other")]
    pairs = [
        (dog["dog_probability"] > other) + 0.5 * (dog["dog_probability"] == other)
        for dog in dogs
        for other in others
    ]
    assert sum(pairs) / len(pairs) >= 0.97  # the area under the ROC curve


def test_small_depthwise_convolutions_and_the_dog_sum_are_not_int8() -> None:
    """In int8 they are slower or too coarse (training/export.py)."""
    graph = ov.Core().read_model(inference.DEFAULT_MODEL_DIR / artifact.GRAPH_FILE)
    inputs = {
        node.get_friendly_name(): [port.get_node().get_type_name() for port in node.input_values()]
        for node in graph.get_ops()
    }
    depthwise = {
        node.input(0).get_shape()[2]: inputs[node.get_friendly_name()][1] == "Constant"
        for node in graph.get_ops()
        if node.get_type_name() == "GroupConvolution"
    }
    unquantized = {size_px for size_px, is_unquantized in depthwise.items() if is_unquantized}
    assert unquantized == {size_px for size_px in depthwise if size_px <= 28}
    [total] = [node for node in graph.get_ops() if node.get_type_name() == "ReduceSum"]
    assert "FakeQuantize" not in inputs[total.get_friendly_name()]
