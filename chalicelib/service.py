"""What the API does: one method per thing a client can ask for."""

import time
from contextlib import suppress
from typing import Any

from chalicelib import batch, breeds, images
from chalicelib.deadline import Deadline
from chalicelib.endpoint import Breeds, Endpoint
from chalicelib.images import Fetcher
from chalicelib.inputs import BatchInput, ImageInput, UrlInput
from chalicelib.problems import ImageTooLarge, InvalidRequest, Problem
from chalicelib.settings import Settings

DEFAULT_TOP_K = 5
ASK_AGAIN_S = 1.0
"""How long the model may take to say that it knows more breeds now."""


class Service:
    """The API without HTTP. Every method raises the problems of the steps it takes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fetcher = Fetcher(settings)
        self.endpoint = Endpoint(settings)
        self._known: int | None = None  # breeds of the model, when it last answered

    def predict(self, asked: UrlInput | ImageInput) -> dict[str, Any]:
        """The answer of `/predict`, without the request's id."""
        start = time.perf_counter()
        self._check_top_k(asked.top_k)
        payload = asked.payload if isinstance(asked, ImageInput) else self._fetcher.fetch(asked.url)
        return self._answer(payload, asked.top_k, start)

    def predict_batch(self, asked: BatchInput) -> dict[str, Any]:
        """The answer of `/predict/batch`: an answer or a problem for each picture."""
        start = time.perf_counter()
        self._check_top_k(asked.top_k)

        def predict(url: str, deadline: Deadline) -> dict[str, Any]:
            begun = time.perf_counter()
            payload = self._fetcher.fetch(url, before=deadline)
            deadline.remaining_s()  # past it, the endpoint is not asked for what nobody reads
            return self._answer(payload, asked.top_k, begun)

        results = batch.answer_each(
            predict,
            asked.urls,
            concurrency=self._settings.batch_concurrency,
            timeout_s=self._settings.batch_timeout_s,
        )
        return {
            "results": results,
            "timing_ms": {"total": _ms(time.perf_counter() - start)},
        }

    def _answer(self, payload: bytes, top_k: int | None, start: float) -> dict[str, Any]:
        """The answer for one picture whose request began at `start`."""
        max_bytes = self._settings.max_image_bytes
        if len(payload) > max_bytes:
            raise ImageTooLarge(f"The image has more than {max_bytes} bytes.")
        media_type = images.media_type(payload)
        fetched = time.perf_counter()
        scores = self.endpoint.classify(payload, media_type)
        inferred = time.perf_counter()
        self._known = known = len(scores.breeds.names)
        top_k = top_k or min(DEFAULT_TOP_K, known)
        if top_k > known:
            raise _too_many(known)
        return {
            **breeds.rank(scores, top_k),
            "image": {
                "format": scores.image_format,
                "width": scores.image_width,
                "height": scores.image_height,
                "bytes": len(payload),
            },
            "timing_ms": {
                "fetch": _ms(fetched - start),
                "inference": _ms(inferred - fetched),
                "total": _ms(time.perf_counter() - start),
            },
        }

    def _check_top_k(self, top_k: int | None) -> None:
        """Refuse more breeds than the model knew when it last answered, before any work is done.

        Another model may be there by now, so it is asked; where it does not say, the old counts.
        """
        known = self._known
        if top_k is None or known is None or top_k <= known:
            return
        with suppress(TimeoutError, Problem):
            known = len(Deadline(ASK_AGAIN_S).call(self._describe).names)
        if top_k > known:
            raise _too_many(known)

    def _describe(self) -> Breeds:
        described = self.endpoint.describe()
        self._known = len(described.names)
        return described

    def breeds(self) -> dict[str, Any]:
        """The answer of `/breeds`: the breeds in the order of `logits`, and the model."""
        described = self._describe()
        return {"breeds": list(described.names), "model": breeds.model(described)}

    def health(self, deep: bool) -> dict[str, Any]:
        """The answer of `/health`; a deep one includes the model that answered."""
        if not deep:
            return {"status": "ok"}
        start = time.perf_counter()
        described = self._describe()
        return {
            "status": "ok",
            "model": breeds.model(described),
            "timing_ms": {"endpoint": _ms(time.perf_counter() - start)},
        }


def _too_many(known: int) -> InvalidRequest:
    return InvalidRequest(f"`top_k` must be a whole number from 1 to {known}.")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
