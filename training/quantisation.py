"""Quantise the served graph to int8, the same for all CPUs."""

from collections.abc import Sequence

import nncf
import openvino as ov
from nncf.openvino.quantization.backend_parameters import BackendParameters

# NNCF ends with the same call. The weights' ranges change before it, so it cannot make it here.
from openvino._offline_transformations import compress_quantize_weights_transformation

from model_code.artifact import InputSpec
from training import int8_ranges, openvino_graph
from training.photos import Photo
from training.preprocessing import served_batches

# With AVX2, OpenVINO's first choice for depthwise convolutions takes 1.4 times as long as this one.
# The first entry keeps its choice for AVX-512.
_DEPTHWISE_KERNELS = "cpu:brgconv_avx512_dw,cpu:jit_avx2_dw"


def quantise(
    graph: ov.Model, train: Sequence[Photo], spec: InputSpec, calibration_photos: int
) -> ov.Model:
    """Quantise to int8, with ranges from photos spread evenly over split train."""
    step = max(1, len(train) // calibration_photos)
    inputs = list(served_batches(train[::step], spec, 1, "calibrate"))
    # Errors of the breed head and of the gate's sum of probabilities reach the output directly.
    not_quantised = [openvino_graph.breed_head(graph).get_friendly_name()]
    not_quantised += [
        node.get_friendly_name()
        for node in graph.get_ops()
        if _is_small_depthwise(node, spec.size_px)
    ]
    quantised: ov.Model = nncf.quantize(
        graph,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.MIXED,  # symmetric weights, asymmetric activations
        subset_size=len(inputs),
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(names=not_quantised, types=["ReduceSum"], validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.DISABLE,  # int8_ranges replaces it
            backend_params={BackendParameters.COMPRESS_WEIGHTS: False},
        ),
    )
    int8_ranges.avoid_saturation(quantised, graph, inputs)
    int8_ranges.keep_pixels(quantised)
    compress_quantize_weights_transformation(quantised)
    _choose_kernels(quantised)
    return quantised


def _is_small_depthwise(node: ov.Node, size_px: int) -> bool:
    """Return whether `node` is a depthwise convolution of at most 28x28 pixels for photos of 224.

    In int8 these take longer than in bf16 or fp32.
    """
    if node.get_type_name() != "GroupConvolution":
        return False
    return bool(8 * node.input(0).get_shape()[2] <= size_px)


def _choose_kernels(graph: ov.Model) -> None:
    for node in graph.get_ops():
        if node.get_type_name() == "GroupConvolution":
            node.get_rt_info()["PrimitivesPriority"] = _DEPTHWISE_KERNELS
