"""Package the Lambda bundle reproducibly and print its SHA-256.

Equal sources give equal bytes on every machine. The bundle is the same for all stages and regions;
the template is not.

example:
  python -m ops api bundle
  python -m ops api bundle --stage dev --output build/package
"""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import click

from aws import stages
from aws.errors import AwsError
from chalicelib.preflight import missing_policy
from cli import commands
from cli.files import write_atomically

TASK = "/var/task"
"""The folder Lambda unpacks a bundle to, which tracebacks show."""
MAX_UNPACKED_BYTES = 250 * 1024**2
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
_EARLIEST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A zip for Lambda and the SAM template that refers to it."""

    archive: bytes
    template: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the zip in hex."""
        return hashlib.sha256(self.archive).hexdigest()

    @property
    def code_sha256(self) -> str:
        """The same SHA-256 as Lambda reports it."""
        return base64.b64encode(bytes.fromhex(self.digest)).decode()


@commands.command(__doc__)
@click.option("--stage", default="local", help="Stage of .chalice/config.json. Default: local.")
@click.option(
    "--region",
    default="us-east-1",
    envvar="AWS_DEFAULT_REGION",
    help="Region of the template. Default: AWS_DEFAULT_REGION or us-east-1.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder to keep the bundle and template in."
)
def command(stage: str, region: str, output: Path | None) -> None:
    stages.read(stage)
    with tempfile.TemporaryDirectory() as folder:
        print(package(stage, region, (output or Path(folder)).resolve()).digest)


def package(stage: str, region: str, folder: Path) -> Bundle:
    """Run `chalice package` and make its zip reproducible.

    Writes bundle and template to `folder`, and makes the copy that `chalice deploy` uploads
    reproducible too. Merges `.chalice/resources-STAGE.json` if it exists. Raises AwsError with
    Chalice's last line.
    """
    error = missing_policy(stages.folder().parent, stage)
    if error:
        raise AwsError(error)
    resources = stages.folder() / f"resources-{stage}.json"
    merge = ["--merge-template", str(resources)] if resources.is_file() else []
    run_chalice(["package", "--stage", stage, *merge, str(folder)], region)
    original = (folder / "deployment.zip").read_bytes()
    archive = normalise(original)
    # Chalice keeps a copy in deployments/, which `chalice deploy` uploads.
    for path in [folder / "deployment.zip", *(stages.folder() / "deployments").glob("*.zip")]:
        if path.read_bytes() == original:
            write_atomically(path, archive)
    template: dict[str, Any] = json.loads((folder / "sam.json").read_text(encoding="utf-8"))
    return Bundle(archive, template)


def run_chalice(arguments: list[str], region: str) -> None:
    """Run Chalice's command line. Raise AwsError with its reason, in one line, if it fails."""
    process = subprocess.run(
        [str(Path(sys.executable).with_name("chalice")), *arguments],
        cwd=stages.folder().parent,
        env={**os.environ, "AWS_DEFAULT_REGION": region},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        output = process.stderr.strip() or process.stdout.strip() or "no output"
        raise AwsError(f"`chalice {' '.join(arguments)}` failed: {_reason(output)}")


def _reason(output: str) -> str:
    """AWS's error, which Chalice wraps over several lines, or the last line of the output."""
    _, separator, error = output.partition("received the following error:")
    if separator:
        return " ".join(error.strip().partition("\n\n")[0].split())
    return output.splitlines()[-1].strip()


def normalise(archive: bytes) -> bytes:
    """Return a zip with the same files and their bytecode: sorted, without times, readable by all.

    Chalice adds files in the order of the file system, with their times and permissions. Raises
    AwsError if a source does not compile.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        files = {
            name: source.read(name)
            for name in source.namelist()
            if not name.endswith("/") and "__pycache__" not in name
        }
    files |= compile_sources(files)
    size = sum(map(len, files.values()))
    if size > MAX_UNPACKED_BYTES:
        raise AwsError(
            f"The bundle has {size} bytes unpacked; Lambda accepts {MAX_UNPACKED_BYTES}: remove "
            "packages from requirements.txt."
        )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EARLIEST_ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix on every machine: Lambda reads the permissions below
            entry.external_attr = 0o100644 << 16
            target.writestr(entry, content)
    return stream.getvalue()


def compile_sources(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the `.pyc` of each Python file in `files`, by the path Python loads it from.

    /var/task is read-only: without bytecode in the bundle, every cold start compiles all sources,
    including Chalice's, which takes longer than importing them.

    The bytecode is for the running Python, whose version is also the one of the function, because
    Chalice picks the runtime by it. Equal sources give equal bytes. Python does not compare the
    bytecode with the sources when loading (PEP 552, unchecked): /var/task never changes. Raises
    AwsError if a file does not compile.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            if file.endswith(".py"):
                path = folder / PurePosixPath(file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        # A process of its own, because strings that this one has interned would change the bytes.
        process = subprocess.run(
            [
                *(sys.executable, "-I", "-m", "compileall", "-q"),
                *("--invalidation-mode", "unchecked-hash"),
                *("-s", name, "-p", TASK, name),
            ],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise AwsError(f"The bundle does not compile: {process.stdout.strip()}")
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*.pyc"))
        }
