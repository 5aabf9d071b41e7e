"""LitServe with our artifact and dynamic batching.

    .venv-bench/bin/python -m benchmarks.peers.lit PORT

It follows LitServe's documentation: `max_batch_size` with a short `batch_timeout`
(https://lightning.ai/docs/litserve/features/batching and .../speed-up-serving-by-200x), workers
with a copy of the model each, and `fast_queue`, its ZeroMQ transport for high rates. The handler
returns a `Response`, so that FastAPI does not serialize the prediction again.
"""

import os
import sys
from typing import Any

import litserve as ls  # type: ignore[import-not-found]
import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from benchmarks.peers.batched import Batched
from model_code.inference import JSON, input_fn, output_fn
from model_code.prediction import Prediction

MAX_BATCH_SIZE = int(os.environ.get("BENCH_BATCH", "8"))
BATCH_TIMEOUT_S = float(os.environ.get("BENCH_BATCH_TIMEOUT_S", "0.005"))
WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))


class WhatBreed(ls.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.model = Batched(threads=max(1, len(os.sched_getaffinity(0)) // WORKERS))

    def decode_request(self, request: Request) -> tuple[Any, NDArray[np.uint8]]:
        photo = input_fn(request["photo"].file.read(), "image/jpeg")
        return photo, photo.pixels(self.model.artifact.input)  # type: ignore[union-attr]

    def batch(self, inputs: list[tuple[Any, NDArray[np.uint8]]]) -> Any:
        return inputs

    def predict(self, inputs: list[tuple[Any, NDArray[np.uint8]]]) -> list[Prediction]:
        photos, pixels = zip(*inputs, strict=True)
        return self.model.predict(photos, pixels)

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: Prediction) -> Response:
        return Response(output_fn(output), media_type=JSON)


if __name__ == "__main__":
    api = WhatBreed(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, fast_queue=True)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
