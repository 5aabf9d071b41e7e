"""The benchmarks run, and the pages show the published results. Figures are not checked."""

import dataclasses
import json
import platform
import shutil
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cpu, document, install_peers, load, peers_comparison, results
from benchmarks.__main__ import measure
from benchmarks.processes import (
    HOST,
    ROOT,
    ServerFailed,
    free_port,
    process,
    process_tree,
    wait_for,
)
from benchmarks.results import Row
from benchmarks.scale import SMOKE, Scale
from benchmarks.stacks import Stack
from ops.loadtest.images import Image
from tests.servers import answer, web_server

IMAGE = Image(b"image", "image/jpeg")


@pytest.mark.server
@pytest.mark.timeout(900)
def test_the_smoke_run_measures_every_part_but_the_peers(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--output", str(output)]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode in (0, 1), completed.stderr  # 1: a target was missed
    content = json.loads(output.read_text())
    assert {row["part"] for row in content["rows"]} == {"bare", "large", "startup", "lambda"}
    machine = content["machine"]
    assert machine["cores"] >= 1
    assert machine["kind"] in {kind.name for kind in cpu.KINDS}
    assert ", ".join(machine["instruction_sets"]) in completed.stdout
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


def test_several_runs_are_shown_as_ranges() -> None:
    slow = [results.at_least("p", "speed", "images/s", 101, 10, 15)]
    fast = [results.at_least("p", "speed", "images/s", 238, 14, 15)]
    line = results.markdown(slow, fast).splitlines()[2]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells == ["speed", "101 to 238 images/s", "10 to 14 images/s", "10.1 to 17 x"] + [
        ">= 15 x",
        "in part",
    ]


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("fpu sse4_2 avx avx2", "avx2"),  # AMD Milan: c6a, m6a
        ("avx2 avx_vnni", "avx2-vnni"),
        ("avx2 avx512f", "avx512"),  # Skylake: many m5 and c5
        ("avx2 avx512f avx512_vnni", "avx512-vnni"),  # Ice Lake: c6i
        ("avx2 avx512f avx512_vnni amx_int8", "amx"),  # Sapphire Rapids: c7i
        ("fp asimd asimddp i8mm", "arm64-i8mm"),  # Graviton3: c7g
        ("", "other"),
    ],
)
def test_the_kind_of_a_cpu_is_the_best_of_its_instruction_sets(flags: str, kind: str) -> None:
    assert cpu.kind(flags.split()).name == kind


CONVOLUTIONS = """
import json
from benchmarks import cpu
cpu.restrict_to_avx2()
from model_code.inference import DEFAULT_MODEL_DIR, model_fn
graph = model_fn(DEFAULT_MODEL_DIR).latency.result().get_runtime_model()
infos = [node.get_rt_info() for node in graph.get_ops()]
used = {
    info["primitiveType"].astype(str)
    for info in infos if info["layerType"].astype(str) == "Convolution"
}
print(json.dumps([cpu.describe(), sorted(used)]))
"""


def test_newer_instruction_sets_can_be_switched_off() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", CONVOLUTIONS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    machine, convolutions = json.loads(completed.stdout)
    assert machine["restricted"]
    if platform.machine() == "x86_64":
        assert machine["kind"] == "avx2"
        assert all("avx2" in kernel for kernel in convolutions), convolutions


def test_a_part_that_fails_is_left_out_and_the_others_are_measured() -> None:
    row = Row("good", "x", "s", 1, None, "<= 2 s", True)

    def fail(scale: Scale) -> tuple[list[Row], dict[str, Any]]:
        raise FileNotFoundError("java")

    parts = {
        "bad": fail,
        "good": lambda scale: ([row], {"a": 1, "left_out": {"peer": "no Java"}}),
    }
    rows, details, left_out = measure(parts, SMOKE)
    assert rows == [row]
    assert details == {"good": {"a": 1}}
    assert left_out == {"bad": "FileNotFoundError: java", "peer": "no Java"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the Makefile, a .venv-dev that logs its calls, and a Python without venv."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv-dev" / "bin").mkdir(parents=True)
    (tmp_path / "locks").mkdir()
    for lock in ("dev", "bench"):
        (tmp_path / "locks" / f"{lock}.txt").touch()
    for path, line in {
        ".venv-dev/bin/python": 'echo "$@" >> calls',
        "python": 'case "$*" in *venv*) exit 1;; esac',
    }.items():
        (tmp_path / path).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / path).chmod(0o755)
    (tmp_path / ".venv-dev" / "ready").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        ("--quick", ["-m benchmarks --quick"]),
        ("--only bare", ["-m benchmarks.install_peers", "-m benchmarks --only bare"]),
        ("", ["-m benchmarks.install_peers", "-m benchmarks"]),
    ],
)
def test_make_bench_runs_even_if_the_peers_do_not_install(
    arguments: str, calls: list[str], project: Path
) -> None:
    command = ["make", "bench", f"PYTHON={project / 'python'}", f"ARGS={arguments}"]
    completed = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert (project / "calls").read_text().splitlines() == calls


def test_peers_are_installed_one_by_one_and_failures_are_named(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$*" in *litserve*) exit 1;; esac\n')
    python.chmod(0o755)
    assert install_peers.install(python) == ["LitServe"]
    missing = tmp_path / "missing"
    assert install_peers.install(missing) == ["TorchServe", "LitServe", "BentoML"]


def test_every_package_of_a_peer_is_in_the_lock() -> None:
    lock = install_peers.LOCK.read_text(encoding="utf-8").lower()
    for packages in install_peers.PEERS.values():
        for package in packages:
            assert f"\n{package.lower()}==" in lock, package


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "24")
        self.end_headers()
        self.wfile.write(b'{"logits": [0.25, 1.25]}')
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer.request_queue_size = 64
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.mark.server
def test_a_peer_that_is_missing_or_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # without Java
    ours = Stack("WhatBreed", [sys.executable, "-c", SERVER])
    good = Stack("LitServe with our model", ours.command)
    broken = Stack("BentoML with our model", [sys.executable, "-c", "import missing_module"])
    missing = Stack("TorchServe with ResNet50", ["/nonexistent/python", "-m", "x"])
    scale = dataclasses.replace(SMOKE, rounds=2, load_s=0.1, warm_up_s=0, clients=(1, 4, 16))
    java = Stack("TorchServe with EfficientNet-Lite2", broken.command)
    visits, left_out = peers_comparison.visit_all(ours, [good, broken, missing, java], scale)
    assert set(visits) == {"WhatBreed", "LitServe with our model"}
    assert len(visits["WhatBreed"].memory_bytes) == 2 * 2  # before every second peer
    assert "No module named 'missing_module'" in left_out["BentoML with our model"]
    assert "/nonexistent/python does not exist" in left_out["TorchServe with ResNet50"]
    assert left_out["TorchServe with EfficientNet-Lite2"].startswith("TorchServe needs Java 17")
    rows = peers_comparison.rows(visits, 16)
    assert [row.what for row in rows] == [
        f"throughput, {clients} clients, vs. LitServe with our model" for clients in (4, 16)
    ]
    with pytest.raises(ServerFailed):
        peers_comparison.visit_all(dataclasses.replace(broken, name="WhatBreed"), [], scale)


def test_a_proxy_of_the_shell_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied = list[str]()

    def proxy(request: BaseHTTPRequestHandler) -> None:
        proxied.append(request.path)
        answer(200)(request)

    with web_server(proxy) as address:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        command = [sys.executable, "-c", "import os; print(sorted(os.environ)); input()"]
        with process(command) as child:
            with pytest.raises(ServerFailed):  # a response could only come from the proxy
                wait_for(f"http://{HOST}:{free_port()}/ping", child, timeout_s=1)
            child.wait()
            assert "PROXY" not in child.output().upper()
    assert not proxied


@pytest.mark.parametrize("page", document.TABLES, ids=lambda page: page.name)
def test_the_pages_show_the_results_of_the_last_full_runs(page: Path) -> None:
    filled = document.fill(page, document.TABLES[page], document.read())
    assert filled == page.read_text(encoding="utf-8")


def test_ops_costs_uses_the_results_of_the_last_full_runs() -> None:
    assert json.loads(document.CAPACITY.read_text()) == document.capacity(document.read())


def test_a_page_without_markers_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers")
    with pytest.raises(ValueError, match=r"page\.md has no markers for the table rows"):
        document.fill(page, {"rows": lambda runs: ""}, [])
