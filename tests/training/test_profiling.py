"""`--profile`: the trace and the tables of where a run's time went."""

import json
import subprocess
import sys
from pathlib import Path

from training import profiling

ROOT = Path(__file__).resolve().parents[2]


def test_a_profiled_run_leaves_a_trace_and_a_table(
    collection_folder: Path, tmp_path: Path, tiny_options: list[str]
) -> None:
    command = ["-m", "training", "train", "--data", str(collection_folder), "--output"]
    ended = subprocess.run(
        [sys.executable, *command, str(tmp_path), *tiny_options, "--profile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    events = json.loads((tmp_path / profiling.TRACE_FILE).read_text())["traceEvents"]
    names = {event.get("name") for event in events}
    assert "aten::convolution" in names
    assert "aten::convolution_backward" in names
    assert "aten::conv" in (tmp_path / profiling.TABLE_FILE).read_text()
    for phase in ("train", "data", "validate", "checkpoint"):  # where the run's time went
        assert phase in ended.stdout


def test_the_longest_phase_comes_first() -> None:
    table = profiling.phase_table({"data": 1.0, "train": 3.0}).splitlines()
    assert [line.split()[0] for line in table] == ["train", "data"]
    assert table[0].endswith("75.0%")
