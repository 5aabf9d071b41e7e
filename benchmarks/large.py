"""A 12-megapixel JPEG against one of 500 pixels: what it costs the server, and the same breed.

    python -m benchmarks.large [--quick]

Each pair is one picture in two sizes. A small photo that is enlarged has no detail, and its JPEG
decodes faster than a camera's: the large ones get a sensor's grain, which makes them as heavy as a
camera's files (the size is in the results). Both sizes take turns on one server, one client.
"""

import io
import json
import math
from statistics import median
from typing import Any

from PIL import Image
from tqdm import tqdm

from benchmarks import command, load, pictures, stacks, table
from benchmarks.processes import HOST, ServerFailed
from benchmarks.scale import Scale
from benchmarks.stacks import Server
from benchmarks.table import Row

PART = "large"
LARGE_PX = (4000, 3000)
SMALL_PX = 500
MAX_RATIO = 3
PAIRS = 4


def measure(scale: Scale) -> tuple[list[Row], dict[str, Any]]:
    pairs = [pair(payload) for payload in pictures.payloads(stacks.PICTURES)[:PAIRS]]
    latency_ms: dict[str, list[float]] = {"large": [], "small": []}
    cpu_ms: dict[str, list[float]] = {"large": [], "small": []}
    with stacks.started(stacks.ours()) as server:
        same = sum(_breed(server, large) == _breed(server, small) for large, small in pairs)
        for _ in tqdm(range(scale.rounds), desc="large", unit="round", disable=None):
            for name, photos in zip(("large", "small"), zip(*pairs, strict=True), strict=True):
                for photo in photos:
                    _breed(server, photo)  # warm
                before_s = server.processes.cpu_s()
                found = server.drive(1, scale.load_s, 0, photos)
                images = found.statuses[200] + 1  # the last answer came after the measured time
                cpu_ms[name].append((server.processes.cpu_s() - before_s) / images * 1000)
                latency_ms[name].append(found.quantile_ms(0.5))
    rows = [
        table.at_most(
            PART,
            f"a JPEG of 12 megapixels against one of {SMALL_PX} pixels: {figure}",
            "ms",
            median(values["large"]),
            median(values["small"]),
            MAX_RATIO,
        )
        for figure, values in (("p50, 1 client", latency_ms), ("processor time", cpu_ms))
    ]
    rows.append(
        Row(PART, "the same breed in both sizes", "pairs", same, PAIRS, "all", same == PAIRS)
    )
    return rows, {
        "large_kib": [len(large) // 1024 for large, _ in pairs],
        "small_kib": [len(small) // 1024 for _, small in pairs],
    }


def pair(payload: bytes) -> tuple[bytes, bytes]:
    """The picture in `payload` as JPEG files of 12 megapixels and of 500 pixels' width."""
    with Image.open(io.BytesIO(payload)) as image:
        picture = image.convert("RGB")
    # 4:3, cut from the middle.
    width, height = picture.size
    wide, high = min(width, height * 4 / 3), min(height, width * 3 / 4)
    left, top = (width - wide) / 2, (height - high) / 2
    box = (left, top, left + wide, top + high)
    large = picture.resize(LARGE_PX, Image.Resampling.BICUBIC, box)
    small = large.resize((SMALL_PX, SMALL_PX * 3 // 4), Image.Resampling.LANCZOS)
    return pictures.jpeg(pictures.grained(large, seed=1), quality=87), pictures.jpeg(small)


def _breed(server: Server, photo: bytes) -> str:
    """The label of the highest logit."""
    answer = load.ask(HOST, server.port, server.stack.request(photo))
    try:
        answer.judge(server.stack.plausible)
    except ValueError as error:
        raise ServerFailed(str(error)) from None
    [body] = answer.bodies
    document = json.loads(body)
    scores: dict[str, float] = dict(zip(document["labels"], document["logits"], strict=True))
    return max(scores, key=lambda label: scores.get(label, -math.inf))


if __name__ == "__main__":
    command.main("large", measure, __doc__)
