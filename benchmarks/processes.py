"""Child processes for benchmarks and tests: start, measure, stop, free ports."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerFailed(Exception):
    """A server ended, did not respond, or responded with an error."""


class Process(subprocess.Popen[str]):
    """A child in a session of its own. Its output goes to a file: a full pipe would block it."""

    stop_timeout_s = 30.0

    def __init__(
        self, command: Sequence[str], output: Path, environment: Mapping[str, str]
    ) -> None:
        self._output = output
        with output.open("w") as stream:
            super().__init__(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def output(self) -> str:
        """Return what it has written so far."""
        return self._output.read_text(errors="replace")

    def stop(self) -> None:
        """Terminate its process group, and kill it after a timeout."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGTERM)
            try:
                self.wait(self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.wait()


class ProcessTree(Process):
    """A child and all its descendants (Linux: proc(5)).

    TorchServe starts workers that start others, and BentoML puts some into sessions of their own.
    A process keeps its session when its parent ends, so sessions are measured and stopped.
    """

    stop_timeout_s = 10.0

    def __init__(
        self, command: Sequence[str], output: Path, environment: Mapping[str, str]
    ) -> None:
        super().__init__(command, output, environment)
        self._sessions = {self.pid}

    def pids(self) -> list[int]:
        return list(self._members())

    def _members(self) -> dict[int, list[str]]:
        """The fields of /proc/PID/stat from `state` on, by pid."""
        processes = dict(_stats())
        members: dict[int, list[str]] = {}
        grown = True
        while grown:
            larger = {
                pid: fields
                for pid, fields in processes.items()
                if int(fields[3]) in self._sessions or int(fields[1]) in members
            }
            self._sessions |= {int(fields[3]) for fields in larger.values()}
            grown = len(larger) > len(members)
            members = larger
        return members

    def memory_bytes(self) -> int:
        """Return the sum of the proportional set sizes (PSS), which count a shared page once."""
        total_kb = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):  # it has ended
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total_kb += int(line.split()[1])
        return total_kb * 1024

    def cpu_s(self) -> float:
        """Return the CPU time, user and system, of the processes that still run."""
        ticks = sum(int(fields[11]) + int(fields[12]) for fields in self._members().values())
        return ticks / _TICKS_PER_S

    def stop(self) -> None:
        """Terminate every process, and kill those that remain after a timeout."""
        for number, timeout_s in ((signal.SIGTERM, self.stop_timeout_s), (signal.SIGKILL, 5.0)):
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            end = time.monotonic() + timeout_s
            while time.monotonic() < end:
                self.poll()  # otherwise the child remains as a zombie
                if not self.pids():
                    self.wait()  # it may have ended since it was polled
                    return
                time.sleep(0.02)


P = TypeVar("P", bound=Process)


@contextlib.contextmanager
def _started(kind: type[P], command: Sequence[str], environment: Mapping[str, str]) -> Iterator[P]:
    with tempfile.TemporaryDirectory() as folder:
        child = kind(command, Path(folder) / "output", environment)
        try:
            yield child
        finally:
            child.stop()


@contextlib.contextmanager
def process(command: Sequence[str], **environment: str) -> Iterator[Process]:
    """Run `command` from the repository's root until the block is left, without proxies."""
    with _started(Process, command, without_proxies(os.environ) | environment) as child:
        yield child


@contextlib.contextmanager
def process_tree(command: Sequence[str], **environment: str) -> Iterator[ProcessTree]:
    """Run `command`, without proxies, and measure all that it starts.

    It may be of another virtual environment.
    """
    inherited = without_proxies(without_venv(os.environ))
    with _started(ProcessTree, command, inherited | environment) as child:
        yield child


def without_venv(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without the variables that would mix virtual environments."""
    return {
        name: value
        for name, value in environment.items()
        if name not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")
    }


def without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without proxies: all servers here are on this machine."""
    return {
        name: value for name, value in environment.items() if not name.upper().endswith("_PROXY")
    }


def wait_for(url: str, child: Process, timeout_s: float = 60) -> None:
    """Return once `url` responds with 200. Raise ServerFailed if it does not or `child` ends."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and child.poll() is None:
        try:
            with _without_proxy.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise ServerFailed(f"{url} did not respond: {child.output()}")


def free_port() -> int:
    """Return a TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _stats() -> Iterator[tuple[int, list[str]]]:
    """The pid and the fields of /proc/PID/stat from `state` on, of every process but zombies."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    yield int(folder.name), fields


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the program like Ctrl-C, so that every child is stopped."""

    def interrupt(_: int, __: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
