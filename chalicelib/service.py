"""The API without HTTP: one method per route."""

import time
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chalicelib import batch, image_formats, ranking
from chalicelib.cached_call import CachedCall
from chalicelib.deadline import Deadline
from chalicelib.endpoint import Endpoint
from chalicelib.image_fetcher import ImageFetcher
from chalicelib.inputs import BatchInput, ImageInput, UrlInput
from chalicelib.model_response import ModelDescription
from chalicelib.problems import ImageTooLarge, InvalidRequest
from chalicelib.settings import Settings
from chalicelib.telemetry import BatchFigures, ImageFigures

DEFAULT_TOP_K = 5
DESCRIPTION_TTL_S = 5.0
"""How long the model's description is cached, so that asking for it cannot occupy the endpoint."""

Figures = TypeVar("Figures", ImageFigures, BatchFigures)


@dataclass(frozen=True, slots=True)
class Answer(Generic[Figures]):
    """A response document, and the figures for its log line."""

    document: dict[str, Any]
    figures: Figures


class Service:
    """The API for one deployment. Its methods raise the problems of the steps they take."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fetcher = ImageFetcher(settings)
        self.endpoint = Endpoint(settings)
        self._description = CachedCall(self._describe, DESCRIPTION_TTL_S)
        self._breed_count: int | None = None

    def predict(self, request: UrlInput | ImageInput) -> Answer[ImageFigures]:
        """Classify one image."""
        start = time.perf_counter()
        self._check_top_k(request.top_k)
        if isinstance(request, ImageInput):
            payload = request.payload
        else:
            payload = self._fetcher.fetch(request.url)
        return self._classify(payload, request.top_k, start, request.with_map)

    def predict_batch(self, request: BatchInput) -> Answer[BatchFigures]:
        """Classify several images. Each result is a response document or a problem document."""
        start = time.perf_counter()
        self._check_top_k(request.top_k)

        def classify(url: str, deadline: Deadline) -> Answer[ImageFigures]:
            image_start = time.perf_counter()
            payload = self._fetcher.fetch(url, before=deadline)
            deadline.remaining_s()  # a late result would be discarded: do not load the endpoint
            return self._classify(payload, request.top_k, image_start)

        results = batch.classify_all(
            classify,
            request.urls,
            concurrency=self._settings.batch_concurrency,
            timeout_s=self._settings.batch_timeout_s,
        )
        document = {
            "results": [result.document for result in results],
            "timing_ms": {"total": _ms(time.perf_counter() - start)},
        }
        images = [result.figures for result in results if isinstance(result, Answer)]
        problems = [result.type for result in results if not isinstance(result, Answer)]
        return Answer(document, BatchFigures(images, problems))

    def breeds(self) -> dict[str, Any]:
        """Return the breeds in the order of `logits`, and the model."""
        model = self._description()
        return {"breeds": list(model.breeds), "model": ranking.identity(model)}

    def health(self, deep: bool) -> dict[str, Any]:
        """Return the API's status. If `deep`, invoke the endpoint and include its model."""
        if not deep:
            return {"status": "ok"}
        start = time.perf_counter()
        model = self._description()
        return {
            "status": "ok",
            "model": ranking.identity(model),
            "timing_ms": {"endpoint": _ms(time.perf_counter() - start)},
        }

    def _describe(self) -> ModelDescription:
        model = self.endpoint.describe()
        self._breed_count = len(model.breeds)
        return model

    def _classify(
        self, payload: bytes, top_k: int | None, start: float, with_map: bool = False
    ) -> Answer[ImageFigures]:
        """Classify one image whose request began at `start`."""
        max_bytes = self._settings.max_image_bytes
        if len(payload) > max_bytes:
            raise ImageTooLarge.in_bytes(max_bytes)
        media_type = image_formats.media_type(payload)
        fetched = time.perf_counter()
        scores = self.endpoint.classify(payload, media_type, with_map)
        inferred = time.perf_counter()
        self._breed_count = len(scores.model.breeds)
        self._check_top_k(top_k)
        ranked = ranking.rank(scores, top_k or DEFAULT_TOP_K)
        timing_ms = {
            "fetch": _ms(fetched - start),
            "inference": _ms(inferred - fetched),
            "total": _ms(time.perf_counter() - start),
        }
        document = {
            **ranked,
            "image": {
                "format": scores.image_format,
                "width": scores.image_width,
                "height": scores.image_height,
                "bytes": len(payload),
            },
            "timing_ms": timing_ms,
        }
        if with_map:
            document["map"] = scores.map
        likeliest = ranked["predictions"][0]
        figures = ImageFigures(
            fetch_ms=timing_ms["fetch"],
            inference_ms=timing_ms["inference"],
            image_bytes=len(payload),
            image_format=scores.image_format,
            model_version=scores.model.version,
            dog_probability=scores.dog_probability,
            top_breed=likeliest["breed"],
            top_probability=likeliest["probability"],
        )
        return Answer(document, figures)

    def _check_top_k(self, top_k: int | None) -> None:
        """Refuse more breeds than the model had in its last response: at best before any work."""
        if top_k and self._breed_count and top_k > self._breed_count:
            raise InvalidRequest(f"`top_k` must be an integer from 1 to {self._breed_count}.")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
