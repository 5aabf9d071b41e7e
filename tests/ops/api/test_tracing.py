"""`"xray": true` is all that tracing needs."""

import json
from pathlib import Path
from typing import Any

import pytest

from ops.api.bundle import package
from tests.ops.api.project import REGION, write_policy


@pytest.mark.parametrize(("on", "mode"), [(True, "Active"), (False, "PassThrough")])
def test_one_key_turns_tracing_on(project: Path, tmp_path: Path, on: bool, mode: str) -> None:
    file = project / ".chalice" / "config.json"
    config: dict[str, Any] = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "xray": on}))
    write_policy(project, "prod")
    built = package("prod", REGION, tmp_path / "package", project)
    function = built.template["Resources"]["APIHandler"]["Properties"]
    assert function["Tracing"] == mode
