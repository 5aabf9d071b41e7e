"""The README promises nothing that is not there: its commands run, its figures are the model's."""

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from model_code import artifact, inference
from tests.conftest import PHOTOS, ROOT
from tests.servers import answer, free_port, process, wait_for, web_server, whole_product

README = (ROOT / "README.md").read_text()
SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"
BIN = Path(sys.executable).parent


def commands() -> list[str]:
    """The commands of the README: its indented lines, continued lines joined, comments cut."""
    without_fences = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    joined = re.sub(r"\\\n\s*", "", without_fences)
    lines = re.findall(r"^    (\S.*)", joined, re.MULTILINE)
    return [re.sub(r"\s+# .*", "", line).strip() for line in lines]


def starting(*words: str) -> list[str]:
    return [command for command in commands() if command.startswith(words)]


def test_every_command_is_of_a_kind_that_is_tested_below() -> None:
    known = ("make ", "PORT=9000 make", "MODEL=", "curl ", "python -m training ")
    known += (".venv/bin/", "AWS_")
    assert [command for command in commands() if not command.startswith(known)] == []


def test_every_make_target_is_there() -> None:
    targets = {
        word
        for command in starting("make ", "PORT=", "MODEL=")
        for word in shlex.split(command)
        if word != "make" and "=" not in word
    }
    assert {"run", "test"} <= targets
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


@pytest.fixture(scope="module")
def product() -> Iterator[str]:
    with whole_product() as address:
        yield address


@pytest.mark.server
def test_every_curl_line_is_answered(product: str, tmp_path: Path) -> None:
    (tmp_path / "dog.jpg").write_bytes(_jpeg())
    asked = starting("curl ")
    assert len(asked) >= 2
    with web_server(answer(200, SAMPLE.read_bytes())) as samples:
        for command in asked:
            here = re.sub(r"http://127\.0\.0\.1:8000", product, command)
            here = re.sub(r"http://127\.0\.0\.1:\d+/dalmatian\.png", f"{samples}/x.png", here)
            ended = subprocess.run(
                here, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True
            )
            document = json.loads(ended.stdout)
            assert document["predictions"][0]["breed"] == "Dalmatian", command
    [shown] = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    assert set(json.loads(shown)) == set(document)
    assert json.loads(shown)["predictions"][0].keys() == document["predictions"][0].keys()


def _jpeg() -> bytes:
    stream = io.BytesIO()
    with Image.open(SAMPLE) as image:
        image.convert("RGB").save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.mark.server
def test_the_two_processes_by_hand() -> None:
    port, model_port = str(free_port()), str(free_port())
    [model, api] = [
        command.replace(".venv/bin/", f"{BIN}/").replace("8080", model_port)
        for command in starting(".venv/bin/", "AWS_")
        if "model_code.local" in command or "chalice local" in command
    ]
    with process(["bash", "-c", f"exec {model}"]) as server:
        wait_for(f"http://127.0.0.1:{model_port}/ping", server)
        with process(["bash", "-c", f"{api} --port {port}"]) as chalice:
            wait_for(f"http://127.0.0.1:{port}/health?deep=true", chalice)


def test_every_training_command_is_there() -> None:
    for command in starting("python -m training "):
        name, options = command.split()[3], re.findall(r"--[a-z-]+", command)
        ended = subprocess.run(
            [sys.executable, "-m", "training", name, "--help"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        assert [option for option in options if option not in ended.stdout] == [], command


def test_the_figures_are_those_of_the_model() -> None:
    metrics = artifact.load(inference.DEFAULT_MODEL_DIR).metrics
    for figure in (metrics["top1"], metrics["top5"]):
        assert f"{figure:.1%}".replace("%", " %") in README
    assert f"On {metrics['photos']} photos" in README


@pytest.mark.photos
def test_the_command_beside_the_figures_gives_them() -> None:
    if not PHOTOS.is_dir():
        pytest.skip("the photo collection ../shared/photos is not on this machine")
    [command] = starting("python -m training evaluate")
    ended = subprocess.run(
        [sys.executable, *shlex.split(command)[1:], "--json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found, metrics = json.loads(ended.stdout), artifact.load(inference.DEFAULT_MODEL_DIR).metrics
    assert found["photos"] == metrics["photos"]
    for figure in ("top1", "top5"):
        assert found[figure] == pytest.approx(metrics[figure], abs=0.005)


def test_every_path_of_the_map_and_every_link_is_there() -> None:
    paths = re.findall(r"^\| `([\w./-]+)`", README, re.MULTILINE)
    paths += re.findall(r"\]\((?!https?:)([\w./-]+)\)", README)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
