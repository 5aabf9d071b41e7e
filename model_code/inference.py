"""SageMaker's handlers: `model_fn`, `input_fn`, `predict_fn`, `output_fn`.

The server (serve.py) calls them; so can AWS containers for PyTorch, Batch Transform or a notebook.
https://docs.aws.amazon.com/sagemaker/latest/dg/adapt-inference-container.html
"""

import json
import logging
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_code import artifact, framing
from model_code.artifact import Artifact
from model_code.errors import BrokenArtifact, InvalidRequest, UnsupportedMediaType
from model_code.framing import Box
from model_code.images import InputImage
from model_code.prediction import LocationMap, Look, Prediction
from model_code.runtime import CORE, compile_model, ov

DEFAULT_MODEL_DIR = artifact.DEFAULT_MODEL_DIR
JSON = "application/json"
MAX_JSON_BYTES = 1024  # the only JSON body is {}

INPUT = "image"
LOGITS = "logits"
DOG_PROBABILITY = "dog_probability"
EVIDENCE = "evidence"

log = logging.getLogger(__name__)

_MAP_PARAMETER = re.compile(r";\s*map\s*=\s*true\b", re.IGNORECASE)


class Model:
    """A compiled model that any number of threads may call.

    It is compiled twice: `throughput` infers one image per core, for the most images per second;
    `latency` infers a single image on all cores, in half the time. Until `latency` is there,
    `throughput` infers all images.
    """

    def __init__(self, description: Artifact, throughput: ov.CompiledModel) -> None:
        self.artifact = description
        self.latency: Future[ov.CompiledModel] = Future()
        self._throughput = throughput
        self._latency_request: _InferRequest | None = None
        self._thread_local = threading.local()
        self._active = 0
        self._active_lock = threading.Lock()

    def compile_latency(self, compile_graph: Callable[[], ov.CompiledModel]) -> None:
        """Set `latency` to the result of `compile_graph`, in the background."""

        def run() -> None:
            try:
                compiled = compile_graph()
                self._latency_request = _InferRequest(compiled)
            except RuntimeError as error:
                log.warning("Single images take longer, because a compilation failed: %s", error)
                self.latency.set_exception(error)
            else:
                self.latency.set_result(compiled)

        threading.Thread(target=run, name="compile").start()

    @property
    def parallel_requests(self) -> int:
        """The number of inferences that the CPU can run in parallel."""
        return int(self._throughput.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def infer(self, pixels: NDArray[np.uint8]) -> Look:
        """Look at `pixels`, RGB, uint8 [size, size, 3]."""
        with self._active_lock:
            is_only = self._active == 0
            self._active += 1
        try:
            request = self._latency_request if is_only else None
            return (request or self._thread_request()).infer(pixels)
        finally:
            with self._active_lock:
                self._active -= 1

    def _thread_request(self) -> "_InferRequest":
        """Return this thread's own request: a request serves one thread at a time."""
        if not hasattr(self._thread_local, "request"):
            self._thread_local.request = _InferRequest(self._throughput)
        request: _InferRequest = self._thread_local.request
        return request


class _InferRequest:
    """An infer request with its tensors cached: looking them up costs about 1 % per call."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._request = compiled.create_infer_request()
        self._image = self._request.get_tensor(INPUT).data
        self._logits = self._request.get_tensor(LOGITS).data
        self._dog_probability = self._request.get_tensor(DOG_PROBABILITY).data
        self._evidence = None
        if any(EVIDENCE in port.names for port in compiled.outputs):
            self._evidence = self._request.get_tensor(EVIDENCE).data

    def infer(self, pixels: NDArray[np.uint8]) -> Look:
        self._image[0] = pixels
        self._request.start_async()
        self._request.wait()
        return Look(
            self._logits.reshape(-1).copy(),
            float(self._dog_probability.reshape(-1)[0]),
            None if self._evidence is None else self._evidence[0].copy(),
        )


@dataclass(frozen=True, slots=True)
class Describe:
    """A request for the model's description: `application/json` with an empty object."""


def model_fn(model_dir: str | os.PathLike[str]) -> Model:
    """Load the model in `model_dir` and compile it for this CPU.

    Raises `BrokenArtifact` if files are damaged or do not match their description.
    """
    folder = Path(model_dir)
    description = artifact.load(folder)
    try:
        graph = CORE.read_model(description.graph)
        throughput = compile_model(graph, "THROUGHPUT")
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BrokenArtifact(f"{description.graph} cannot be compiled: {reason}") from None
    _check_shapes(description, throughput)
    model = Model(description, throughput)
    # The first inference of a process must not run in parallel with another: it initialises numpy
    # in OpenVINO's bindings, where two threads can deadlock (2026.4.1).
    model.infer(np.zeros((description.input.size_px, description.input.size_px, 3), np.uint8))
    # A quarter of a second less until the first response: the second graph takes as long.
    model.compile_latency(lambda: compile_model(graph, "LATENCY"))
    return model


def input_fn(body: bytes, content_type: str) -> InputImage | Describe:
    """Parse a request.

    Raises `UnsupportedMediaType`, `InvalidRequest`, `ImageTooLarge` or `NotAnImage`.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("image/") or media_type == "application/x-image":
        return InputImage(body)  # which reads the format from the bytes: the header may be wrong
    if media_type == JSON:
        try:
            document = json.loads(body) if len(body) <= MAX_JSON_BYTES else None
        except (ValueError, RecursionError):
            document = None
        if document != {}:
            raise InvalidRequest("A JSON body must be {}, which requests the model's description.")
        return Describe()
    raise UnsupportedMediaType("The Content-Type must be image/* or application/json.")


def predict_fn(data: InputImage | Describe, model: Model) -> Prediction | Artifact:
    """Classify an image, or return the model's description. Raises `NotAnImage`."""
    if isinstance(data, Describe):
        return model.artifact
    settings = model.artifact.second_look
    width, height = data.width, data.height
    decoded = data.decode(model.artifact.input)
    box = framing.first_look(width, height, model.artifact.input)
    first = model.infer(decoded.look(box))
    if settings is None or not framing.looks_again(first.logits, width, height, settings):
        return Prediction(
            model.artifact, data, first.logits, first.dog_probability, None, _map(box, first)
        )
    everything = framing.overview(width, height, first.dog_probability, settings)
    map = (
        _map(box, first)
        if everything is None
        else _map(everything, model.infer(decoded.look(everything)))
    )
    if map is None:  # _check_shapes makes sure of it
        raise BrokenArtifact("The graph has no location map.")
    focus = framing.second_look(map.values, map.box, width, height, settings)
    second = model.infer(decoded.look(focus))
    weight = framing.weight_of_second_look(first.dog_probability, second.dog_probability)
    return Prediction(
        model.artifact,
        data,
        (1 - weight) * first.logits + weight * second.logits,
        max(first.dog_probability, second.dog_probability),
        focus,
        map,
        looks=2 if everything is None else 3,
    )


def _map(box: Box, look: Look) -> LocationMap | None:
    if look.evidence is None:
        return None
    return LocationMap(box, look.logits, look.evidence)


def output_fn(prediction: Prediction | Artifact, accept: str = JSON) -> bytes:
    """Serialise to JSON, the only supported type, whatever `accept` is.

    The parameter `map` of `application/json; map=true` adds the location map.
    """
    if isinstance(prediction, Artifact):
        return json.dumps(prediction.describe(), allow_nan=False, separators=(",", ":")).encode()
    return prediction.to_json(_MAP_PARAMETER.search(accept) is not None)


def _check_shapes(description: Artifact, compiled: ov.CompiledModel) -> None:
    """Compare the graph with its description: a mismatch would silently name wrong breeds."""
    size = description.input.size_px
    actual = {
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
    if description.second_look is not None:
        shape, kind = actual.get(EVIDENCE, ((), ""))
        if len(shape) != 4 or shape[:2] != (1, breeds) or kind != "f32":
            raise BrokenArtifact(
                f"{description.graph}: {EVIDENCE} is {actual.get(EVIDENCE)}, but second_look in "
                f"{artifact.DESCRIPTION_FILE} requires (1, {breeds}, rows, columns)"
            )
    for name, allowed in expected.items():
        if actual.get(name) not in allowed:
            raise BrokenArtifact(
                f"{description.graph}: {name} is {actual.get(name)}, "
                f"but {artifact.DESCRIPTION_FILE} requires {allowed[0]}"
            )
