"""Clients generated from `openapi.json`, calling the running API."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import npm_packages
from tests.conftest import ROOT
from tests.servers import answer, web_server

pytestmark = pytest.mark.server

DESCRIPTION = ROOT / "chalicelib" / "openapi.json"
CLIENTS = ROOT / "tests" / "clients"
# The generator only treats this type as bytes.
PYTHON_SETTINGS = {
    "post_hooks": [],
    "content_type_overrides": {
        f"image/{name}": "application/octet-stream"
        for name in ("jpeg", "png", "webp", "avif", "heic", "heif", "gif", "bmp", "tiff", "*")
    },
}
EXPECTED = {
    "url": "Red setter",
    "image": "Red setter",
    "get": "Red setter",
    "problem": "400 invalid-request",
    "batch": ["Red setter", "400 invalid-request"],
    "breeds": 3,
    "health": "ok",
}


@pytest.fixture(scope="module")
def arguments(
    api: str, encode: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[str]]:
    """The address of the API, the URL of a red image, and its file."""
    image = tmp_path_factory.mktemp("image") / "red.png"
    image.write_bytes(encode("red"))
    with web_server(answer(200, image.read_bytes())) as host:
        yield [api, f"{host}/red.png", str(image)]


@pytest.fixture(scope="module")
def node_modules() -> Path:
    return npm_packages.installed()


def output(command: list[str], cwd: Path, **environment: str) -> str:
    completed = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_python(arguments: list[str], tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(PYTHON_SETTINGS))
    generator = str(Path(sys.executable).with_name("openapi-python-client"))
    printed = output(
        [generator, "generate", "--path", str(DESCRIPTION), "--config", str(settings)]
        + ["--meta", "none", "--output-path", str(tmp_path / "whatbreed"), "--fail-on-warning"],
        cwd=tmp_path,
    )
    assert "warning" not in printed.lower()
    program = str(CLIENTS / "generated.py")
    printed = output([sys.executable, program, *arguments], tmp_path, PYTHONPATH=str(tmp_path))
    assert json.loads(printed) == EXPECTED


def test_typescript(arguments: list[str], tmp_path: Path, node_modules: Path) -> None:
    """Compiled with all strict options."""
    (tmp_path / "node_modules").symlink_to(node_modules)
    for source in (node_modules.parent / "tsconfig.json", CLIENTS / "generated.ts"):
        shutil.copy(source, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    tools = node_modules / ".bin"
    output([str(tools / "openapi-typescript"), str(DESCRIPTION), "-o", "schema.ts"], tmp_path)
    output([str(tools / "tsc")], tmp_path)
    printed: dict[str, Any] = json.loads(output(["node", "generated.js", *arguments], tmp_path))
    assert printed == EXPECTED
