"""The served graph, converted to OpenVINO."""

import warnings

import openvino as ov
import torch
from openvino.preprocess import PrePostProcessor
from openvino.tools.ovc import convert_model

from model_code.artifact import InputSpec
from model_code.inference import DOG_PROBABILITY, EVIDENCE, INPUT, LOGITS
from training import backbones
from training.model import ServedModel
from training.run_files import TrainedModel


def convert(trained: TrainedModel) -> ov.Model:
    """Return the fp32 graph: uint8 NHWC pixels in, breed logits and dog probability out."""
    spec = input_spec(trained)
    shape = (1, 3, spec.size_px, spec.size_px)
    with torch.no_grad(), warnings.catch_warnings():
        # OpenVINO 2026.4 traces with torch.jit, which torch 2.13 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        served = ServedModel(trained.network(), looks_twice(trained))
        graph = convert_model(served, example_input=torch.zeros(shape), input=shape)
    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(
        _scalar_if_equal([255 * mean for mean in spec.mean])
    ).scale(_scalar_if_equal([255 * std for std in spec.std]))
    graph = steps.build()
    graph.input(0).tensor.set_names({INPUT})
    for port, name in zip(graph.outputs, (LOGITS, DOG_PROBABILITY, EVIDENCE), strict=False):
        port.tensor.set_names({name})
    return graph


def input_spec(trained: TrainedModel) -> InputSpec:
    """Return how the endpoint preprocesses images for this model."""
    backbone = backbones.create(trained.backbone, pretrained=False)
    return InputSpec(trained.size, trained.crop, backbone.mean, backbone.std)


def breed_head(graph: ov.Model) -> ov.Node:
    """Return the last linear operation before the logits."""
    node = graph.output(LOGITS).get_node()
    while node.get_type_name() not in ("Convolution", "MatMul"):
        node = node.input_value(0).get_node()
    return node


def looks_twice(trained: TrainedModel) -> bool:
    """Return whether the model has a location map, and was trained to look where it points."""
    backbone = backbones.create(trained.backbone, pretrained=False)
    return backbone.has_map and trained.settings["second_looks"] > 0


def _scalar_if_equal(values: list[float]) -> float | list[float]:
    """Reduce equal values to one, with which OpenVINO is five times as fast, 2 % per photo."""
    return values[0] if len(set(values)) == 1 else values
