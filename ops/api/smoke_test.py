"""Test a deployed API: its health, its model, and a prediction for a sample image.

If the API requires a key, set the environment variable API_KEY.

example:
  python -m ops api smoke-test https://….execute-api.eu-central-1.amazonaws.com/dev/
  API_KEY=… python -m ops api smoke-test https://api.example.com/
"""

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import click

from aws.errors import AwsError
from cli import commands

SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "samples" / "dalmatian.png"
PATIENCE_S = 60.0
POLL_S = 2.0

patience_option = click.option(
    "--patience",
    type=float,
    default=PATIENCE_S,
    metavar="SECONDS",
    help=f"Retry each request of the smoke test this long. Default: {PATIENCE_S:g}.",
)


@commands.command(__doc__)
@click.argument("url")
@patience_option
def command(url: str, patience: float) -> None:
    print(check(url, os.environ.get("API_KEY", ""), patience))


def check(
    url: str, api_key: str = "", patience_s: float = PATIENCE_S, poll_s: float = POLL_S
) -> str:
    """Request a prediction and return it in one line, with the model's name and version.

    A new API, key or endpoint takes time to become available everywhere, so failed requests are
    repeated every `poll_s` for up to `patience_s`. Raises AwsError with the last response.
    """
    base = url.rstrip("/")
    headers = {"x-api-key": api_key} if api_key else {}
    deadline = time.monotonic() + patience_s
    health = _request(
        urllib.request.Request(f"{base}/health?deep=true", headers=headers), deadline, poll_s
    )
    model = health.get("model", {})
    request = urllib.request.Request(
        f"{base}/predict?top_k=1",
        data=SAMPLE.read_bytes(),
        headers={"Content-Type": "image/png", **headers},
    )
    response = _request(request, deadline, poll_s)
    try:
        [best] = response["predictions"]
        return (
            f"{model['name']} {model['version']}: {best['breed']} "
            f"({best['probability']:.2f}) in {response['timing_ms']['total']:.0f} ms"
        )
    except (KeyError, TypeError, ValueError):
        raise AwsError(
            f"Smoke test: {request.full_url} is not a WhatBreed API; it returned {response}."
        ) from None


def _request(request: urllib.request.Request, deadline: float, poll_s: float) -> dict[str, Any]:
    """Return the JSON object in the first response with status 200."""
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                document = json.loads(response.read())
            if isinstance(document, dict):
                return document
            reason = f"{document!r}"
        except urllib.error.HTTPError as error:
            reason = f"{error.code} {' '.join(error.read(400).decode(errors='replace').split())}"
        except (OSError, ValueError) as error:
            reason = str(error)
        if time.monotonic() + poll_s > deadline:
            raise AwsError(f"Smoke test: {request.full_url} returned {reason}.")
        time.sleep(poll_s)
