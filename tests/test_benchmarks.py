"""That the benchmarks still run; what they find is never judged here."""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import document, load, table
from benchmarks import processes as processes_module
from benchmarks.processes import session
from tests.servers import HOST, answer, web_server

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.server
@pytest.mark.timeout(900)
def test_the_quick_run_goes_through_every_part_but_the_peers(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(output)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1), ended.stderr  # 1: something was too slow, which is no matter
    found = json.loads(output.read_text())
    assert {row["part"] for row in found["rows"]} == {"bare", "large", "ready", "lambda"}
    assert found["machine"]["cores"] >= 1
    assert found["versions"]["openvino"]
    assert found["details"]["peers"]["WhatBreed"]["clients"]["1"]["images_per_s"] > 0
    for row in found["rows"]:
        assert row["what"] in ended.stdout


@pytest.mark.server
def test_a_load_counts_answers_and_keeps_what_they_said() -> None:
    body = b'{"logits": [0.5, 1.5]}'
    with web_server(answer(200, body, {"Connection": "close"})) as address:
        port = int(address.rpartition(":")[2])
        found = load.ask(HOST, port, load.post("/", "image/jpeg", b"photo"))
    assert (found.statuses, found.bodies) == (Counter({200: 1}), {body})
    found.judge(lambda document: document["logits"] == [0.5, 1.5])
    with pytest.raises(ValueError, match="not a prediction"):
        found.judge(lambda document: False)


@pytest.mark.server
def test_clients_that_lose_their_server_are_told_of() -> None:
    with web_server(answer(500, b"{}")) as address:  # HTTP/1.0: it hangs up after each answer
        port = int(address.rpartition(":")[2])
        requests = [load.post("/", "image/jpeg", b"photo")]
        with ThreadPoolExecutor(1) as thread:  # this one may have a loop: Playwright leaves its own
            found = thread.submit(
                load.drive, HOST, port, requests, clients=2, seconds=0.3, warm_up_s=0
            ).result()
    assert found.lost == 2
    with pytest.raises(ValueError, match="never answered"):
        found.judge(lambda document: True)


@pytest.mark.server
def test_a_stopped_server_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes_module, "STOP_TIMEOUT_S", 0.3)
    # The grandchild goes into a session of its own and does not listen to SIGTERM.
    grandchild = (
        "import os, signal, time; os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('up', flush=True); time.sleep(600)"
    )
    child = (
        "import subprocess, sys; "
        f"p = subprocess.Popen([sys.executable, '-c', {grandchild!r}]); p.wait()"
    )
    with session([sys.executable, "-c", child]) as processes:
        while "up" not in processes.said():
            assert not processes.ended()
        assert len(processes.pids()) == 2
        assert processes.memory_bytes() > 1e6
    assert processes.pids() == []


def test_rows_say_whether_they_held() -> None:
    rows = [
        table.at_least("p", "speed", "images/s", 300, 20, 15),
        table.at_most("p", "memory", "MB", 150, 1000, 1 / 8),
        table.at_most("p", "start", "s", 1.2, None, 1.5),
        table.faster("p", "race", "images/s", 10, 10),
    ]
    assert [row.held for row in rows] == [True, False, True, False]
    cells = [cell.strip() for cell in table.text(rows).splitlines()[2].split("|")[1:-1]]
    assert cells == ["speed", "300 images/s", "20 images/s", "15 x", ">= 15 x", "yes"]


@pytest.mark.parametrize("page", document.TABLES, ids=lambda page: page.name)
def test_the_pages_show_what_the_last_full_run_found(page: Path) -> None:
    content = json.loads(document.RESULTS.read_text(encoding="utf-8"))
    assert document.filled(page, content) == page.read_text(encoding="utf-8")


def test_a_page_without_a_place_for_a_table_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here")
    monkeypatch.setattr(document, "TABLES", {page: {"rows": lambda content: ""}})
    with pytest.raises(ValueError, match=r"page\.md has no place for the table rows"):
        document.filled(page, {})
