"""The benchmarks run, and the published tables show results.json. Figures are not checked."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import document, load, results
from benchmarks.processes import ROOT, ServerFailed, process_tree
from ops.loadtest.images import Image
from tests.servers import answer, web_server

IMAGE = Image(b"image", "image/jpeg")


@pytest.mark.server
@pytest.mark.timeout(900)
def test_the_quick_run_measures_every_part_but_the_peers(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(output)]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode in (0, 1), completed.stderr  # 1: a target was missed
    content = json.loads(output.read_text())
    assert {row["part"] for row in content["rows"]} == {"bare", "large", "startup", "lambda"}
    assert content["machine"]["cores"] >= 1
    assert content["versions"]["openvino"]
    assert content["details"]["peers"]["WhatBreed"]["clients"]["1"]["images_per_s"] > 0
    for row in content["rows"]:
        assert row["what"] in completed.stdout


@pytest.mark.server
def test_a_load_counts_responses_and_checks_them() -> None:
    body = b'{"logits": [0.5, 1.5]}'
    with web_server(answer(200, body)) as address:
        assert load.send(address, IMAGE, lambda document: True) == {"logits": [0.5, 1.5]}
        result = load.drive(
            address, [IMAGE], lambda document: True, clients=2, seconds=0.3, warm_up_s=0.1
        )
        with pytest.raises(ServerFailed, match="not a prediction"):
            load.drive(address, [IMAGE], lambda _: False, clients=2, seconds=0.1, warm_up_s=0)
    assert 0 < len(result.latencies_s) < result.requests
    assert result.images_per_s == pytest.approx(len(result.latencies_s) / 0.3)
    assert result.percentile_ms(99) >= result.percentile_ms(50) > 0
    assert result.generator_cpu_s > 0


@pytest.mark.server
@pytest.mark.parametrize(("status", "body"), [(500, b"{}"), (200, b"no JSON")])
def test_a_load_with_a_wrong_response_fails(status: int, body: bytes) -> None:
    def is_prediction(document: object) -> bool:
        return document is not None

    with web_server(answer(status, body)) as address:
        with pytest.raises(ServerFailed, match=r"HTTP 500|not a prediction"):
            load.drive(address, [IMAGE], is_prediction, clients=2, seconds=0.1, warm_up_s=0)
        with pytest.raises(ServerFailed, match=r"HTTP 500|not a prediction"):
            load.send(address, IMAGE, is_prediction)


@pytest.mark.server
def test_a_stopped_server_leaves_no_process_behind() -> None:
    # The grandchild is in a session of its own and ignores SIGTERM.
    grandchild = (
        "import os, signal, time; os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('up', flush=True); time.sleep(600)"
    )
    child = (
        "import subprocess, sys; "
        f"p = subprocess.Popen([sys.executable, '-c', {grandchild!r}]); p.wait()"
    )
    with process_tree([sys.executable, "-c", child]) as processes:
        processes.stop_timeout_s = 0.3
        while "up" not in processes.output():
            assert processes.poll() is None
            time.sleep(0.02)
        assert len(processes.pids()) == 2
        assert processes.memory_bytes() > 1e6
    assert processes.pids() == []


def test_rows_compare_with_their_target() -> None:
    rows = [
        results.at_least("p", "speed", "images/s", 300, 20, 15),
        results.at_most("p", "memory", "MB", 150, 1000, 1 / 8),
        results.at_most("p", "start", "s", 1.2, None, 1.5),
        results.faster("p", "race", "images/s", 10, 10),
    ]
    assert [row.met for row in rows] == [True, False, True, False]
    lines = results.markdown(rows).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0] == ["what", "measured", "reference", "ratio", "target", "met"]
    assert cells[2] == ["speed", "300 images/s", "20 images/s", "15 x", ">= 15 x", "yes"]
    assert cells[3][-1] == "no"


@pytest.mark.parametrize("page", document.TABLES, ids=lambda page: page.name)
def test_the_pages_show_the_results_of_the_last_full_run(page: Path) -> None:
    content = json.loads(document.RESULTS.read_text(encoding="utf-8"))
    filled = document.fill(page, document.TABLES[page], content)
    assert filled == page.read_text(encoding="utf-8")


def test_a_page_without_markers_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers")
    with pytest.raises(ValueError, match=r"page\.md has no markers for the table rows"):
        document.fill(page, {"rows": lambda content: ""}, {})
