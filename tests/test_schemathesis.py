"""schemathesis: valid and invalid requests, generated from `openapi.json`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers import answer, web_server

FOLDER = ROOT / "tests" / "schemathesis"
SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "25")


@pytest.mark.server
def test_all_checks(product: str, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("schemathesis"))
    with web_server(answer(200, SAMPLE.read_bytes())) as host:
        completed = subprocess.run(
            [program, "--config-file", str(FOLDER / "schemathesis.toml"), "--no-color"]
            + ["run", f"{product}/openapi.json", "--checks", "all", "--continue-on-failure"]
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
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "Tested: 10" in completed.stdout
