"""BentoML with our artifact and adaptive batching.

    .venv-bench/bin/bentoml serve benchmarks.peers.bento:WhatBreed --port PORT

It follows BentoML's documentation: a `batchable` API with a bounded batch window and size, a
`concurrency` of at least the batch size
(https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html), and one worker per core
if that is faster (https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html).
"""

import json
import os
from typing import Any

import bentoml  # type: ignore[import-not-found]
import PIL.Image

from benchmarks.peers.batched import Batched
from model_code.images import InputImage
from model_code.inference import output_fn

MAX_BATCH_SIZE = int(os.environ.get("BENCH_BATCH", "16"))
MAX_LATENCY_MS = int(os.environ.get("BENCH_MAX_LATENCY_MS", "10000"))
WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))


@bentoml.service(
    workers=WORKERS,
    traffic={"concurrency": 64, "timeout": 60},
    logging={"access": {"enabled": False}},
)
class WhatBreed:
    def __init__(self) -> None:
        self.model = Batched(threads=max(1, len(os.sched_getaffinity(0)) // WORKERS))

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=True, max_batch_size=MAX_BATCH_SIZE, max_latency_ms=MAX_LATENCY_MS
    )
    def predict(self, images: list[PIL.Image.Image]) -> list[Any]:
        photos = []
        for image in images:
            file: Any = image.fp  # type: ignore[attr-defined]  # the pixels are not loaded yet
            file.seek(0)
            photos.append(InputImage(file.read()))
        pixels = [photo.pixels(self.model.artifact.input) for photo in photos]
        return [json.loads(output_fn(item)) for item in self.model.predict(photos, pixels)]
