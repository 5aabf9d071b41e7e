"""The bundle: equal sources give equal bytes, and errors are one line."""

import hashlib
import io
import os
import random
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from aws.errors import AwsError
from ops.api.bundle import normalise
from tests.emulator.fixtures import Command
from tests.ops.api import project as projects
from tests.ops.api.project import package


def second_checkout(project: Path, folder: Path) -> Path:
    """Copy `project` with other times and permissions, and in another order."""
    files = [path for path in project.rglob("*") if path.is_file()]
    random.Random(0).shuffle(files)
    for number, source in enumerate(files):
        target = folder / source.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        target.chmod(0o600)
        os.utime(target, (number * 86_400.0, number * 86_400.0))
    return folder


def test_two_checkouts_give_the_same_bytes(project: Path, tmp_path: Path) -> None:
    other = second_checkout(project, tmp_path / "second")
    first = package(project, "local", tmp_path / "one")
    second = package(other, "local", tmp_path / "two")
    assert first.archive == second.archive
    assert first.template == second.template
    # `chalice deploy` would upload this file next.
    [cached] = (project / ".chalice" / "deployments").glob("*.zip")
    assert cached.read_bytes() == first.archive

    app = other / "app.py"
    app.write_text(app.read_text() + "\n# changed\n")
    assert package(other, "local", tmp_path / "three").digest != first.digest


def test_lambda_can_read_every_file() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("b.txt", "a/__pycache__/old.pyc", "a/a.py"):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100600 << 16
            archive.writestr(entry, b"x")
    with zipfile.ZipFile(io.BytesIO(normalise(stream.getvalue()))) as archive:
        bytecode = f"a/__pycache__/a.{sys.implementation.cache_tag}.pyc"
        assert archive.namelist() == [bytecode, "a/a.py", "b.txt"]
        for entry in archive.infolist():
            assert stat.S_IMODE(entry.external_attr >> 16) == 0o644


def test_the_function_compiles_nothing_at_its_start(local_bundle: Path, tmp_path: Path) -> None:
    task = tmp_path / "task"
    with zipfile.ZipFile(local_bundle) as archive:
        archive.extractall(task)
        bytecode = archive.read(f"__pycache__/app.{sys.implementation.cache_tag}.pyc")
    for source in task.rglob("*.py"):  # only the bytecode can be imported
        source.write_text("raise ImportError('compiled from source')")
    process = subprocess.run(
        [sys.executable, "-B", "-c", "import app; print(app.app.__module__, app.__file__)"],
        cwd=task,
        env={**os.environ, "PYTHONPATH": str(task), "ENDPOINT_NAME": "whatbreed-test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert str(task) in process.stdout
    assert b"/var/task/app.py" in bytecode  # shown by tracebacks in the log
    assert str(tmp_path).encode() not in bytecode


def test_a_source_that_does_not_compile_is_an_error() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("app.py", b"def broken(:")
    with pytest.raises(AwsError, match="does not compile"):
        normalise(stream.getvalue())


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_missing_policy_is_an_error_with_the_command_that_writes_it(
    project: Path, tmp_path: Path, stage: str
) -> None:
    with pytest.raises(AwsError) as caught:
        package(project, stage, tmp_path / "package")
    assert f".chalice/policy-{stage}.json" in str(caught.value)
    assert f"`python -m ops policy --stage {stage}`" in str(caught.value)


def test_the_command_prints_the_digest_and_writes_bundle_and_template(
    project: Path, command: Command
) -> None:
    output = project / "build" / "package"
    with projects.in_use(project):
        missing = command("ops", "api", "bundle", "--stage", "dev", "--output", output)
        assert missing.code == 1
        [line] = missing.err.splitlines()
        assert "`python -m ops policy --stage dev`" in line
        projects.write_policy(project, "dev")
        dev = command("ops", "api", "bundle", "--stage", "dev", "--output", output)
        local = command("ops", "api", "bundle")
    assert dev.code == 0, dev.err
    archive = (output / "deployment.zip").read_bytes()
    # Only the digest is printed: the pipeline compares it.
    assert f"{hashlib.sha256(archive).hexdigest()}\n" == dev.out == local.out
    assert "whatbreed-dev" in (output / "sam.json").read_text()


def test_an_unknown_stage_is_one_line(command: Command) -> None:
    outcome = command("ops", "api", "bundle", "--stage", "dve")
    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    assert '"dve"' in line


def test_an_error_of_chalice_is_one_line(project: Path, tmp_path: Path) -> None:
    (project / "app.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(AwsError, match=r"`chalice package .*` failed: .*nothing_of_that_name"):
        package(project, "local", tmp_path / "package")
