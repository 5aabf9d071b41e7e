import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib import settings
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
            "FETCH_CONTACT": "dogs@example.com",
            "CORS_ALLOW_ORIGIN": "https://example.com",
            "BATCH_MAX_URLS": "3",
            "BATCH_CONCURRENCY": "2",
            "BATCH_TIMEOUT_S": "1.5",
        }
    )
    assert loaded == Settings(
        "whatbreed-dev",
        0.5,
        3,
        1,
        9,
        4,
        1,
        1000,
        0,
        (80, 443, 8443),
        True,
        "dogs@example.com",
        "https://example.com",
        3,
        2,
        1.5,
    )


def test_a_missing_endpoint() -> None:
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
        ("FETCH_MAX_REDIRECTS", "21"),
        ("FETCH_CONTACT", "dogs at example.com"),
        ("FETCH_CONTACT", "dogs@example.com;ä"),
        ("ENDPOINT_NAME", "what breed"),
        ("CORS_ALLOW_ORIGIN", "example.com"),
        ("CORS_ALLOW_ORIGIN", "https://example.com/page"),
        ("BATCH_MAX_URLS", "21"),
        ("BATCH_CONCURRENCY", "11"),  # more than botocore keeps connections
        ("BATCH_TIMEOUT_S", "29"),
    ],
)
def test_an_invalid_value_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}='{value}' is invalid: it must be"):
        settings.load({**MINIMAL, variable: value})


@pytest.mark.parametrize("variable", ["FETCH_TIMOUT_S", "BATCH_SIZE", "MAX_IMAGE_MB"])
def test_an_unknown_variable_is_refused_by_name(variable: str) -> None:
    with pytest.raises(SettingsError, match=f"Unknown environment variable {variable}. Known: "):
        settings.load({**MINIMAL, variable: "1"})


def test_the_app_reports_an_invalid_setting_in_one_line() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", "import app"],
        cwd=CONFIG.parents[1],
        env={**os.environ, **MINIMAL, "FETCH_TIMOUT_S": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 1
    [line] = completed.stderr.splitlines()
    assert "FETCH_TIMOUT_S" in line


def test_a_request_ends_before_api_gateway_times_out() -> None:
    """In every stage, even if fetching and inference both take until their timeouts."""
    stages = json.loads(CONFIG.read_text())
    assert stages["lambda_timeout"] < API_GATEWAY_TIMEOUT_S
    for stage in stages["stages"].values():
        loaded = settings.load(stage["environment_variables"])
        worst_s = loaded.fetch_timeout_s + loaded.endpoint_timeout_s
        assert worst_s + OVERHEAD_S < stages["lambda_timeout"]
        assert loaded.batch_timeout_s + OVERHEAD_S < stages["lambda_timeout"]


def test_every_attempt_has_its_time() -> None:
    """All attempts fit under the endpoint's deadline, with botocore's longest first pause (1 s in
    its standard retry mode) between two of them."""
    default = Settings("any")
    attempt_s = default.endpoint_connect_timeout_s + default.endpoint_read_timeout_s
    pauses_s = (default.endpoint_attempts - 1) * 1.0
    assert default.endpoint_attempts * attempt_s + pauses_s <= default.endpoint_timeout_s
