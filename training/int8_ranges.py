"""Ranges of int8 values that are as fine as every CPU allows.

NNCF determines the ranges of activations. This module sets those of weights and of the input.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from training.metrics import Floats
from training.preprocessing import Pixels

_MAX_WEIGHT = 127
# Without VNNI, x86 CPUs add two products of an unsigned activation and a signed weight in 16 bits,
# where they saturate (VPMADDUBSW). oneDNN pairs neighbouring inputs. NNCF's overflow fix halves all
# weights to 7 bits, which is more than necessary: two weights of one sign only need this sum.
# https://uxlfoundation.github.io/oneDNN/dev_guide_int8_computations.html
_MAX_PIXEL = 255
_MAX_PAIR = (2**15 - 1) // _MAX_PIXEL
_NORMALISATION = ["Convert", "Subtract", "Multiply", "FakeQuantize"]
_LINEAR = ("Convolution", "GroupConvolution", "MatMul")


def avoid_saturation(quantised: ov.Model, graph: ov.Model, inputs: Sequence[Pixels]) -> None:
    """Choose ranges of weights with which no sum of two products can saturate.

    `graph` is what was `quantised`, without compressed weights. Its means over `inputs`, uint8
    [1, S, S, 3], keep the means of the outputs as they were.
    """
    layers = [layer for layer in _quantised_layers(quantised) if layer.inputs > 1]
    means = _mean_inputs(graph, [layer.name for layer in layers], inputs)
    for layer, mean in zip(layers, means, strict=True):
        before = layer.rounded()
        layer.set_scale(_scale(layer.weights))
        shift = np.einsum("goik,gi->go", layer.rounded() - before, mean.reshape(layer.groups, -1))
        _add_to_bias(layer.node, -shift.ravel())


def keep_pixels(quantised: ov.Model) -> None:
    """Represent the uint8 values of the input exactly.

    The ranges that NNCF finds clip black and white, and their steps are not those of the pixels. If
    the mean that is subtracted is not an integer, the first layer's bias absorbs the rest.
    Graphs that begin differently stay as they are.
    """
    chain = list(_chain(quantised.inputs[0].get_node()))
    if [node.get_type_name() for node in chain[:4]] != _NORMALISATION:
        return
    subtract, multiply, quantise = chain[1:4]
    mean, scale = (node.input_value(1).get_node().data.ravel() for node in (subtract, multiply))
    first = next(_quantised_layers(quantised), None)
    if first is None or first.name != chain[-1].get_friendly_name() or mean.size + scale.size > 2:
        return
    zero = np.floor(mean)
    _set_constant(subtract, 1, zero)
    low, high = -zero * scale, (_MAX_PIXEL - zero) * scale
    for number, value in enumerate((low, high, low, high), start=1):
        _set_constant(quantise, number, value)
    shift = first.rounded().sum(axis=(2, 3)) * (zero - mean) * scale
    _add_to_bias(first.node, shift.ravel())


@dataclass(frozen=True, slots=True)
class _Layer:
    """A linear layer and its weights, float64 [groups, outputs, inputs, kernel] per group."""

    node: ov.Node
    weights: Floats

    @property
    def name(self) -> str:
        return str(self.node.get_friendly_name())

    @property
    def groups(self) -> int:
        return int(self.weights.shape[0])

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[2])

    @property
    def _quantise(self) -> ov.Node:
        return self.node.input_value(1).get_node()

    def rounded(self) -> Floats:
        """Return the weights that the layer computes with."""
        high = self._quantise.input_value(2).get_node().data.astype(np.float64)
        scale = high.reshape(self.groups, -1, 1, 1) / _MAX_WEIGHT
        rounded: Floats = _round(self.weights, scale) * scale
        return rounded

    def set_scale(self, scale: Floats) -> None:
        """Set the step between two weights of an output, [groups, outputs]."""
        shape = self._quantise.input_value(2).get_node().get_output_shape(0)
        high = (_MAX_WEIGHT * scale).reshape(shape)
        for number, value in enumerate((-high, high, -high, high), start=1):
            _set_constant(self._quantise, number, value)


def _quantised_layers(graph: ov.Model) -> Iterator[_Layer]:
    """Yield the layers whose weights have a range per output."""
    for node in graph.get_ordered_ops():
        if node.get_type_name() not in _LINEAR:
            continue
        quantise = node.input_value(1).get_node()
        if quantise.get_type_name() != "FakeQuantize":
            continue
        weights = quantise.input_value(0).get_node()
        if weights.get_type_name() != "Constant":
            continue
        values = _grouped(node, weights.data.astype(np.float64))
        ranges = quantise.input_value(2).get_node().data
        if ranges.size == values.shape[0] * values.shape[1]:
            yield _Layer(node, values)


def _grouped(node: ov.Node, weights: Floats) -> Floats:
    """Return weights as [groups, outputs, inputs, kernel]."""
    kind = node.get_type_name()
    if kind == "MatMul":
        weights = weights if node.get_attributes()["transpose_b"] else weights.T
        weights = weights[:, :, np.newaxis, np.newaxis]
    groups = weights.shape[0] if kind == "GroupConvolution" else 1
    grouped: Floats = weights.reshape((groups, *weights.shape[-4:-2], -1))
    return grouped


def _scale(weights: Floats) -> Floats:
    """Return the smallest steps, [groups, outputs], with which no pair exceeds its limit."""
    groups, outputs, inputs, kernel = weights.shape
    padded = np.pad(weights, ((0, 0), (0, 0), (0, inputs % 2), (0, 0)))
    pairs = padded.reshape(groups, outputs, -1, 2, kernel)

    def largest(pairs: Floats) -> Floats:
        positive, negative = pairs.clip(min=0), -pairs.clip(max=0)
        sums = np.maximum(positive.sum(axis=3), negative.sum(axis=3))
        most: Floats = sums.max(axis=(2, 3))
        return most

    scale: Floats = np.maximum(
        abs(weights).max(axis=(2, 3)) / _MAX_WEIGHT, largest(pairs) / _MAX_PAIR
    )
    scale = np.maximum(scale, np.finfo(np.float32).tiny)  # of weights that are all zero
    while True:  # rounding may lift a pair above its limit
        over = largest(_round(pairs, scale[:, :, None, None, None])) > _MAX_PAIR
        if not over.any():
            return scale
        scale[over] *= 1.001


def _round(weights: Floats, scale: Floats) -> Floats:
    rounded: Floats = np.round(weights / scale).clip(-_MAX_WEIGHT, _MAX_WEIGHT)
    return rounded


def _mean_inputs(
    graph: ov.Model, names: Sequence[str], inputs: Sequence[Pixels]
) -> list[NDArray[np.float64]]:
    """Return the mean inputs of layers, float64 [inputs] each."""
    graph = graph.clone()  # which the additional outputs stay in
    nodes = {node.get_friendly_name(): node for node in graph.get_ops()}
    outputs = []
    for name in names:
        data = nodes[name].input_value(0)
        rank = len(data.get_partial_shape())
        axes = [0, *range(2, rank)] if nodes[name].get_type_name() != "MatMul" else range(rank - 1)
        outputs.append(ops.reduce_mean(data, np.array(list(axes), np.int64)))
    model = ov.Model(outputs, graph.get_parameters())
    request = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    means = [np.zeros(output.get_output_shape(0)) for output in outputs]
    for pixels in inputs:
        results = request(pixels)
        for number in range(len(means)):
            means[number] += results[number] / len(inputs)
    return means


def _chain(node: ov.Node) -> Iterator[ov.Node]:
    """Yield the nodes after `node` up to the first linear layer."""
    while node.get_type_name() not in _LINEAR:
        targets = list(node.output(0).get_target_inputs())
        if not targets:
            return
        node = targets[0].get_node()
        yield node


def _add_to_bias(node: ov.Node, shift: Floats) -> None:
    """Add `shift` [outputs] to the bias of a layer. One without a bias stays as it is."""
    for target in node.output(0).get_target_inputs():
        add = target.get_node()
        if add.get_type_name() != "Add":
            continue
        bias = add.input_value(1).get_node()
        if bias.get_type_name() == "Constant" and bias.data.size == shift.size:
            _set_constant(add, 1, bias.data + shift.reshape(bias.data.shape))


def _set_constant(node: ov.Node, number: int, value: NDArray[np.float64]) -> None:
    constant = ops.constant(value.astype(np.float32))
    node.input(number).replace_source_output(constant.output(0))
