"""The container without Docker: what it serves, what it needs for that, and its size."""

import gzip
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from model_code.artifact import DEFAULT_MODEL_DIR
from ops.endpoint import model_archive
from tests.hostile_images import encode
from tests.ops.endpoint import rehearsal
from tests.ops.endpoint.rehearsal import ROOT

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(rehearsal.obstacle()), reason=rehearsal.obstacle() or "possible"),
]
PACKAGES, LAST = rehearsal.stages(ROOT / "model_code" / "Dockerfile")
SAMPLES = ROOT / "docs" / "samples"
MB = 1_000_000
# python:3.11-slim-bookworm for amd64, from github.com/docker-library/repo-info: on disk
# (repos/python/local, of 2026-09-01) and as sum of its layers (repos/python/remote, of 2026-08-25).
BASE_MB = 130.01
BASE_COMPRESSED_MB = 47.790358
MAX_MB, MAX_COMPRESSED_MB = 330, 120

CLIENT = """
import json, pathlib, sys, time, urllib.error, urllib.request
def call(path, body=None):
    headers = {"Content-Type": "image/png", "Accept": "application/json;map=true"}
    request = urllib.request.Request("http://127.0.0.1:8080" + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
responses = {}
for _ in range(300):
    try:
        responses["ping"] = call("/ping")
        break
    except OSError:
        time.sleep(0.1)
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    responses[file.name] = call("/invocations", file.read_bytes())
print(json.dumps(responses))
"""


def build(until: str = "") -> Path:
    """Return the root of the stage `packages`, or skip the test if PyPI cannot be reached."""
    cache = ROOT / "build" / "rehearsal"
    cache.mkdir(parents=True, exist_ok=True)
    try:
        return rehearsal.build(PACKAGES, cache, until)
    except subprocess.CalledProcessError as error:
        if b"No matching distribution" in error.stderr or b"Connection" in error.stderr:
            pytest.skip("the packages of the image cannot be fetched here")
        raise AssertionError(error.stderr.decode()) from None


def new_container(root: Path, packages: Path, model: Path) -> Path:
    """Create the root of a container of the last stage, with a model as SageMaker mounts it."""
    rehearsal.new_root(root)
    for argument in LAST.all("COPY"):
        rehearsal.copy(packages, root, argument.removeprefix("--from=packages "))
    with tarfile.open(fileobj=io.BytesIO(model_archive.pack(model))) as archive:
        archive.extractall(root / "opt" / "ml" / "model", filter="data")
    return root


def serve(root: Path, images: Path, **environment: str) -> tuple[dict[str, Any], list[str]]:
    """Run the container, post all images, and return the responses and other lines of output."""
    log = root.with_suffix(".log")

    def inside(command: str) -> str:
        return rehearsal.in_container(LAST, root, command, **environment)

    script = "\n".join(
        [
            "set -e",
            rehearsal.mounts(root),
            "ip link set lo up",
            f"{inside(rehearsal.start_command(LAST))} > {shlex.quote(str(log))} 2>&1 &",
            "server=$!",
            f"{sys.executable} -c {shlex.quote(CLIENT)} {shlex.quote(str(images))}",
            f"{inside(rehearsal.health_command(LAST))} && echo healthy",
            f"awk '/^Uid/ {{print $2}}' {shlex.quote(str(root))}/proc/$server/status",
            "kill -TERM $server; wait $server || echo $?",
        ]
    )
    process = subprocess.run(
        ["unshare", "-n", "-m", "-p", "-f", "--kill-child=KILL", "bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr + log.read_text()
    responses, *others = process.stdout.splitlines()
    return json.loads(responses), others


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photo in every format, a wide one, and a broken file."""
    folder = tmp_path_factory.mktemp("images")
    with Image.open(SAMPLES / "dachshund.png") as image:
        photo = image.convert("RGB")
    variants: list[tuple[str, dict[str, Any]]] = [
        ("JPEG", {}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
        ("AVIF", {}),
        ("HEIF", {}),
    ]
    pillow_heif.register_heif_opener(thumbnails=False)
    for number, (format, options) in enumerate(variants):
        (folder / f"{number}-{format}").write_bytes(encode(photo, format, **options))
    wide = Image.new("RGB", (3 * photo.width, photo.height), "grey")
    wide.paste(photo, (2 * photo.width, 0))
    (folder / "second-look").write_bytes(encode(wide, "JPEG"))
    (folder / "broken").write_bytes(b"x")
    return folder


def test_the_container(tmp_path: Path, tiny_model_dir: Path, encode: Callable[..., bytes]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "good").write_bytes(encode((200, 30, 30)))
    (images / "bad").write_bytes(b"x")
    root = new_container(tmp_path / "root", build(), tiny_model_dir)
    responses, (healthy, user, code) = serve(root, images)
    assert responses["ping"][0] == 200
    status, body = responses["good"]
    assert status == 200
    assert json.loads(body)["labels"][0] == "Red_setter"
    assert responses["bad"][0] == 422
    assert healthy == "healthy"
    assert user == "10001"
    assert code == "143"  # uvicorn shuts down, then raises the signal that it received


def test_what_was_removed_is_never_needed(tmp_path: Path, images: Path) -> None:
    """Serve all formats with all files of the packages, and record which of them are opened."""
    everything = new_container(tmp_path / "all", build("pip install"), DEFAULT_MODEL_DIR)
    slim = new_container(tmp_path / "slim", build(), DEFAULT_MODEL_DIR)
    rehearsal.copy(slim, everything, "/opt/program /opt/program")
    [packages] = everything.glob("opt/venv/lib/python3*/site-packages")
    files = [path for path in packages.rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (0, path.stat().st_mtime))  # so that reading updates it, with relatime
    bytecode = everything / "tmp" / "bytecode"
    collect = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": "/tmp/bytecode"}
    expected, _ = serve(everything, images, **collect)
    responses, _ = serve(slim, images, PYTHONVERBOSE="1")

    assert responses == expected
    statuses = {name: status for name, (status, _) in responses.items()}
    assert statuses.pop("broken") == 422
    assert set(statuses.values()) == {200}
    assert json.loads(responses["second-look"][1])["focus"]

    opened = {path for path in files if path.stat().st_atime > 0}
    assert any("cpu_plugin" in path.name for path in opened), "reading is not recorded here"
    removed = {path for path in files if not (slim / path.relative_to(everything)).exists()}
    assert sum(path.stat().st_size for path in removed) > 100 * MB
    needed = sorted(str(path.relative_to(packages)) for path in removed & opened)
    assert needed == []

    compiled = {path.relative_to(bytecode) for path in bytecode.rglob("*.pyc")}
    shipped = slim / "opt" / "bytecode"
    assert compiled
    missing = compiled - {path.relative_to(shipped) for path in shipped.rglob("*.pyc")}
    assert sorted(map(str, missing)) == []
    origins = re.findall(r"# code object from '(.*)'", slim.with_suffix(".log").read_text())
    assert len(origins) > 100
    assert [origin for origin in origins if not origin.startswith("/opt/bytecode/")] == []


def test_the_size() -> None:
    """The base image's published size plus the layer that is copied into it."""
    layer = build() / "opt"
    unpacked = sum(path.lstat().st_size for path in layer.rglob("*") if not path.is_dir())
    packed = io.BytesIO()
    with (
        gzip.open(packed, "wb", compresslevel=6) as stream,  # as Docker compresses layers
        tarfile.open(fileobj=stream, mode="w|") as archive,
    ):
        archive.add(layer, "opt")
    size = BASE_MB + unpacked / MB
    compressed = BASE_COMPRESSED_MB + packed.tell() / MB
    assert size <= MAX_MB
    assert compressed <= MAX_COMPRESSED_MB
    text = (ROOT / "docs" / "sagemaker.md").read_text(encoding="utf-8")
    [documented] = re.findall(r"(\d+) MB unpacked and (\d+) MB compressed", text)
    assert [int(figure) for figure in documented] == pytest.approx([size, compressed], rel=0.02)
