"""The whole API as the target of a load test: POST /predict by URL or by upload."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from aws import prices
from cli.errors import SettingsError
from ops.costs import quantities
from ops.costs.settings import CostsSettings
from ops.loadtest.images import Image
from ops.loadtest.photo_server import photo_server
from ops.loadtest.settings import LoadTestSettings
from ops.loadtest.target import LOOPBACK, HttpServer, Target

MEMORY_MB = 512
"""Memory of a function for the estimate of the cost, as in .chalice/config.json."""


class Api(HttpServer):
    """A deployed API, or `chalice local`. Its failures are such as HTTP 429 endpoint-busy."""

    def __init__(self, url: str, timeout_s: float, api_key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f'--api is "{url}". Write it like http://127.0.0.1:8000.')
        if parts.scheme == "http" and api_key and parts.hostname not in LOOPBACK:
            raise SettingsError(f"--api is {url}: an API key is sent only over https.")
        headers = {"x-api-key": api_key} if api_key else {}
        super().__init__(parts, f"{parts.path.rstrip('/')}/predict?top_k=1", timeout_s, headers)

    def describe_failure(self, status: int, body: bytes) -> str:
        return " ".join(filter(None, (f"HTTP {status}", problem_type(body))))


def problem_type(body: bytes) -> str:
    """Return the type in a problem document (RFC 9457), or "" if the body is something else."""
    try:
        kind = json.loads(body)["type"]
    except (LookupError, TypeError, ValueError):
        return ""
    return kind if isinstance(kind, str) else ""


@contextmanager
def requests(
    api: Api, images: Sequence[Image], upload: bool, photo_urls: Sequence[str]
) -> Iterator[list[Image]]:
    """Yield the bodies to send: uploads, the given URLs, or URLs of a server for `images`.

    Raise SettingsError if the API cannot reach such a server.
    """
    if upload:
        yield list(images)
    elif photo_urls:
        yield [_by_url(url) for url in photo_urls]
    elif not api.is_local:
        raise SettingsError(
            f"{api.name} cannot reach photos on this machine. "
            "Pass --photo-url or --photo-list with public URLs, or --upload."
        )
    else:
        with photo_server(images) as urls:
            yield [_by_url(url) for url in urls]


def _by_url(url: str) -> Image:
    return Image(json.dumps({"url": url}).encode(), "application/json")


def read_photo_urls(urls: Sequence[str], path: Path | None) -> list[str]:
    """Return `urls` and the lines of the file `path`. Raise SettingsError if one is not a URL."""
    lines = path.read_text(encoding="utf-8").split("\n") if path else []
    listed = [line.strip() for line in lines if line.strip()]
    if path and not listed:
        raise SettingsError(f"{path} lists no URL.")
    for url in (*urls, *listed):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f'The photo URL "{url}" must begin with https:// or http://.')
    return [*urls, *listed]


def plan(target: Target, loadtest: LoadTestSettings) -> str:
    """Return what the test would do and, for a deployed API, what it can cost."""
    text = (
        f"at most {loadtest.max_requests} requests to {target.name} within "
        f"{loadtest.max_seconds:g} s, from {loadtest.start_rate:g} to at most "
        f"{loadtest.max_rate:g} per second"
    )
    if not isinstance(target, Api) or target.is_local:
        return text
    return (
        f"{text}, for up to ${_usd(loadtest.max_requests):,.2f} and the instances of its endpoint"
    )


def _usd(count: int) -> float:
    """The list price of `count` requests, without instances: API, function, logs and data."""
    table, costs = prices.read(), CostsSettings()
    billed = quantities.endpoint(count, costs) | quantities.api(count, MEMORY_MB, costs)
    return sum(table.usd(name, quantity) for name, quantity in billed.items())


def confirm(api: Api, loadtest: LoadTestSettings, yes: bool) -> None:
    """Raise SettingsError unless the API is local, `yes` is given or the user agrees."""
    if api.is_local or yes:
        return
    question = f"Send {plan(api, loadtest)}? Only test an API of your own. Type yes to confirm: "
    if not (sys.stdin.isatty() and input(question).strip() == "yes"):
        raise SettingsError(
            f"Not started: {plan(api, loadtest)}. Only test an API of your own. "
            "Pass --yes, or confirm when prompted."
        )
