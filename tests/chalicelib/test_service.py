import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from chalicelib.inputs import BatchInput, ImageInput, UrlInput
from chalicelib.problems import ImageUnreachable, InvalidRequest
from chalicelib.service import Service
from chalicelib.settings import Settings
from tests.servers import answer, web_server

BREEDS = ["Akita", "Beagle", "Collie", "Dingo"]


class Model:
    """A Runtime API with a model of `breed_count` breeds."""

    def __init__(self) -> None:
        self.breed_count = 2
        self.requests = 0

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        model = {"name": "m", "version": "1", "temperature": 1, "dog_threshold": 0.5}
        document: dict[str, Any] = {
            "labels": BREEDS[: self.breed_count],
            "logits": [1.0, 2.0, 3.0, 4.0][: self.breed_count],
            "dog_probability": 1,
            "model": model,
            "image": {"format": "PNG", "width": 1, "height": 1},
        }
        answer(200, json.dumps(document).encode())(request)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_top_k_is_checked_early_once_the_model_has_responded(
    aws: pytest.MonkeyPatch, settings: Settings, encode: Callable[..., bytes]
) -> None:
    model = Model()
    unreachable = "http://no-such-host.invalid/"
    with web_server(model) as address:
        aws.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        service = Service(settings)

        # The number of breeds is unknown: the image is fetched first.
        with pytest.raises(ImageUnreachable):
            service.predict(UrlInput(unreachable, 3))
        with pytest.raises(InvalidRequest, match="from 1 to 2"):
            service.predict(ImageInput(encode("red"), 3))

        # The number of breeds is known: neither the host nor the model is contacted.
        model.requests = 0
        with pytest.raises(InvalidRequest, match="from 1 to 2"):
            service.predict(UrlInput(unreachable, 3))
        with pytest.raises(InvalidRequest, match="from 1 to 2"):
            service.predict_batch(BatchInput((unreachable,), 3))
        assert model.requests == 0
        with pytest.raises(ImageUnreachable):
            service.predict(UrlInput(unreachable, 2))

        # A new model is deployed: its next response updates the number.
        model.breed_count = 4
        assert len(service.breeds()["breeds"]) == 4
        answer = service.predict(ImageInput(encode("red"), 3))
        assert len(answer.document["predictions"]) == 3


def test_figures_for_the_log(
    aws: pytest.MonkeyPatch, settings: Settings, encode: Callable[..., bytes]
) -> None:
    with web_server(Model()) as address:
        aws.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        service = Service(settings)
        answer = service.predict(ImageInput(encode("red"), None))
        assert (answer.figures.top_breed, answer.figures.image_format) == ("Beagle", "PNG")
        assert answer.figures.image_bytes == answer.document["image"]["bytes"]
        batch = service.predict_batch(BatchInput(("dog.jpg", "ftp://a.example/"), None))
        assert batch.figures.problems == ["invalid-request", "url-not-allowed"]
        assert batch.figures.images == []
