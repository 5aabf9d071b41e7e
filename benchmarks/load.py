"""The load: clients in a closed loop over kept-alive connections, in one thread.

It shares the cores with the server, so it does nothing while it measures but write prepared bytes
and look for the end of an answer; answers are judged after the clock has stopped. What it costs is
measured too (`Load.generator_cpu_s`).
"""

import asyncio
import http.client
import json
import math
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

ANSWER_TIMEOUT_S = 60.0

Judge = Callable[[Any], bool]
"""Whether the JSON document of an answer is a plausible prediction."""


@dataclass
class Load:
    """What a load found within its measured time. Latencies in seconds, in order of completion."""

    clients: int
    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    bodies: set[bytes] = field(default_factory=set)
    lost: int = 0
    """Connections that ended, or stayed silent, while an answer was awaited."""
    generator_cpu_s: float = 0.0

    @property
    def images_per_s(self) -> float:
        return self.statuses[200] / self.seconds

    def quantile_ms(self, share: float) -> float:
        return quantile(self.latencies_s, share) * 1000

    def judge(self, plausible: Judge) -> None:
        """Raise `ValueError` unless every answer was a 200 with a plausible body."""
        if self.lost:
            raise ValueError(f"{self.lost} requests were never answered")
        if not self.statuses:
            raise ValueError(f"no answer within the {self.seconds:g} s that are measured")
        if set(self.statuses) != {200}:
            raise ValueError(f"answers by status: {dict(self.statuses)}")
        for body in self.bodies:
            if not plausible(json.loads(body)):
                raise ValueError(f"not a prediction: {body[:200]!r}")


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def post(path: str, content_type: str, body: bytes, host: str = "localhost") -> bytes:
    """A complete HTTP/1.1 request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask(host: str, port: int, request: bytes, timeout_s: float = ANSWER_TIMEOUT_S) -> Load:
    """What one request found, however long it took. Raises `OSError` where nobody answers."""
    began = time.perf_counter()
    with socket.create_connection((host, port), timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
            body = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from None
    spent_s = time.perf_counter() - began
    return Load(1, spent_s, [spent_s], Counter({response.status: 1}), {body})


class _Run:
    """What the clients of one load share."""

    def __init__(self, load: Load, begin: float, end: float) -> None:
        self.load = load
        self.begin = begin
        self.end = end

    def count(self, status: int, body: bytes, began: float) -> None:
        now = time.perf_counter()
        if self.begin <= now < self.end:
            self.load.statuses[status] += 1
            self.load.latencies_s.append(now - began)
            self.load.bodies.add(body)


class _Client(asyncio.Protocol):
    """One connection that asks, waits for the answer and asks again until the end."""

    def __init__(self, run: _Run, requests: Sequence[bytes], first: int) -> None:
        self._run = run
        self._requests = requests
        self._next = first
        self._received = bytearray()
        self._needed = 0  # bytes of the whole answer, once its head is read
        self._head = 0
        self._status = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        if self._began >= self._run.end:
            self.done.set_result(None)
            self._transport.close()
            return
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._needed:
            head_end = self._received.find(b"\r\n\r\n")
            if head_end < 0:
                return
            head = bytes(self._received[:head_end]).lower()
            self._status = int(head[9:12])
            self._head = head_end + 4
            length = head.split(b"content-length:")[1].split(b"\r\n")[0]
            self._needed = self._head + int(length)
        if len(self._received) >= self._needed:
            body = bytes(self._received[self._head : self._needed])
            self._run.count(self._status, body, self._began)
            self._received.clear()
            self._needed = 0
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._run.load.lost += 1
            self.done.set_result(None)


def drive(
    host: str,
    port: int,
    requests: Sequence[bytes],
    *,
    clients: int,
    seconds: float,
    warm_up_s: float,
) -> Load:
    """What `clients` in a closed loop get in `seconds`, after a warm-up that does not count.

    Each client sends all `requests` in turn, from a place of its own. Raises `OSError` where
    nobody listens.
    """
    load = Load(clients)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        begin = time.perf_counter() + warm_up_s
        shared = _Run(load, begin, begin + seconds)
        protocols = []
        for number in range(clients):
            first = number * len(requests) // clients
            client = _Client(shared, requests, first)
            await loop.create_connection(lambda client=client: client, host, port)  # type: ignore[misc]
            protocols.append(client)
        await asyncio.sleep(max(0.0, begin - time.perf_counter()))
        spent_s = time.process_time()
        await asyncio.sleep(max(0.0, shared.end - time.perf_counter()))
        load.generator_cpu_s = time.process_time() - spent_s
        load.seconds = seconds
        waiting = [client.done for client in protocols if not client.done.done()]
        if waiting:
            _, silent = await asyncio.wait(waiting, timeout=ANSWER_TIMEOUT_S)
            load.lost += len(silent)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return load
