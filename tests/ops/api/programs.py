"""The programs of `make deploy` and `make undeploy`, and an API for their smoke test."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.servers import answer, web_server


@dataclass
class Api:
    """Stands behind the address of a deployed API; it can be made to fail."""

    healthy: bool = True
    url: str = ""
    keys: list[str | None] = field(default_factory=list)
    """The `x-api-key` of each request."""

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.keys.append(request.headers["x-api-key"])
        documents = {
            "/health?deep=true": {
                "status": "ok",
                "model": {"name": "whatbreed", "version": "2026.11.21"},
            },
            "/predict?top_k=1": {
                "predictions": [{"breed": "Dalmatian", "probability": 0.96, "logit": 8.0}],
                "timing_ms": {"total": 40.0},
            },
        }
        status = 200 if self.healthy else 503
        answer(status, json.dumps(documents[request.path]).encode())(request)


@contextmanager
def api() -> Iterator[Api]:
    """An API that answers as WhatBreed does."""
    one = Api()
    with web_server(one.handle) as one.url:
        yield one


@dataclass(frozen=True)
class Programs:
    """`python -m ops.api.release` and `ops.api.remove` in a copy of the project."""

    project: Path
    environment: dict[str, str]
    api: Api

    def deploy(self, stage: str, *options: str) -> subprocess.CompletedProcess[str]:
        smoke = ["--smoke-url", self.api.url, "--patience", "0"]
        return self._run("ops.api.release", "--stage", stage, *smoke, *options)

    def undeploy(self, stage: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self._run("ops.api.remove", "--stage", stage, *options)

    def _run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.project,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
