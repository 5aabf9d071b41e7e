"""The served graph against the network that it was converted from."""

import numpy as np
import openvino as ov
import torch

from tests.training.conftest import Run
from training import backbones, openvino_graph, photos, preprocessing, run_files


def test_the_graph_computes_the_logits_of_the_network(trained_run: Run) -> None:
    trained = run_files.load_model(trained_run.folder)
    spec = openvino_graph.input_spec(trained)
    photo = next(p for p in photos.read(trained_run.photos) if p.split == "test")
    square = preprocessing.served_pixels(photo, spec)[np.newaxis].copy()
    compiled = ov.compile_model(
        openvino_graph.convert(trained), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    backbone = backbones.create(trained.backbone, pretrained=False)
    with torch.no_grad():
        logits, _ = trained.network()(preprocessing.normalise(square, backbone))
    outputs = compiled(square)
    np.testing.assert_allclose(outputs["logits"], logits.numpy(), atol=1e-3, rtol=1e-3)
    # Mean and head commute, so the evidence, relative to all breeds, has the logits as its mean.
    evidence = logits - trained.network().breeds.bias.detach()
    relative = evidence - evidence.mean(dim=1, keepdim=True)
    assert outputs["evidence"].shape == (1, 3, 2, 2)
    means = outputs["evidence"].mean(axis=(2, 3))
    np.testing.assert_allclose(means, relative.numpy(), atol=1e-3)
