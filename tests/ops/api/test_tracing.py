"""`"xray": true` is all that tracing requires."""

from pathlib import Path

import pytest

from tests.ops.api.project import change_config, package, write_policy


@pytest.mark.parametrize(("enabled", "mode"), [(True, "Active"), (False, "PassThrough")])
def test_one_key_enables_tracing(project: Path, tmp_path: Path, enabled: bool, mode: str) -> None:
    change_config(project, xray=enabled)
    write_policy(project, "prod")
    built = package(project, "prod", tmp_path / "package")
    function = built.template["Resources"]["APIHandler"]["Properties"]
    assert function["Tracing"] == mode
