"""The bundle that goes to Lambda, and the template around it: `chalice package`, made reproducible.

Chalice zips in the order in which the file system lists, with each file's own permissions. Here
the same sources give the same bytes on any machine, so that the bundle's hash is its name. The
bundle is the same for every stage and region; the template is not.

example:
  python -m ops.api.bundle                                      # prints the hash
  python -m ops.api.bundle --stage dev --output build/package   # leaves bundle and template there
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws.errors import AwsError
from chalicelib.preflight import missing_policy
from ops.api import bytecode, program

ROOT = Path(__file__).resolve().parents[2]
_BEGINNING = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can name


@dataclass(frozen=True, slots=True)
class Bundle:
    """A zip for Lambda and the SAM template that names it."""

    archive: bytes
    template: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the zip in hex."""
        return hashlib.sha256(self.archive).hexdigest()


def package(stage: str, region: str, folder: Path, project: Path = ROOT) -> Bundle:
    """What `chalice package` makes of `project`, left in `folder` too.

    `.chalice/resources-STAGE.json` is merged where there is one. The zips that Chalice keeps for
    `chalice deploy` become reproducible with it. Raises `AwsError` with Chalice's last line.
    """
    missing = missing_policy(project, stage)
    if missing:
        raise AwsError(missing)
    resources = project / ".chalice" / f"resources-{stage}.json"
    merge = ["--merge-template", str(resources)] if resources.is_file() else []
    chalice(["package", "--stage", stage, *merge, str(folder)], region, project)
    for kept in [*(project / ".chalice" / "deployments").glob("*.zip"), folder / "deployment.zip"]:
        _rewrite(kept)
    template: dict[str, Any] = json.loads((folder / "sam.json").read_text(encoding="utf-8"))
    return Bundle((folder / "deployment.zip").read_bytes(), template)


def chalice(arguments: list[str], region: str, project: Path = ROOT) -> None:
    """Run Chalice's command line. Raises `AwsError` with its reason, in one line, if it fails."""
    command = [str(Path(sys.executable).with_name("chalice")), *arguments]
    ended = subprocess.run(
        command,
        cwd=project,
        env={**os.environ, "AWS_DEFAULT_REGION": region},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        said = ended.stderr.strip() or ended.stdout.strip() or "it says nothing"
        raise AwsError(f"`chalice {' '.join(arguments)}` failed: {_reason(said)}")


def _reason(said: str) -> str:
    """What Chalice says AWS answered, which it wraps over several lines; else its last line."""
    _, found, answer = said.partition("received the following error:")
    if found:
        return " ".join(answer.strip().partition("\n\n")[0].split())
    return said.splitlines()[-1].strip()


def normalise(archive: bytes) -> bytes:
    """The zip with the same files and their bytecode: sorted by name, without times, readable by
    all. Raises `AwsError` where a source does not compile."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        files = {
            name: source.read(name)
            for name in source.namelist()
            if not name.endswith("/") and "__pycache__" not in name
        }
    files |= bytecode.compiled(files)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _BEGINNING)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whatever this machine is: Lambda reads its permissions
            entry.external_attr = 0o100644 << 16
            target.writestr(entry, content)
    return stream.getvalue()


def _rewrite(path: Path) -> None:
    """Replace the zip in one step: somebody else may be reading it."""
    archive = path.read_bytes()
    wanted = normalise(archive)
    if wanted != archive:
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        beside.write_bytes(wanted)
        beside.replace(path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    stages = json.loads((ROOT / ".chalice" / "config.json").read_text(encoding="utf-8"))["stages"]
    # The stage local needs nothing of any account, and Chalice wants some region.
    parser.add_argument("--stage", choices=stages, default="local", help="default: local")
    parser.add_argument("--region", default=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))
    parser.add_argument("--output", type=Path, help="folder for bundle and template")


def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        output = arguments.output or Path(folder)
        print(package(arguments.stage, arguments.region, output.resolve()).digest)


def main(argv: list[str] | None = None) -> int:
    return program.main("bundle", __doc__, add_arguments, run, argv)


if __name__ == "__main__":
    sys.exit(main())
