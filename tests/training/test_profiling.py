import json
from pathlib import Path

import pytest

from training import profiling
from training.__main__ import main


def test_a_profiled_run_writes_a_trace_and_tables(
    photo_folder: Path,
    tmp_path: Path,
    tiny_options: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--data", str(photo_folder), "--output", str(tmp_path), *tiny_options]
    assert main(["train", *options, "--profile"]) == 0
    events = json.loads((tmp_path / profiling.TRACE_FILE).read_text())["traceEvents"]
    names = {event.get("name") for event in events}
    assert "aten::convolution" in names
    assert "aten::convolution_backward" in names
    assert "aten::conv" in (tmp_path / profiling.TABLE_FILE).read_text()
    output = capsys.readouterr().out
    for phase in ("train", "data", "validate", "checkpoint"):
        assert phase in output


def test_the_longest_phase_comes_first() -> None:
    table = profiling.phase_table({"data": 1.0, "train": 3.0}).splitlines()
    assert [line.split()[0] for line in table] == ["train", "data"]
    assert table[0].endswith("75.0%")
