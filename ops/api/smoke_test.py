"""The smoke test of a deployed API: is it there, does its model answer, does it know a dog?

example:
  python -m ops.api.smoke_test https://….execute-api.eu-central-1.amazonaws.com/dev/
  API_KEY=… python -m ops.api.smoke_test https://api.example.com/
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from aws.errors import AwsError
from ops.api import program

SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "samples" / "dalmatian.png"
POLL_S = 2.0


def check(url: str, api_key: str = "", patience_s: float = 60.0) -> str:
    """What the model said of the sample picture, in one line.

    A new API, key or endpoint may need some time to be known everywhere: each request is repeated
    for up to `patience_s`. Raises `AwsError` with the last answer.
    """
    base = url.rstrip("/")
    headers = {"x-api-key": api_key} if api_key else {}
    end = time.monotonic() + patience_s
    health = _ask(urllib.request.Request(f"{base}/health?deep=true", headers=headers), end)
    model = health.get("model", {})
    request = urllib.request.Request(
        f"{base}/predict?top_k=1",
        data=SAMPLE.read_bytes(),
        headers={"Content-Type": "image/png", **headers},
    )
    answer = _ask(request, end)
    try:
        [best] = answer["predictions"]
        return (
            f"{model['name']} {model['version']} says {best['breed']} "
            f"({best['probability']:.2f}) in {answer['timing_ms']['total']:.0f} ms"
        )
    except (KeyError, TypeError, ValueError):
        raise AwsError(f"{request.full_url} does not answer as WhatBreed: {answer}") from None


def _ask(request: urllib.request.Request, end: float) -> dict[str, Any]:
    """The JSON answer to `request`, which must have status 200 by the time `end`."""
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                found = json.loads(response.read())
            if isinstance(found, dict):
                return found
            reason = f"{found!r}"
        except urllib.error.HTTPError as error:
            reason = f"{error.code} {' '.join(error.read(400).decode(errors='replace').split())}"
        except (OSError, ValueError) as error:
            reason = str(error)
        if time.monotonic() + POLL_S > end:
            raise AwsError(f"smoke test: {request.full_url} answers {reason}")
        time.sleep(POLL_S)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="address of the API; its key is taken from API_KEY")
    parser.add_argument("--patience", type=float, default=60.0, metavar="S", help="seconds")


def run(arguments: argparse.Namespace) -> None:
    print(check(arguments.url, os.environ.get("API_KEY", ""), arguments.patience))


def main() -> int:
    return program.main("smoke", __doc__, add_arguments, run)


if __name__ == "__main__":
    sys.exit(main())
