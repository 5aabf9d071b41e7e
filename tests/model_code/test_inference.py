import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model_code import inference
from model_code.errors import BrokenArtifact, InvalidRequest, UnsupportedMediaType
from model_code.inference import Model
from model_code.prediction import Prediction
from model_code.runtime import ov
from tests import tiny_model

Encode = Callable[..., bytes]


@pytest.fixture(scope="module")
def model(tiny_model_dir: Path) -> Model:
    return inference.model_fn(str(tiny_model_dir))


def invoke(model: Model, body: bytes, content_type: str) -> dict[str, object]:
    data = inference.input_fn(body, content_type)
    response = inference.output_fn(inference.predict_fn(data, model), "application/json")
    document: dict[str, object] = json.loads(response)
    return document


def test_the_four_handlers(model: Model, encode: Encode) -> None:
    answer = invoke(model, encode((255, 0, 51)), "image/png")
    assert answer == {
        "labels": tiny_model.LABELS,
        "display_names": ["Red setter", "Green hound", "Blue terrier"],
        "logits": pytest.approx([10, 0, 2], abs=1e-4),
        "dog_probability": pytest.approx(0.4, abs=1e-4),
        "model": {"name": "tiny", "version": "1", "temperature": 2.0, "dog_threshold": 0.25},
        "image": {"format": "PNG", "width": 64, "height": 48},
        "focus": None,
        "confused_with": [],
    }


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/*", "application/x-image"])
def test_the_format_is_read_from_the_bytes(model: Model, encode: Encode, content_type: str) -> None:
    assert invoke(model, encode("red", "PNG"), content_type)["image"]["format"] == "PNG"  # type: ignore[index]


def test_an_empty_object_requests_the_description(model: Model) -> None:
    answer = invoke(model, b" {} ", "application/json; charset=utf-8")
    assert answer["labels"] == tiny_model.LABELS
    assert answer["model"] == model.artifact.identity()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"url": "https://x.y"}', b"\xff"])
def test_any_other_json_is_refused(model: Model, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        inference.input_fn(body, "application/json")


@pytest.mark.parametrize("content_type", ["", "text/csv", "application/octet-stream"])
def test_other_types_are_refused(model: Model, content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        inference.input_fn(b"x", content_type)


def test_threads_get_their_own_results(model: Model, encode: Encode) -> None:
    colours = [(red, 0, 255 - red) for red in range(0, 256, 5)] * 4

    def first_logit(colour: tuple[int, int, int]) -> float:
        return float(invoke(model, encode(colour), "image/png")["logits"][0])  # type: ignore[index]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(first_logit, colours))
    assert found == pytest.approx([red / 25.5 for red, _, _ in colours], abs=1e-3)


def test_scores_are_the_same_alone_and_in_parallel() -> None:
    model = inference.model_fn(inference.DEFAULT_MODEL_DIR)
    size_px = model.artifact.input.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3)).astype(np.uint8)
    alone, dog_probability, _ = model.infer(pixels)
    with ThreadPoolExecutor(8) as threads:  # most of them use the throughput graph
        for logits, dog, _ in threads.map(lambda _: model.infer(pixels), range(32)):
            np.testing.assert_allclose(logits, alone, atol=1e-3)
            assert dog == pytest.approx(dog_probability, abs=1e-5)


def test_scores_that_are_not_finite(model: Model, encode: Encode) -> None:
    photo = inference.input_fn(encode("red"), "image/png")
    found = inference.predict_fn(photo, model)
    assert isinstance(found, Prediction)
    with pytest.raises(ValueError, match="not finite"):
        inference.output_fn(replace(found, logits=np.full(3, np.nan, np.float32)))


@pytest.mark.parametrize(
    ("changes", "port"),
    [
        ({"labels": ["A", "B"], "display_names": ["A", "B"]}, "logits"),
        ({"input": {"size": 33, "mean": [0, 0, 0], "std": [1, 1, 1], "crop": 1}}, "image"),
    ],
)
def test_a_graph_that_does_not_match_its_description(
    tmp_path: Path, changes: dict[str, object], port: str
) -> None:
    with pytest.raises(BrokenArtifact, match=rf"model\.xml: {port} is"):
        inference.model_fn(tiny_model.write(tmp_path, **changes))


def test_an_invalid_graph(tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    (tmp_path / "model.xml").write_text("<net/>")
    document = json.loads((tmp_path / "model.json").read_text())
    document["sha256"]["model.xml"] = hashlib.sha256(b"<net/>").hexdigest()
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(BrokenArtifact, match=r"model\.xml cannot be compiled"):
        inference.model_fn(tmp_path)


SECOND_LOOK = {
    "threshold": 0.9, "max_aspect": 2, "map_threshold": 0.7, "min_side": 0.25,
}  # fmt: skip


def spot(colour: str, size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """A black image with a rectangle that the location map of the tiny model points to."""
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle((*box[:2], box[2] - 1, box[3] - 1), fill=colour)
    return image


def test_an_unsure_model_looks_again_at_what_its_map_points_to(
    tmp_path: Path, encode: Encode
) -> None:
    """The first look sees 1/16 of red, too little to be sure; the second sees nothing else."""
    model = inference.model_fn(tiny_model.write(tmp_path, second_look=SECOND_LOOK))
    answer = invoke(model, encode(spot("red", (320, 320), (160, 80, 240, 160))), "image/png")
    assert answer["focus"] == {"x": 0.5, "y": 0.25, "width": 0.25, "height": 0.25}
    # The looks count by their dog probabilities, 1/48 and 1/3.
    assert answer["logits"] == pytest.approx([(10 / 16 + 16 * 10) / 17, 0, 0], abs=0.3)
    assert answer["dog_probability"] == pytest.approx(1 / 3, abs=1e-2)


def test_a_sure_model_looks_once(tmp_path: Path, encode: Encode) -> None:
    model = inference.model_fn(tiny_model.write(tmp_path, second_look=SECOND_LOOK))
    assert invoke(model, encode("red"), "image/png")["focus"] is None


@pytest.mark.parametrize(("left", "x"), [(0, 0), (900, 0.75), (300, 0.25)])
def test_a_dog_at_the_edge_of_a_long_image_is_found(
    tmp_path: Path, encode: Encode, left: int, x: float
) -> None:
    model = inference.model_fn(tiny_model.write(tmp_path, second_look=SECOND_LOOK))
    image = spot("red", (1200, 300), (left, 0, left + 300, 300))
    answer = invoke(model, encode(image), "image/png")
    assert answer["focus"] == {"x": x, "y": 0, "width": 0.25, "height": 1}
    assert answer["logits"] == pytest.approx([10, 0, 0], abs=2)
    assert answer["dog_probability"] == pytest.approx(1 / 3, abs=0.01)


def test_confused_breeds_of_the_likeliest(tmp_path: Path, encode: Encode) -> None:
    confused = {"Red_setter": ["Blue_terrier"]}
    model = inference.model_fn(tiny_model.write(tmp_path, confused_with=confused))
    assert invoke(model, encode("red"), "image/png")["confused_with"] == ["Blue_terrier"]
    assert invoke(model, encode("blue"), "image/png")["confused_with"] == []


@pytest.mark.parametrize(
    ("accept", "has_map"),
    [
        ("application/json", False),
        ("application/json; map=false", False),
        ("application/json; map=true", True),
        ("Application/JSON;Map=True", True),
    ],
)
def test_the_map_is_returned_on_request(
    model: Model, encode: Encode, accept: str, has_map: bool
) -> None:
    image = inference.input_fn(encode(spot("red", (320, 160), (80, 0, 120, 40))), "image/png")
    answer = json.loads(inference.output_fn(inference.predict_fn(image, model), accept))
    assert ("map" in answer) == has_map
    if has_map:
        box = {key: answer["map"][key] for key in ("x", "y", "width", "height")}
        assert box == {"x": 0.25, "y": 0, "width": 0.5, "height": 1}
        expected = np.zeros((4, 4))
        expected[0, 0] = 1
        np.testing.assert_allclose(answer["map"]["values"], expected, atol=0.01)


def test_a_second_look_needs_a_map(tmp_path: Path) -> None:
    tiny_model.write(tmp_path, second_look=SECOND_LOOK)
    graph = (tmp_path / "model.xml").read_text().replace("evidence", "somewhere")
    (tmp_path / "model.xml").write_text(graph)
    document = json.loads((tmp_path / "model.json").read_text())
    document["sha256"]["model.xml"] = hashlib.sha256(graph.encode()).hexdigest()
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(BrokenArtifact, match=r"second_look in model\.json requires"):
        inference.model_fn(tmp_path)


def test_images_are_classified_before_the_second_graph_is_compiled(
    model: Model, tiny_model_dir: Path, encode: Encode
) -> None:
    throughput = ov.compile_model(tiny_model_dir / "model.xml", "CPU")
    early = Model(model.artifact, throughput)
    proceed = threading.Event()

    def compile_graph() -> ov.CompiledModel:
        proceed.wait()
        return throughput

    early.compile_latency(compile_graph)
    before = invoke(early, encode("red"), "image/png")
    proceed.set()
    assert early.latency.result() is throughput
    assert invoke(early, encode("red"), "image/png") == before


def test_a_second_graph_that_fails_is_reported_and_not_needed(
    model: Model, tiny_model_dir: Path, encode: Encode, caplog: pytest.LogCaptureFixture
) -> None:
    early = Model(model.artifact, ov.compile_model(tiny_model_dir / "model.xml", "CPU"))

    def compile_graph() -> ov.CompiledModel:
        raise RuntimeError("out of memory")

    early.compile_latency(compile_graph)
    assert str(early.latency.exception()) == "out of memory"
    assert "Single images take longer" in caplog.text
    assert invoke(early, encode("red"), "image/png")["logits"][0] == pytest.approx(10)  # type: ignore[index]
