"""`ops api release` and `remove` in this process, and an API for their smoke test."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from aws.stages import PROJECT_VARIABLE
from tests.emulator.fixtures import Command, Outcome
from tests.servers import answer, web_server


@dataclass
class FakeApi:
    """A deployed API, which a test can make fail."""

    healthy: bool = True
    failures: int = 0
    """The number of requests that fail next."""
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
        status = 200 if self.healthy and not self.failures else 503
        self.failures = max(0, self.failures - 1)
        answer(status, json.dumps(documents[request.path]).encode())(request)


@contextmanager
def fake_api() -> Iterator[FakeApi]:
    """Start an API that responds as WhatBreed does."""
    api = FakeApi()
    with web_server(api.handle) as api.url:
        yield api


@dataclass(frozen=True)
class ApiCommands:
    """The commands for a copy of the project, under one identity in AWS."""

    command: Command
    project: Path
    environment: Mapping[str, str]
    api: FakeApi

    def release(self, stage: str, *options: str) -> Outcome:
        smoke_test = ["--smoke-url", self.api.url, "--patience", "0"]
        return self._run("api", "release", "--stage", stage, *smoke_test, *options)

    def remove(self, stage: str, *options: str) -> Outcome:
        return self._run("api", "remove", "--stage", stage, *options)

    def doctor(self, stage: str) -> Outcome:
        return self._run("doctor", "--stage", stage)

    def policy(self, *options: str) -> Outcome:
        return self._run("policy", *options)

    def _run(self, *arguments: str) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(PROJECT_VARIABLE, str(self.project))
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return self.command("ops", *arguments)
