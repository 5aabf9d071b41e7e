"""The saturated server against decoding and inference alone, and the CPU time of each stage.

The bare loop has no HTTP and no JSON: the same looks at the same images, on all cores, in the
faster of two ways: OpenVINO's AsyncInferQueue fed by decoding threads (throughput hint), or threads
that decode and infer in turn. It takes turns with the server, whose load generator uses the same
cores.

The stages are milliseconds of CPU time per image: first without HTTP, then the rest of what the
server's processes used per image under load.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import images, results, stacks
from benchmarks.results import Row
from benchmarks.scale import Scale
from model_code import artifact, framing, inference
from model_code.framing import Box
from model_code.images import InputImage
from model_code.inference import DEFAULT_MODEL_DIR
from model_code.prediction import Prediction
from model_code.runtime import CORE, compile_model, ov

PART = "bare"
SATURATED_CLIENTS = 16


class BareLoop:
    """The artifact compiled for throughput."""

    def __init__(self) -> None:
        described = artifact.load(DEFAULT_MODEL_DIR)
        self._compiled = compile_model(CORE.read_model(described.graph), "THROUGHPUT")
        self._input = described.input
        # as in model_code/inference.py: two first inferences at once can deadlock
        self._request = self._compiled.create_infer_request()
        self._request.infer()
        model = inference.model_fn(DEFAULT_MODEL_DIR)
        self._looks = [(jpeg, looks(jpeg, model)) for jpeg in images.payloads(stacks.IMAGES)]

    def pixels(self, number: int) -> Iterator[NDArray[np.uint8]]:
        """Decode an image and yield what each look shows, uint8 [1, size, size, 3]."""
        jpeg, boxes = self._looks[number % len(self._looks)]
        decoded = InputImage(jpeg).decode(self._input)
        return (decoded.look(box)[None] for box in boxes)

    def infer(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """Infer on one core, as under load. The server gives a single image all cores."""
        self._request.infer({0: pixels[None]}, share_inputs=True)
        logits, dog_probability = (
            tensor.data.reshape(-1) for tensor in self._request.output_tensors[:2]
        )
        return logits, float(dog_probability[0])

    def in_threads(self, seconds: float) -> float:
        """Return images per second of one thread per core, each of which decodes and infers."""
        counts: list[int] = []
        barrier = threading.Barrier(stacks.cores())

        def work(first: int) -> None:
            request = self._compiled.create_infer_request()
            barrier.wait()
            done = 0
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                for pixels in self.pixels(first + done):
                    request.infer({0: pixels}, share_inputs=True)
                done += 1
            counts.append(done)

        with ThreadPoolExecutor(stacks.cores()) as pool:
            list(pool.map(work, range(0, 7 * stacks.cores(), 7)))
        return sum(counts) / seconds

    def in_queue(self, seconds: float) -> float:
        """Return images per second of an AsyncInferQueue that decoding threads feed."""
        requests = ov.AsyncInferQueue(self._compiled)
        done = 0

        def count(_: object, is_last_look: bool) -> None:
            nonlocal done  # the queue holds the GIL, so calls do not overlap
            done += is_last_look

        requests.set_callback(count)
        decoded: queue.Queue[Any] = queue.Queue(maxsize=2 * stacks.cores())
        stop = threading.Event()

        def decode(first: int) -> None:
            number = first
            while not stop.is_set():
                decoded.put(list(self.pixels(number)))
                number += 1

        threads = [threading.Thread(target=decode, args=(7 * n,)) for n in range(stacks.cores())]
        for thread in threads:
            thread.start()
        end = time.perf_counter() + seconds
        try:
            while time.perf_counter() < end:
                *others, last = decoded.get()
                for pixels in others:
                    requests.start_async({0: pixels}, False, share_inputs=True)
                requests.start_async({0: last}, True, share_inputs=True)
            return done / seconds
        finally:
            stop.set()
            while any(
                thread.is_alive() for thread in threads
            ):  # they may wait for space in the queue
                with contextlib.suppress(queue.Empty):
                    decoded.get(timeout=0.01)
            requests.wait_all()


def looks(jpeg: bytes, model: inference.Model) -> list[Box]:
    """Return the parts of an image that the server looks at."""
    image = InputImage(jpeg)
    prediction = inference.predict_fn(image, model)
    boxes = [framing.first_look(image.width, image.height, model.artifact.input)]
    if isinstance(prediction, Prediction) and prediction.focus is not None:
        if prediction.looks == 3 and prediction.map is not None:
            boxes.append(prediction.map.box)
        boxes.append(prediction.focus)
    return boxes


def measure(scale: Scale) -> tuple[list[Row], dict[str, Any]]:
    loop = BareLoop()
    ways: dict[str, Callable[[float], float]] = {
        "threads": loop.in_threads,
        "AsyncInferQueue": loop.in_queue,
    }
    bare: dict[str, list[float]] = {name: [] for name in ways}
    served: list[float] = []
    server_ms: list[float] = []
    generator_ms: list[float] = []
    for _ in tqdm(range(scale.rounds), desc="bare", unit="round", disable=None):
        for name, way in ways.items():
            way(scale.warm_up_s)
            bare[name].append(way(scale.load_s))
        with stacks.started(stacks.ours()) as server:
            server.drive(SATURATED_CLIENTS, scale.load_s / 2, scale.warm_up_s)
            before_s = server.processes.cpu_s()
            load = server.drive(SATURATED_CLIENTS, scale.load_s, warm_up_s=0)
            spent_s = server.processes.cpu_s() - before_s
        served.append(load.images_per_s)
        server_ms.append(spent_s / load.requests * 1000)
        generator_ms.append(load.generator_cpu_s * 1000)
    rates = {name: median(values) for name, values in bare.items()}
    fastest = max(rates, key=lambda name: rates[name])
    stages = stage_costs_ms(loop, images.payloads(stacks.IMAGES), scale.calls)
    stages["HTTP, event loop, threads"] = median(server_ms) - sum(stages.values())
    stages["load generator (not the server)"] = median(generator_ms)
    row = results.at_least(
        PART,
        f"throughput, {SATURATED_CLIENTS} clients, vs. bare loop ({fastest})",
        "images/s",
        median(served),
        rates[fastest],
        0.85,
    )
    return [row], {
        "bare_images_per_s": {name: round(rate, 2) for name, rate in rates.items()},
        "server_images_per_s": round(median(served), 2),
        "cpu_ms_per_image": {name: round(cost, 3) for name, cost in stages.items()},
    }


def stage_costs_ms(loop: BareLoop, jpegs: Sequence[bytes], calls: int) -> dict[str, float]:
    """Return the mean CPU time of each stage over `calls` predictions, in one thread."""
    model = inference.model_fn(DEFAULT_MODEL_DIR)
    boxes = [looks(jpeg, model) for jpeg in jpegs]
    described = model.artifact
    spent: dict[str, list[float]] = {}

    def clock(stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        began = time.process_time()  # of all threads: OpenVINO has its own
        result = work(*arguments)
        spent.setdefault(stage, []).append((time.process_time() - began) * 1000)
        return result

    for number in range(calls):
        photo = clock("read the header", InputImage, jpegs[number % len(jpegs)])
        decoded = clock("decode and resize", photo.decode, described.input)
        for box in boxes[number % len(jpegs)]:
            pixels = clock("decode and resize", decoded.look, box)
            logits, dog = clock("inference", loop.infer, pixels)
        prediction = Prediction(described, photo, logits, dog)
        clock("JSON", inference.output_fn, prediction)
    return {stage: sum(values) / calls for stage, values in spent.items()}
