import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from chalicelib.inputs import ImageInput, UrlInput
from chalicelib.problems import ImageUnreachable, InvalidRequest
from chalicelib.service import Service
from chalicelib.settings import Settings
from tests.servers import answer, web_server

BREEDS = ["Akita", "Beagle", "Collie", "Dingo"]


class Model:
    """A Runtime API whose model knows `count` breeds, or is broken where that is 0."""

    def __init__(self) -> None:
        self.count = 2
        self.asked = 0

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        if not self.count:
            answer(500, b"{}", {"x-amzn-ErrorType": "InternalFailure"})(request)
            return
        model = {"name": "m", "version": "1", "temperature": 1, "dog_threshold": 0.5}
        document: dict[str, Any] = {
            "labels": BREEDS[: self.count],
            "logits": [1.0, 2.0, 3.0, 4.0][: self.count],
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


def test_top_k_is_checked_before_any_work_once_the_model_is_known(
    aws: pytest.MonkeyPatch, settings: Settings, encode: Callable[..., bytes]
) -> None:
    model = Model()
    unreachable = "http://no-such-host.invalid/"
    with web_server(model) as address:
        aws.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        service = Service(settings)

        # Nothing is known yet: the fetch is tried, and the answer is checked.
        with pytest.raises(ImageUnreachable):
            service.predict(UrlInput(unreachable, 3))
        assert model.asked == 0
        with pytest.raises(InvalidRequest, match="from 1 to 2"):
            service.predict(ImageInput(encode("red"), 3))

        # From here on it is known, and the model is asked in case it is another one by now.
        with pytest.raises(InvalidRequest, match="from 1 to 2"):
            service.predict(UrlInput(unreachable, 3))
        model.asked = 0
        with pytest.raises(ImageUnreachable):
            service.predict(UrlInput(unreachable, 2))
        assert model.asked == 0

        # A model that knows more has come, and then one that does not answer.
        model.count = 4
        assert len(service.predict(ImageInput(encode("red"), 3))["predictions"]) == 3
        model.count = 0
        with pytest.raises(InvalidRequest, match="from 1 to 4"):
            service.predict(UrlInput(unreachable, 5))
