"""A closed loop on a server whose every response is checked."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import ServerFailed
from ops.loadtest.generator import open_loop
from ops.loadtest.images import Image
from ops.loadtest.step import percentile
from ops.loadtest.target import LocalServer, RequestFailed

RESPONSE_TIMEOUT_S = 60.0
MAX_RATE = 20_000
"""More requests per second than one process can send."""

IsPrediction = Callable[[Any], bool]
"""Whether the JSON document of a response is a plausible prediction."""


@dataclass(frozen=True, slots=True)
class Load:
    """The responses within the measured time, and what they cost the generator."""

    seconds: float
    latencies_s: Sequence[float]
    requests: int
    """All requests, including those outside the measured time."""
    generator_cpu_s: float
    """CPU time per request."""

    @property
    def images_per_s(self) -> float:
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        return percentile(self.latencies_s, percent) * 1000


def drive(
    url: str,
    images: Sequence[Image],
    is_prediction: IsPrediction,
    *,
    clients: int,
    seconds: float,
    warm_up_s: float,
) -> Load:
    """Measure `clients` in a closed loop for `seconds`, after a warm-up.

    Raise ServerFailed if a request fails or a response is not a prediction.
    """
    bodies = set[bytes | None]()
    server = LocalServer(url, RESPONSE_TIMEOUT_S)
    end_s = warm_up_s + seconds
    # all are due at once, so each connection sends the next one as soon as it has a response
    due_s = [0.0] * math.ceil(end_s * MAX_RATE)
    recording = open_loop(server, images, due_s, clients, give_up_s=end_s, on_done=bodies.add)
    recording.unsent = 0
    if errors := recording.errors():
        raise ServerFailed(f"failed requests: {errors}")
    for body in bodies:
        check(body or b"", is_prediction)
    measured = [
        call.done_s - call.sent_s for call in recording.calls if warm_up_s <= call.done_s < end_s
    ]
    if not measured:
        raise ServerFailed(f"there was no response within {seconds:g} s")
    requests = len(recording.calls)
    return Load(seconds, measured, requests, recording.cpu_s / requests)


def send(url: str, image: Image, is_prediction: IsPrediction) -> Any:
    """Return the document of one response. Raise ServerFailed."""
    with LocalServer(url, RESPONSE_TIMEOUT_S).connect() as send_image:
        try:
            body = send_image(image)
        except RequestFailed as error:
            raise ServerFailed(str(error)) from None
    return check(body, is_prediction)


def check(body: bytes, is_prediction: IsPrediction) -> Any:
    """Parse the body of a response. Raise ServerFailed if it is not a prediction."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not is_prediction(document):
        raise ServerFailed(f"not a prediction: {body[:200]!r}")
    return document
