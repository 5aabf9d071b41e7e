"""A model for tests, created in milliseconds, with one breed per colour channel.

Its logits are ten times the mean of each channel, so that a plain image determines the breed. The
dog probability is the brightness. The location map, 4 x 4, is the brightness of each part,
whatever the breed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

SIZE_PX = 32
LABELS = ["Red_setter", "Green_hound", "Blue_terrier"]


def write(folder: Path, **changes: Any) -> Path:
    """Write the model to `folder`; `changes` replace members of its model.json."""
    image = op.parameter([1, SIZE_PX, SIZE_PX, 3], np.uint8, name="image")
    pixels = op.divide(op.convert(image, np.float32), np.float32(255))
    colour = op.reduce_mean(pixels, np.array([1, 2]))
    logits = op.multiply(colour, np.float32(10))
    brightness = op.reduce_mean(colour, np.array([1]))
    parts = op.reshape(op.reduce_mean(pixels, np.array([3])), np.array([1, 4, 8, 4, 8]), False)
    places = op.reshape(op.reduce_mean(parts, np.array([2, 4])), np.array([1, 1, 4, 4]), False)
    evidence = op.concat([places] * len(LABELS), 1)
    outputs = {"logits": logits, "dog_probability": brightness, "evidence": evidence}
    for name, node in {"image": image, **outputs}.items():
        node.output(0).get_tensor().set_names({name})
    graph = ov.Model([op.result(node) for node in outputs.values()], [image], "tiny")
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    document = {
        "format": 1,
        "name": "tiny",
        "version": "1",
        "labels": LABELS,
        "display_names": [label.replace("_", " ") for label in LABELS],
        "input": {"size": SIZE_PX, "mean": [0, 0, 0], "std": [1, 1, 1], "crop": 1.0},
        "temperature": 2.0,
        "dog_threshold": 0.25,
        "metrics": {},
        "trained_with": {},
        "sha256": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("model.xml", "model.bin")
        },
        **changes,
    }
    (folder / "model.json").write_text(json.dumps(document))
    return folder
