"""Where the time of a run goes: a stopwatch for its phases, and a trace of a few steps."""

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch.profiler import profile, schedule

from cli.files import write_atomically
from training.hooks import Hook, Step

TRACE_FILE = "trace.json"
TABLE_FILE = "profile.txt"


class Stopwatch:
    """Seconds spent in each phase of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.start_epoch()

    def start_epoch(self) -> None:
        """Start the period that `in_epoch` and `cpu_use` refer to."""
        self._last = self._wall = time.perf_counter()
        self._cpu = time.process_time()
        self._before = dict(self.seconds)

    def lap(self, phase: str) -> float:
        """Add the time since the last lap to `phase` and return it."""
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        self.seconds[phase] = self.seconds.get(phase, 0.0) + passed
        return passed

    def in_epoch(self, *phases: str) -> float:
        """Return the seconds spent in `phases` in this epoch."""
        return sum(self.seconds.get(p, 0.0) - self._before.get(p, 0.0) for p in phases)

    def cpu_use(self, threads: int) -> float:
        """Return the fraction of `threads` cores that this process used in this epoch."""
        wall_s, cpu_s = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return min(1.0, cpu_s / max(1e-9, wall_s * threads))


class Profiler(profile, Hook):
    """Trace three steps with torch.profiler, after two steps of warm-up.

    Used as a context manager around the run. Writes `trace.json` for chrome://tracing or
    ui.perfetto.dev, and `profile.txt` with the operators that took the most time.
    """

    def __init__(self, folder: Path) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"

        def write(profiler: profile) -> None:
            profiler.export_chrome_trace(str(folder / TRACE_FILE))
            averages = profiler.key_averages()
            table = averages.table(sort_by=f"self_{device}_time_total", row_limit=25)
            write_atomically(folder / TABLE_FILE, table)

        super().__init__(
            schedule=schedule(wait=1, warmup=1, active=3, repeat=1), on_trace_ready=write
        )

    def after_step(self, step: Step) -> None:
        self.step()


def phase_table(seconds: Mapping[str, float]) -> str:
    """Return a table of phases with their seconds and share of the total, the longest first."""
    total = sum(seconds.values()) or 1.0
    rows = sorted(seconds.items(), key=lambda item: -item[1])
    return "\n".join(f"{phase:<12}{spent:>9.1f} s {spent / total:>6.1%}" for phase, spent in rows)
