"""Both looks in training are those of the endpoint, and count as they do there."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from PIL import Image

from model_code import artifact, inference
from model_code.artifact import InputSpec, SecondLook
from tests import tiny_model
from tests.training.conftest import MakeSettings, Run
from training import (
    backbones,
    evaluate,
    export,
    openvino_graph,
    run_files,
    second_look,
    training_set,
)
from training.distributed import World
from training.linear_head import held_out_logits
from training.looks import Extractor
from training.model import dog_probability

RULE = SecondLook(threshold=0.7, max_aspect=1.8, map_threshold=0.7, min_side=0.6)


def test_the_threshold_is_a_quantile_of_the_confidence() -> None:
    confidence = np.linspace(0.5, 0.99, 50)
    logits = np.log(np.stack([confidence, 1 - confidence], axis=1))
    threshold = second_look.fit_threshold(logits, 0.2)
    assert (confidence < threshold).mean() == 0.2


def test_sure_photos_keep_their_first_look() -> None:
    held_out = {
        "logits": torch.tensor([[[9.0, 0], [0, 9]], [[0.1, 0], [0, 8]], [[9.0, 0], [0, 8]]]),
        "dog_probabilities": torch.tensor([[0.9, 0.99], [0.3, 0.9], [0.5, 0.5]]),
        "sizes": torch.tensor([[400, 300], [400, 300], [900, 300]]),
    }
    logits, dogs = second_look.combine(held_out, RULE)
    assert logits.flatten().tolist() == pytest.approx([9, 0, 0.025, 6, 4.5, 4])
    assert dogs.tolist() == pytest.approx([0.9, 0.9, 0.5])
    assert second_look.combine(held_out, None)[0].tolist() == held_out["logits"][:, 0].tolist()


def test_training_computes_what_the_endpoint_computes(
    trained_run: Run, tiny_settings: MakeSettings, tmp_path: Path
) -> None:
    """Photos of several shapes by the fp32 graph, in the server's code and in training's."""
    trained = run_files.load_model(trained_run.folder)
    settings, world = tiny_settings(valid_fraction=0.0, epochs=0), World()
    data = tmp_path / "photos"
    draw = np.random.default_rng(0)
    for number, size in enumerate([(80, 72), (200, 70), (70, 150), (90, 90), (120, 64)]):
        for breed in trained.breeds:
            folder = data / "train" / breed
            folder.mkdir(parents=True, exist_ok=True)
            pixels = draw.integers(0, 256, (size[1] // 8, size[0] // 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).resize(size).save(folder / f"{number}.png")
    photos = training_set.read(data, settings, world)
    backbone = backbones.create(trained.backbone, pretrained=False)
    spec = InputSpec(trained.size, trained.crop, backbone.mean, backbone.std)
    model = trained.network()
    extractor = Extractor(model, backbone, photos, spec, settings, world)

    weights, biases = model.breeds.weight.detach()[None], model.breeds.bias.detach()[None]
    fold = torch.zeros(len(photos.train), dtype=torch.int64)
    first = extractor.first()
    result = extractor.second(weights, biases, fold)
    assert result is not None
    second, sizes = result
    looks = [first, second]
    with torch.no_grad():
        dogs = [dog_probability(model.imagenet(look)) for look in looks]
    held_out = {
        "logits": torch.stack(
            [held_out_logits(weights, biases, look, fold) for look in looks], dim=1
        ),
        "dog_probabilities": torch.stack(dogs, dim=1),
        "sizes": sizes,
    }
    rule = second_look.rule(settings.model_dump(), threshold=0.99)
    logits, dog = second_look.combine(held_out, rule)

    served = tmp_path / "served"
    names = {"labels": trained.breeds, "display_names": trained.breeds}
    frame = {"size": spec.size_px, "crop": 1, "mean": spec.mean, "std": spec.std}
    tiny_model.write(served, **names, input=frame, second_look=asdict(rule))
    ov.save_model(openvino_graph.convert(trained), served / "model.xml", compress_to_fp16=False)
    export.write_description(served, json.loads((served / artifact.DESCRIPTION_FILE).read_text()))
    scores = evaluate.score(inference.model_fn(served), photos.train)
    assert scores.looks > 2  # long photos are looked at three times
    np.testing.assert_allclose(scores.logits, logits, atol=0.05)
    np.testing.assert_allclose(scores.dog_probabilities, dog, atol=0.01)
