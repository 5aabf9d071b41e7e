"""A 12-megapixel JPEG: the server's CPU time, and the same breed as for 500 pixels.

No server can be cheaper than decoding the file at a reduced size, as libjpeg-turbo does through
Pillow, and classifying what a small image needs. The bound is 1.1 times the first plus the second.
Each pair is one image in two sizes, which take turns on one server with one client. An enlarged
image has no detail and decodes faster than a camera's file, so the large ones get a sensor's grain.
Their size is part of the results.
"""

import io
import math
import time
from statistics import median
from typing import Any

from PIL import Image
from tqdm import tqdm

from benchmarks import images, results, stacks
from benchmarks.results import Row
from benchmarks.scale import Scale
from benchmarks.stacks import Server

PART = "large"
LARGE_PX = (4000, 3000)
SMALL_PX = 500
DECODES = 1.1
PAIRS = 4


def measure(scale: Scale) -> tuple[list[Row], dict[str, Any]]:
    pairs = [pair(payload) for payload in images.payloads(stacks.IMAGES)[:PAIRS]]
    cpu_ms: dict[str, list[float]] = {"large": [], "small": [], "decode": []}
    with stacks.started(stacks.ours()) as server:
        same = sum(_breed(server, large) == _breed(server, small) for large, small in pairs)
        for _ in tqdm(range(scale.rounds), desc="large", unit="round", disable=None):
            cpu_ms["decode"].append(median(_decode_ms(large) for large, _ in pairs))
            for name, jpegs in zip(("large", "small"), zip(*pairs, strict=True), strict=True):
                for jpeg in jpegs:
                    server.send(jpeg)  # warm-up
                before_s = server.processes.cpu_s()
                load = server.drive(1, scale.load_s, 0, jpegs)
                spent_s = server.processes.cpu_s() - before_s
                cpu_ms[name].append(spent_s / load.requests * 1000)
    bounds = [
        DECODES * decode + small
        for decode, small in zip(cpu_ms["decode"], cpu_ms["small"], strict=True)
    ]
    rows = [
        results.at_most(
            PART,
            f"CPU time, 12-megapixel JPEG vs. {DECODES:g} scaled decodes and {SMALL_PX} pixels",
            "ms",
            median(cpu_ms["large"]),
            median(bounds),
            1,
        ),
        Row(PART, "same breed in both sizes", "pairs", same, PAIRS, "all", same == PAIRS),
    ]
    return rows, {
        **{f"{name}_ms": round(median(values), 2) for name, values in cpu_ms.items()},
        "large_kib": [len(large) // 1024 for large, _ in pairs],
        "small_kib": [len(small) // 1024 for _, small in pairs],
    }


def _decode_ms(jpeg: bytes) -> float:
    """Return the CPU time in which libjpeg-turbo decodes an image to an eighth of its size."""
    times = []
    for _ in range(5):
        began = time.process_time()
        with Image.open(io.BytesIO(jpeg)) as image:
            image.draft("RGB", (image.width // 8, image.height // 8))
            image.load()
        times.append((time.process_time() - began) * 1000)
    return median(times)


def pair(payload: bytes) -> tuple[bytes, bytes]:
    """Return the image in `payload` as JPEG files of 12 megapixels and of 500 pixels' width."""
    with Image.open(io.BytesIO(payload)) as original:
        image = original.convert("RGB")
    # a centered crop of 4:3
    width, height = image.size
    wide, high = min(width, height * 4 / 3), min(height, width * 3 / 4)
    left, top = (width - wide) / 2, (height - high) / 2
    box = (left, top, left + wide, top + high)
    large = image.resize(LARGE_PX, Image.Resampling.BICUBIC, box)
    small = large.resize((SMALL_PX, SMALL_PX * 3 // 4), Image.Resampling.LANCZOS)
    return images.jpeg(images.add_grain(large, seed=1), quality=87), images.jpeg(small)


def _breed(server: Server, jpeg: bytes) -> str:
    """The label of the highest logit."""
    document = server.send(jpeg)
    scores: dict[str, float] = dict(zip(document["labels"], document["logits"], strict=True))
    return max(scores, key=lambda label: scores.get(label, -math.inf))
