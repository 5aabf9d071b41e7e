"""The int8 graph: what is quantised, and that no CPU saturates."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from model_code.artifact import InputSpec
from model_code.inference import LOGITS
from tests.training.conftest import Run
from training import (
    backbones,
    instruction_sets,
    int8_ranges,
    openvino_graph,
    photos,
    quantisation,
    run_files,
)
from training.model import BreedClassifier
from training.photos import Photo

SIZE_PX = 64
SPEC = InputSpec(SIZE_PX, 1.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def train(trained_run: Run) -> list[Photo]:
    return [photo for photo in photos.read(trained_run.photos) if photo.split == "train"]


@pytest.fixture(scope="module")
def quantised(trained_run: Run, train: list[Photo]) -> ov.Model:
    trained = run_files.load_model(trained_run.folder)
    spec = openvino_graph.input_spec(trained)
    return quantisation.quantise(openvino_graph.convert(trained), train, spec, 4)


def linear(graph: ov.Model) -> list[ov.Node]:
    kinds = ("Convolution", "GroupConvolution", "MatMul")
    return [node for node in graph.get_ops() if node.get_type_name() in kinds]


def int8_weights(node: ov.Node) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]] | None":
    """Return the integers that a layer multiplies with, or None if it is not quantised."""
    while node.get_type_name() != "Constant":
        source = node.input_value(
            1 if node.get_type_name() in ("Convolution", "GroupConvolution") else 0
        )
        node = source.get_node()
    return node.data.astype(np.int16) if node.get_element_type() == ov.Type.i8 else None


def test_the_breed_head_and_small_depthwise_convolutions_are_not_quantised(
    quantised: ov.Model,
) -> None:
    assert int8_weights(openvino_graph.breed_head(quantised)) is None
    depthwise = [node for node in linear(quantised) if node.get_type_name() == "GroupConvolution"]
    for node in depthwise:
        small = 8 * node.input(0).get_shape()[2] <= SIZE_PX
        assert (int8_weights(node) is None) == small, node.get_friendly_name()


def test_no_sum_of_two_products_can_saturate(quantised: ov.Model) -> None:
    checked, largest = 0, 0
    for node in linear(quantised):
        weights = int8_weights(node) if node.get_type_name() == "Convolution" else None
        if weights is None:
            continue
        padded = np.pad(weights, ((0, 0), (0, weights.shape[1] % 2), (0, 0), (0, 0)))
        pairs = padded.reshape(padded.shape[0], -1, 2, *padded.shape[2:])
        for products in (255 * pairs.clip(min=0), 255 * -pairs.clip(max=0)):
            assert products.astype(int).sum(axis=2).max() < 2**15
        largest = max(largest, abs(weights).max())
        checked += 1
    assert checked > 5
    assert largest > 64  # finer than the 7 bits that NNCF's own fix leaves


def test_depthwise_convolutions_have_a_kernel_for_avx2(quantised: ov.Model, tmp_path: Path) -> None:
    ov.save_model(quantised, tmp_path / "model.xml")
    depthwise = [n for n in linear(quantised) if n.get_type_name() == "GroupConvolution"]
    assert (tmp_path / "model.xml").read_text().count("jit_avx2_dw") == len(depthwise) > 0


INFER = """
import sys, numpy as np, openvino as ov
compiled = ov.compile_model(sys.argv[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
pixels = np.random.default_rng(0).integers(0, 256, compiled.input("image").shape, np.uint8)
print(*compiled(pixels)["logits"].ravel().tolist())
"""


def logits_of_noise(model: Path, instruction_set: str) -> list[float]:
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instruction_set}
    command = [sys.executable, "-c", INFER, str(model)]
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return [float(logit) for logit in result.stdout.split()]


def test_pretrained_weights_compute_the_same_on_older_cpus(
    trained_run: Run, train: list[Photo], tmp_path: Path
) -> None:
    run = run_files.load_model(trained_run.folder)
    backbone = "tf_efficientnet_lite0"
    network = BreedClassifier(backbones.create(backbone), len(run.breeds))
    trained = replace(run, backbone=backbone, state=network.state_dict())
    graph = openvino_graph.convert(trained)
    spec = openvino_graph.input_spec(trained)
    ov.save_model(quantisation.quantise(graph, train, spec, 4), tmp_path / "model.xml")
    here = logits_of_noise(tmp_path / "model.xml", "DEFAULT")
    for older in instruction_sets.available():
        # The order of additions in the float32 parts differs.
        assert logits_of_noise(tmp_path / "model.xml", older) == pytest.approx(here, abs=0.02)


@pytest.fixture(scope="module")
def small() -> ov.Model:
    """Two convolutions and a head, behind the normalisation of the shipped model."""
    image = ops.parameter([1, SIZE_PX, SIZE_PX, 3], ov.Type.u8, "image")
    value = ops.convert(image, "f32")
    value = ops.multiply(ops.subtract(value, np.float32(127.5)), np.float32(1 / 127.5))
    value = ops.transpose(value, np.array([0, 3, 1, 2]))
    draw = np.random.default_rng(0)
    for inputs, outputs in ((3, 16), (16, 16), (16, 4)):
        if outputs == 4:
            value = ops.reduce_mean(value, np.array([2, 3]), keep_dims=True)
        weights = draw.uniform(0, 1, (outputs, inputs, 1, 1)).astype(np.float32)
        bias = draw.uniform(0, 1, (1, outputs, 1, 1)).astype(np.float32)
        value = ops.add(ops.convolution(value, weights, [1, 1], [0, 0], [0, 0], [1, 1]), bias)
        value = value if outputs == 4 else ops.relu(value)
    graph = ov.Model([ops.squeeze(value, np.array([2, 3]))], [image])
    graph.outputs[0].tensor.set_names({LOGITS})
    return graph


@pytest.fixture(scope="module")
def quantised_small(small: ov.Model, train: list[Photo]) -> ov.Model:
    return quantisation.quantise(small, train, SPEC, 4)


def test_the_pixels_are_represented_exactly(quantised_small: ov.Model) -> None:
    ranges = next(
        node for node in quantised_small.get_ordered_ops() if node.get_type_name() == "FakeQuantize"
    )
    low, high = (ranges.input_value(number).get_node().data.item() for number in (1, 2))
    step = (high - low) / 255
    assert 1 / step == pytest.approx(127.5)  # the deviation in pixels
    assert -low / step == pytest.approx(127)  # from zero to black; to white it is 128


def test_a_graph_with_another_input_stays_as_it_is(quantised: ov.Model) -> None:
    value = ops.parameter([1, 4], ov.Type.f32)
    graph = ov.Model([ops.relu(value)], [value])
    int8_ranges.keep_pixels(graph)
    assert [node.get_type_name() for node in graph.get_ordered_ops()] == [
        "Parameter",
        "Relu",
        "Result",
    ]
