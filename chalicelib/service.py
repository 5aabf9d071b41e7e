"""What the API does: one method per thing a client can ask for."""

import time
from typing import Any

from chalicelib import breeds, images
from chalicelib.endpoint import Endpoint
from chalicelib.images import Fetcher
from chalicelib.inputs import ImageInput, UrlInput
from chalicelib.problems import ImageTooLarge, InvalidRequest
from chalicelib.settings import Settings

DEFAULT_TOP_K = 5


class Service:
    """The API without HTTP. Every method raises the problems of the steps it takes."""

    def __init__(self, settings: Settings) -> None:
        self._max_image_bytes = settings.max_image_bytes
        self._fetcher = Fetcher(settings)
        self.endpoint = Endpoint(settings)

    def predict(self, asked: UrlInput | ImageInput) -> dict[str, Any]:
        """The answer of `/predict`, without the request's id."""
        start = time.perf_counter()
        payload = asked.payload if isinstance(asked, ImageInput) else self._fetcher.fetch(asked.url)
        if len(payload) > self._max_image_bytes:
            raise ImageTooLarge(f"The image has more than {self._max_image_bytes} bytes.")
        media_type = images.media_type(payload)
        fetched = time.perf_counter()
        scores = self.endpoint.classify(payload, media_type)
        inferred = time.perf_counter()
        known = len(scores.breeds.names)
        top_k = asked.top_k or min(DEFAULT_TOP_K, known)
        if top_k > known:
            raise InvalidRequest(f"`top_k` must be a whole number from 1 to {known}.")
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

    def breeds(self) -> dict[str, Any]:
        """The answer of `/breeds`: the breeds in the order of `logits`, and the model."""
        described = self.endpoint.describe()
        return {"breeds": list(described.names), "model": breeds.model(described)}

    def health(self, deep: bool) -> dict[str, Any]:
        """The answer of `/health`; a deep one includes the model that answered."""
        if not deep:
            return {"status": "ok"}
        start = time.perf_counter()
        described = self.endpoint.describe()
        return {
            "status": "ok",
            "model": breeds.model(described),
            "timing_ms": {"endpoint": _ms(time.perf_counter() - start)},
        }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
