"""A server under measurement: started in a session of its own, weighed, and gone without a trace.

Peers start workers, and those start others (TorchServe: Python, Java, Python), some in sessions of
their own (BentoML). A process keeps its session whoever adopts it, so the sessions of a server and
of all its descendants are what is weighed and ended.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
STOP_TIMEOUT_S = 10.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server under measurement ended, never answered, or answered nonsense."""


class Session:
    """All processes that come from one (Linux: proc(5))."""

    def __init__(self, child: "subprocess.Popen[bytes]", output: Path) -> None:
        self._child = child
        self._output = output
        self._sessions = {child.pid}

    def pids(self) -> list[int]:
        return list(self._members())

    def _members(self) -> dict[int, list[str]]:
        """The fields of /proc/PID/stat from `state` on, by pid."""
        processes = dict(_stats())
        members: dict[int, list[str]] = {}
        grown = True
        while grown:
            found = {
                pid: fields
                for pid, fields in processes.items()
                if int(fields[3]) in self._sessions or int(fields[1]) in members
            }
            self._sessions |= {int(fields[3]) for fields in found.values()}
            grown = len(found) > len(members)
            members = found
        return members

    def memory_bytes(self) -> int:
        """The sum of the proportional set sizes: a page that n processes share counts once."""
        total_kb = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):  # it ended meanwhile
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total_kb += int(line.split()[1])
        return total_kb * 1024

    def cpu_s(self) -> float:
        """Processor seconds, user and system, of the processes that still run."""
        ticks = sum(int(fields[11]) + int(fields[12]) for fields in self._members().values())
        return ticks / _TICKS_PER_S

    def ended(self) -> bool:
        return self._child.poll() is not None

    def said(self) -> str:
        """The end of what it has written."""
        return self._output.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End every process of the session: asked first, then not asked."""
        for number, patience_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, 5.0)):
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            end = time.monotonic() + patience_s
            while time.monotonic() < end:
                self._child.poll()  # takes in the first one, which is a zombie otherwise
                if not self.pids():
                    return
                time.sleep(0.02)


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Pid and the fields of /proc/PID/stat from `state` on, of every process but zombies."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    yield int(folder.name), fields


@contextlib.contextmanager
def session(command: Sequence[str], **environment: str) -> Iterator[Session]:
    """`command` in a session of its own, which is empty when the block is left."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        with output.open("wb") as stream:
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=without_venv(os.environ) | environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = Session(child, output)
        try:
            yield started
        finally:
            started.stop()


def without_venv(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without what would lead one virtual environment into another."""
    return {
        name: value
        for name, value in environment.items()
        if name not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")
    }
