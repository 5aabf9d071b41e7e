"""`--profile`: a torch.profiler trace of a few steps and a table of where the time went."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from training.run_folder import write_text

TRACE_FILE = "trace.json"
TABLE_FILE = "profile.txt"
_STEPS = 3


class Tracer:
    """Steps to be traced; `step` is called after each optimiser step."""

    def __init__(self, profiler: profile | None) -> None:
        self._profiler = profiler

    def step(self) -> None:
        if self._profiler is not None:
            self._profiler.step()


@contextmanager
def traced(folder: Path, wanted: bool) -> Iterator[Tracer]:
    """Trace three steps after two of warming up, where `wanted`.

    Writes `trace.json`, to be opened in chrome://tracing or ui.perfetto.dev, and `profile.txt`,
    the operators by the time they took themselves.
    """
    if not wanted:
        yield Tracer(None)
        return

    def write(profiler: profile) -> None:
        profiler.export_chrome_trace(str(folder / TRACE_FILE))
        order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        write_text(folder / TABLE_FILE, profiler.key_averages().table(sort_by=order, row_limit=25))

    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with profile(
        activities=activities,
        schedule=schedule(wait=1, warmup=1, active=_STEPS, repeat=1),
        on_trace_ready=write,
    ) as profiler:
        yield Tracer(profiler)


def phase_table(seconds: Mapping[str, float]) -> str:
    """Phase, seconds and share of the total, the longest first."""
    total = sum(seconds.values()) or 1.0
    rows = sorted(seconds.items(), key=lambda item: -item[1])
    return "\n".join(f"{phase:<12}{spent:>9.1f} s {spent / total:>6.1%}" for phase, spent in rows)
