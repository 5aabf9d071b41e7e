"""The bundle: the same sources give the same bytes, and a missing policy is told."""

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
from ops.api.bundle import normalise, package
from tests.ops.api import project as projects
from tests.ops.api.project import REGION


def another_checkout(folder: Path) -> Path:
    """A copy with other times, other permissions, and its files made in another order."""
    project = projects.copy(folder / "first")
    other = folder / "second"
    files = [path for path in project.rglob("*") if path.is_file()]
    random.Random(0).shuffle(files)
    for number, source in enumerate(files):
        target = other / source.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        target.chmod(0o600)
        os.utime(target, (number * 86_400.0, number * 86_400.0))
    return other


def test_two_checkouts_give_the_same_bytes(project: Path, tmp_path: Path) -> None:
    other = another_checkout(tmp_path)
    first = package("local", REGION, tmp_path / "one", project)
    second = package("local", REGION, tmp_path / "two", other)
    assert first.archive == second.archive
    assert first.template == second.template
    # What `chalice deploy` would send next is that very file.
    [kept] = (project / ".chalice" / "deployments").glob("*.zip")
    assert kept.read_bytes() == first.archive

    view = other / "app.py"
    view.write_text(view.read_text() + "\n# changed\n")
    assert package("local", REGION, tmp_path / "three", other).digest != first.digest


def test_lambda_can_read_every_file() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name in ("b.txt", "a/__pycache__/old.pyc", "a/a.py"):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100600 << 16
            made.writestr(entry, b"x")
    with zipfile.ZipFile(io.BytesIO(normalise(stream.getvalue()))) as found:
        bytecode = f"a/__pycache__/a.{sys.implementation.cache_tag}.pyc"
        assert found.namelist() == ["a/__pycache__/" + Path(bytecode).name, "a/a.py", "b.txt"]
        for one in found.infolist():
            assert stat.S_IMODE(one.external_attr >> 16) == 0o644


def test_the_function_compiles_nothing_at_its_start(project: Path, tmp_path: Path) -> None:
    built = package("local", REGION, tmp_path / "package", project)
    task = tmp_path / "task"
    with zipfile.ZipFile(io.BytesIO(built.archive)) as archive:
        archive.extractall(task)
    for source in task.rglob("*.py"):  # what is read is the bytecode: the sources are gone
        source.write_text("raise ImportError('this was compiled anew')")
    ended = subprocess.run(
        [sys.executable, "-B", "-c", "import app; print(app.app.__module__, app.__file__)"],
        cwd=task,
        env={**os.environ, "PYTHONPATH": str(task), "ENDPOINT_NAME": "whatbreed-test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert str(task) in ended.stdout
    with zipfile.ZipFile(io.BytesIO(built.archive)) as archive:
        bytecode = archive.read(f"__pycache__/app.{sys.implementation.cache_tag}.pyc")
    assert b"/var/task/app.py" in bytecode  # what a traceback in the log shows
    assert str(tmp_path).encode() not in bytecode


def test_a_source_that_does_not_compile_never_reaches_lambda(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("app.py", b"def broken(:")
    with pytest.raises(AwsError, match="does not compile"):
        normalise(stream.getvalue())


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_missing_policy_is_told_with_the_command_that_makes_it(
    project: Path, tmp_path: Path, stage: str
) -> None:
    with pytest.raises(AwsError) as caught:
        package(stage, REGION, tmp_path / "package", project)
    assert str(caught.value) == (
        f".chalice/policy-{stage}.json is missing: make it with "
        f"`python -m training policy --stage {stage}`"
    )


def test_the_program_leaves_bundle_and_template(project: Path) -> None:
    def bundle(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops.api.bundle", *options],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=120,
        )

    missing = bundle("--stage", "dev", "--output", "build/package")
    assert missing.returncode == 1
    [line] = missing.stderr.splitlines()
    assert line.endswith("make it with `python -m training policy --stage dev`")
    projects.write_policy(project, "dev")
    made = bundle("--stage", "dev", "--output", "build/package")
    assert made.returncode == 0, made.stderr
    archive = (project / "build" / "package" / "deployment.zip").read_bytes()
    assert hashlib.sha256(archive).hexdigest() == made.stdout.strip() == bundle().stdout.strip()
    assert "whatbreed-dev" in (project / "build" / "package" / "sam.json").read_text()


def test_what_chalice_says_is_passed_on_in_one_line(project: Path, tmp_path: Path) -> None:
    (project / "app.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(AwsError, match=r"`chalice package .*` failed: .*nothing_of_that_name"):
        package("local", REGION, tmp_path / "package", project)
