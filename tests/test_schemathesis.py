"""schemathesis: requests made from `openapi.json`, right and wrong ones, to the running product."""

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
def test_all_checks_and_no_finding(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("schemathesis"))
    with (
        whole_product() as address,
        web_server(answer(200, SAMPLE.read_bytes())) as host,
    ):
        ended = subprocess.run(
            [program, "--config-file", str(FOLDER / "schemathesis.toml"), "--no-color"]
            + ["run", f"{address}/openapi.json", "--checks", "all", "--continue-on-failure"]
            + ["--max-examples", EXAMPLES, "--seed", "1", "--generation-database", "none"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PICTURE_URL": f"{host}/dog.png",
                "SCHEMATHESIS_HOOKS": "hooks",
                "PYTHONPATH": str(FOLDER),
            },
            capture_output=True,
            text=True,
            timeout=400,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Tested: 8" in ended.stdout
