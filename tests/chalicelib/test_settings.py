import json
from pathlib import Path

import pytest

from chalicelib import service, settings
from chalicelib.settings import Settings, SettingsError

CONFIG = Path(__file__).resolve().parents[2] / ".chalice" / "config.json"
API_GATEWAY_TIMEOUT_S = 29
OVERHEAD_S = 0.5
"""For decoding base64, ranking, logging."""
MINIMAL = {"ENDPOINT_NAME": "whatbreed-dev"}


def test_defaults_need_nothing_but_the_endpoint() -> None:
    assert settings.load(MINIMAL) == Settings(endpoint_name="whatbreed-dev")


def test_every_setting_is_read() -> None:
    loaded = settings.load(
        {
            "ENDPOINT_NAME": " whatbreed-dev ",
            "ENDPOINT_CONNECT_TIMEOUT_S": "0.5",
            "ENDPOINT_READ_TIMEOUT_S": "3",
            "ENDPOINT_ATTEMPTS": "1",
            "ENDPOINT_TIMEOUT_S": "9",
            "FETCH_TIMEOUT_S": "4",
            "FETCH_CONNECT_TIMEOUT_S": "1",
            "MAX_IMAGE_BYTES": "1000",
            "FETCH_MAX_REDIRECTS": "0",
            "FETCH_PORTS": "80,443,8443",
            "FETCH_ALLOW_LOOPBACK": "TRUE",
            "CORS_ALLOW_ORIGIN": "https://example.com",
        }
    )
    assert loaded == Settings(
        "whatbreed-dev", 0.5, 3, 1, 9, 4, 1, 1000, 0, (80, 443, 8443), True, "https://example.com"
    )


def test_missing_endpoint_names_the_variable_and_the_file() -> None:
    with pytest.raises(SettingsError, match=r"ENDPOINT_NAME.*config\.json"):
        settings.load({"ENDPOINT_NAME": "  "})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENDPOINT_READ_TIMEOUT_S", "0"),
        ("ENDPOINT_READ_TIMEOUT_S", "29"),
        ("ENDPOINT_READ_TIMEOUT_S", "soon"),
        ("FETCH_TIMEOUT_S", "nan"),
        ("ENDPOINT_ATTEMPTS", "0"),
        ("MAX_IMAGE_BYTES", "1e6"),
        ("FETCH_PORTS", "80;443"),
        ("FETCH_ALLOW_LOOPBACK", "yes"),
    ],
)
def test_a_wrong_value_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}='{value}'"):
        settings.load({**MINIMAL, variable: value})


def test_a_request_ends_before_api_gateway_gives_up() -> None:
    """The worst case of the defaults, and of what the stages set: both waits to their ends."""
    stages = json.loads(CONFIG.read_text())
    assert stages["lambda_timeout"] < API_GATEWAY_TIMEOUT_S
    for stage in stages["stages"].values():
        loaded = settings.load(stage["environment_variables"])
        worst_s = loaded.fetch_timeout_s + loaded.endpoint_timeout_s + service.ASK_AGAIN_S
        assert worst_s + OVERHEAD_S < stages["lambda_timeout"]
        assert loaded.batch_timeout_s + OVERHEAD_S < stages["lambda_timeout"]


def test_every_attempt_has_its_time() -> None:
    """All attempts fit under the endpoint's deadline, with botocore's longest first pause (1 s in
    its standard retry mode) between two of them."""
    default = Settings("any")
    attempt_s = default.endpoint_connect_timeout_s + default.endpoint_read_timeout_s
    pauses_s = (default.endpoint_attempts - 1) * 1.0
    assert default.endpoint_attempts * attempt_s + pauses_s <= default.endpoint_timeout_s
