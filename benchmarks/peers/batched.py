"""Our artifact for servers that batch: the same graph with a dynamic batch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_code import artifact
from model_code.images import InputImage
from model_code.inference import DEFAULT_MODEL_DIR, DOG_PROBABILITY, LOGITS
from model_code.prediction import Prediction
from model_code.runtime import CORE, compile_model


class Batched:
    """The compiled graph with a dynamic batch. Not thread-safe.

    With the hint LATENCY, all `threads` work on one batch.
    """

    def __init__(self, threads: int) -> None:
        self.artifact = artifact.load(DEFAULT_MODEL_DIR)
        graph = CORE.read_model(self.artifact.graph)
        shape = graph.input(0).partial_shape
        shape[0] = -1
        graph.reshape(shape)
        compiled = compile_model(graph, "LATENCY", INFERENCE_NUM_THREADS=threads)
        self._request = compiled.create_infer_request()

    def predict(
        self, photos: Sequence[InputImage], pixels: Sequence[NDArray[np.uint8]]
    ) -> list[Prediction]:
        """Return one prediction per image. `pixels` are uint8 [size, size, 3]."""
        self._request.infer({0: np.stack(pixels)})
        logits = self._request.get_tensor(LOGITS).data.copy()
        dogs = self._request.get_tensor(DOG_PROBABILITY).data.reshape(-1).tolist()
        return [
            Prediction(self.artifact, photo, scores, dog)
            for photo, scores, dog in zip(photos, logits, dogs, strict=True)
        ]
