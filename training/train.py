"""Train the breed classifier.

example:
  python -m training train --data ../shared/photos --output runs/default
"""

import argparse
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from model_code.artifact import InputSpec
from training import backbones, metrics, photos, pixels, probe, run_folder, settings
from training.model import BreedClassifier
from training.run_folder import TrainedModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="photos: a folder or an index")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/default"), help="the run's folder"
    )
    settings.add_train_options(parser)


def run(arguments: argparse.Namespace) -> None:
    options = settings.train_settings(vars(arguments))
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    everything = photos.hold_out(photos.read(arguments.data), options.valid_fraction, options.seed)
    breeds = photos.breeds(photos.to_train_on(everything))
    split = {
        name: [photo for photo in everything if photo.split == name] for name in ("train", "valid")
    }

    backbone = backbones.create(options.backbone, pretrained=options.pretrained)
    spec = InputSpec(options.size, options.crop, backbone.mean, backbone.std)
    model = BreedClassifier(backbone, len(breeds)).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    features, targets = {}, {}
    for name, chosen in split.items():
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            features[name] = torch.cat(
                [
                    model.features(pixels.normalised(batch, backbone))
                    for batch in pixels.batches_as_served(chosen, spec, title=f"{name} features")
                ]
            )
        targets[name] = torch.tensor([breeds.index(photo.breed) for photo in chosen])
    start = probe.in_terms_of_imagenet(model, features["train"], targets["train"])
    head = probe.fit(
        start,
        features["train"],
        targets["train"],
        penalty=options.probe_penalty,
        balance=options.balance,
    )
    model.breeds.load_state_dict(head.state_dict())
    logits = head(features["valid"]).detach().numpy()
    for k in (1, 5):
        print(f"valid_top{k}={metrics.top_k(logits, targets['valid'].numpy(), k):.4f}")

    arguments.output.mkdir(parents=True, exist_ok=True)
    run_folder.save_model(
        arguments.output,
        TrainedModel(
            backbone=options.backbone,
            breeds=breeds,
            size=options.size,
            crop=options.crop,
            state=model.state_dict(),
            settings=asdict(options),
            data=photos.fingerprint(photos.to_train_on(everything)),
            command=shlex.join(["python", "-m", "training", *sys.argv[1:]]),
        ),
    )
