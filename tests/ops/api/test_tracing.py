"""`"xray": true` is all that tracing requires."""

from pathlib import Path

from ops.api.bundle import Bundle
from tests.ops.api.project import change_config, package, write_policy


def test_one_key_enables_tracing(release_bundle: Bundle, project: Path, tmp_path: Path) -> None:
    assert tracing(release_bundle) == "PassThrough"
    change_config(project, xray=True)
    write_policy(project, "prod")
    assert tracing(package(project, "prod", tmp_path / "package")) == "Active"


def tracing(built: Bundle) -> str:
    return str(built.template["Resources"]["APIHandler"]["Properties"]["Tracing"])
