"""SageMaker's handler contract: `model_fn`, `input_fn`, `predict_fn`, `output_fn`.

Our own server (`serve.py`) calls these four and nothing else, and so can every other host that
knows the contract: AWS's PyTorch containers, a Batch Transform, a notebook.
https://docs.aws.amazon.com/sagemaker/latest/dg/adapt-inference-container.html
"""

import json
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_code import artifact
from model_code.artifact import Artifact
from model_code.errors import BrokenArtifact, InvalidRequest, UnsupportedMediaType
from model_code.images import Photo
from model_code.runtime import ov

DEFAULT_MODEL_DIR = artifact.DEFAULT_MODEL_DIR
JSON = "application/json"

INPUT = "image"
LOGITS = "logits"
DOG_PROBABILITY = "dog_probability"


class Model:
    """A compiled artifact that any number of threads may ask at once.

    It is compiled twice: `shared` infers a photo on each core, which answers the most photos in a
    second; `alone` infers one photo on all cores, which answers the first in half the time.
    """

    def __init__(
        self, description: Artifact, shared: ov.CompiledModel, alone: ov.CompiledModel
    ) -> None:
        self.artifact = description
        self._shared = shared
        self._alone = _Request(alone)
        self._active = 0
        self._counting = threading.Lock()
        self._of_thread = threading.local()

    @property
    def parallel_requests(self) -> int:
        """How many inferences side by side the CPU can use."""
        return int(self._shared.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def infer(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """Logits, float32 [breeds], and dog probability for uint8 RGB pixels [size, size, 3]."""
        with self._counting:
            alone = self._active == 0
            self._active += 1
        try:
            return (self._alone if alone else self._of_this_thread()).infer(pixels)
        finally:
            with self._counting:
                self._active -= 1

    def _of_this_thread(self) -> "_Request":
        """An infer request of the shared graph: one serves one thread at a time."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = _Request(self._shared)
        request: _Request = self._of_thread.request
        return request


class _Request:
    """An infer request, and its tensors as arrays: to name them anew each time costs a percent."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._request = compiled.create_infer_request()
        self._image = self._request.get_tensor(INPUT).data
        self._logits = self._request.get_tensor(LOGITS).data
        self._dog_probability = self._request.get_tensor(DOG_PROBABILITY).data

    def infer(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        self._image[0] = pixels
        self._request.start_async()
        self._request.wait()
        return self._logits.reshape(-1).copy(), float(self._dog_probability.reshape(-1)[0])


@dataclass(frozen=True, slots=True)
class Describe:
    """The invocation that asks for the model itself: `application/json` with an empty object."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one photo. `logits` is float32 [breeds], in the order of labels."""

    artifact: Artifact
    photo: Photo
    logits: NDArray[np.float32]
    dog_probability: float


def model_fn(model_dir: str | os.PathLike[str]) -> Model:
    """The model in `model_dir`, compiled for this CPU.

    Raises `BrokenArtifact` where the files are damaged or do not fit their description.
    """
    folder = Path(model_dir)
    description = artifact.load(folder)
    core = ov.Core()
    try:
        graph = core.read_model(description.graph)
        shared = core.compile_model(graph, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
        alone = core.compile_model(graph, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BrokenArtifact(f"{description.graph} cannot be compiled: {reason}") from None
    _check_shapes(description, shared)
    model = Model(description, shared, alone)
    # The first inference of a process must be alone: OpenVINO's bindings set up their view of numpy
    # in it, and two threads that do so at once can wait for each other for ever (2026.4.1).
    model.infer(np.zeros((description.input.size_px, description.input.size_px, 3), np.uint8))
    return model


def input_fn(body: bytes, content_type: str) -> Photo | Describe:
    """The photo in `body`, or `Describe` for an empty JSON object.

    Raises `UnsupportedMediaType`, `InvalidRequest`, `ImageTooLarge`, `NotAnImage`.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("image/") or media_type == "application/x-image":
        return Photo(body)  # what it is stands in its first bytes: the header may be wrong
    if media_type == JSON:
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if document != {}:
            raise InvalidRequest("a JSON body must be {}, which asks for the model's description")
        return Describe()
    raise UnsupportedMediaType("the Content-Type must be image/* or application/json")


def predict_fn(data: Photo | Describe, model: Model) -> Prediction | Artifact:
    """The model's scores of a photo, or its description. Raises `NotAnImage`."""
    if isinstance(data, Describe):
        return model.artifact
    logits, dog_probability = model.infer(data.pixels(model.artifact.input))
    return Prediction(model.artifact, data, logits, dog_probability)


def output_fn(prediction: Prediction | Artifact, accept: str = JSON) -> bytes:
    """The answer as JSON, which is the only type there is, whatever `accept` says."""
    if isinstance(prediction, Artifact):
        return _json(prediction.describe()).encode()
    photo = prediction.photo
    scores = [prediction.dog_probability, *prediction.logits.tolist()]
    if not all(map(math.isfinite, scores)):
        raise ValueError("the model answered with numbers that are not finite")
    logits = ",".join([f"{logit:.5f}" for logit in scores[1:]])  # json.dumps takes thrice as long
    own = {
        "dog_probability": round(prediction.dog_probability, 6),
        "image": {"format": photo.format, "width": photo.width, "height": photo.height},
    }
    start = prediction.artifact.answer_start
    return f'{start},"logits":[{logits}],{_json(own)[1:]}'.encode()


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def _check_shapes(description: Artifact, compiled: ov.CompiledModel) -> None:
    """Hold the graph against its description: a mismatch would name wrong breeds, silently."""
    size = description.input.size_px
    found = {
        name: (tuple(port.shape), port.element_type.get_type_name())
        for port in (*compiled.inputs, *compiled.outputs)
        for name in port.names
    }
    breeds = len(description.labels)
    expected: dict[str, list[tuple[tuple[int, ...], str]]] = {
        INPUT: [((1, size, size, 3), "u8")],
        LOGITS: [((1, breeds), "f32")],
        DOG_PROBABILITY: [((1,), "f32"), ((1, 1), "f32")],
    }
    for name, allowed in expected.items():
        if found.get(name) not in allowed:
            raise BrokenArtifact(
                f"{description.graph}: {name} is {found.get(name)}, "
                f"{artifact.DESCRIPTION_FILE} needs {allowed[0]}"
            )
