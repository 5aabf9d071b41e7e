"""The served graph: converted to OpenVINO, and quantised to int8."""

import warnings
from collections.abc import Sequence

import nncf
import openvino as ov
import torch
from openvino.preprocess import PrePostProcessor
from openvino.tools.ovc import convert_model

from model_code.artifact import InputSpec
from model_code.inference import DOG_PROBABILITY, EVIDENCE, INPUT, LOGITS
from training import backbones
from training.model import ServedModel
from training.photos import Photo
from training.preprocessing import served_batches
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


def looks_twice(trained: TrainedModel) -> bool:
    """Return whether the model has a location map, and was trained to look where it points."""
    backbone = backbones.create(trained.backbone, pretrained=False)
    return backbone.has_map and trained.settings["second_looks"] > 0


def _scalar_if_equal(values: list[float]) -> float | list[float]:
    """Reduce equal values to one, with which OpenVINO is five times as fast, 2 % per photo."""
    return values[0] if len(set(values)) == 1 else values


def quantise(
    graph: ov.Model, train: Sequence[Photo], spec: InputSpec, calibration_photos: int
) -> ov.Model:
    """Quantise to int8, with ranges from photos spread evenly over split train."""
    step = max(1, len(train) // calibration_photos)
    inputs = list(served_batches(train[::step], spec, 1, "calibrate"))
    # Errors of the breed head and of the gate's sum of probabilities reach the output directly.
    not_quantised = [
        node.get_friendly_name()
        for node in graph.get_ops()
        if _is_breed_head(node) or _is_small_depthwise(node, spec.size_px)
    ]
    return nncf.quantize(
        graph,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.MIXED,  # symmetric weights, asymmetric activations
        subset_size=len(inputs),
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(names=not_quantised, types=["ReduceSum"]),
        # CPUs without VNNI add pairs of 8-bit products in 16 bits, which saturate. Weights of 7
        # bits leave room, so that all CPUs compute the same.
        # https://docs.openvino.ai/latest/pot_saturation_issue.html
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE
        ),
    )


def _is_breed_head(node: ov.Node) -> bool:
    return bool(node.get_type_name() == "MatMul" and ".breeds" in node.get_friendly_name())


def _is_small_depthwise(node: ov.Node, size_px: int) -> bool:
    """Return whether `node` is a depthwise convolution of at most 28x28 pixels for photos of 224.

    In int8 these take longer than in bf16 or fp32.
    """
    if node.get_type_name() != "GroupConvolution":
        return False
    return bool(8 * node.input(0).get_shape()[2] <= size_px)
