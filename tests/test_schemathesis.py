"""schemathesis sends valid and invalid requests, generated from `openapi.json`, to `make run`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers import answer, web_server, whole_product

FOLDER = ROOT / "tests" / "schemathesis"
SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "25")


@pytest.mark.server
def test_no_check_fails(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("schemathesis"))
    with (
        whole_product() as address,
        web_server(answer(200, SAMPLE.read_bytes())) as host,
    ):
        process = subprocess.run(
            [program, "--config-file", str(FOLDER / "schemathesis.toml"), "--no-color"]
            + ["run", f"{address}/openapi.json", "--checks", "all", "--continue-on-failure"]
            + ["--max-examples", EXAMPLES, "--seed", "1", "--generation-database", "none"],
            cwd=tmp_path,
            env={
                **os.environ,
                "IMAGE_URL": f"{host}/dog.png",
                "SCHEMATHESIS_HOOKS": "hooks",
                "PYTHONPATH": str(FOLDER),
            },
            capture_output=True,
            text=True,
            timeout=400,
        )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "Tested: 8" in process.stdout
