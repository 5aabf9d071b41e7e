"""README.md: its commands run, its tables and figures are those of the code and the model."""

import io
import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from chalicelib.local_environment import MODEL_URL
from chalicelib.problems import Problem
from model_code import artifact, inference, serve
from ops.api.gateway_responses import RESPONSES
from tests.conftest import PHOTOS, ROOT
from tests.servers import answer, free_port, process, wait_for, web_server, whole_product

README = (ROOT / "README.md").read_text(encoding="utf-8")
SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"
BIN = Path(sys.executable).parent


def commands(*starts: str) -> list[str]:
    """The indented commands that start with one of `starts`, in one line each, without comments."""
    without_fences = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    joined = re.sub(r"\\\n\s*", "", without_fences)
    lines = re.findall(r"^    (\S.*)", joined, re.MULTILINE)
    stripped = [re.sub(r"\s+# .*", "", line).strip() for line in lines]
    return [command for command in stripped if command.startswith(starts)]


def test_every_command_is_of_a_kind_that_is_tested() -> None:
    """The tests below run some; tests/test_docs.py checks `make` and `python -m training`."""
    known = ("make ", "MODEL=", "curl ", "python -m training ", ".venv/bin/", "AWS_")
    assert commands("") == commands(*known)


@pytest.fixture(scope="module")
def product() -> Iterator[str]:
    with whole_product() as address:
        yield address


@pytest.mark.server
def test_every_curl_command_names_the_breed(product: str, tmp_path: Path) -> None:
    (tmp_path / "dog.jpg").write_bytes(_jpeg())
    documents = []
    with web_server(answer(200, SAMPLE.read_bytes())) as samples:
        for command in commands("curl "):
            command = command.replace("http://127.0.0.1:8000", product)
            command = re.sub(r"http://127\.0\.0\.1:\d+/dalmatian\.png", f"{samples}/x.png", command)
            curl = subprocess.run(
                command, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True
            )
            documents.append(json.loads(curl.stdout))
    assert len(documents) >= 2
    assert {document["predictions"][0]["breed"] for document in documents} == {"Dalmatian"}
    [block] = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    example = json.loads(block)
    assert example.keys() == documents[0].keys()
    assert example["predictions"][0].keys() == documents[0]["predictions"][0].keys()
    assert example["model"] == documents[0]["model"]


def _jpeg() -> bytes:
    stream = io.BytesIO()
    with Image.open(SAMPLE) as image:
        image.convert("RGB").save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.mark.server
def test_the_two_processes_start_by_hand() -> None:
    port = str(free_port())
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", serve.PORT)) == 0:
            pytest.skip(f"another program uses port {serve.PORT}")
    [model, api] = [
        command.replace(".venv/bin/", f"{BIN}/")
        for command in commands(".venv/bin/")
        if "model_code.local" in command or "chalice local" in command
    ]
    # unlike the tests, a user has no such variables, which would take precedence
    user = {"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": ""}
    with process(["bash", "-c", f"exec {model}"]) as server:
        wait_for(f"{MODEL_URL}/ping", server)
        with process(["bash", "-c", f"exec {api} --port {port}"], **user) as chalice:
            wait_for(f"http://127.0.0.1:{port}/health?deep=true", chalice)


def errors(after: str) -> set[tuple[int, str]]:
    """Status and type of each row of the table that follows the text `after`."""
    table = README.partition(after)[2].partition("\n\n|")[2].partition("\n\n")[0]
    return {(int(status), kind) for status, kind in re.findall(r"\| (\d{3}) \| `([a-z-]+)`", table)}


def test_the_table_of_errors_is_complete() -> None:
    assert errors("## Errors") == {(kind.status, kind.type) for kind in Problem.__subclasses__()}


def test_the_table_of_gateway_errors_is_complete() -> None:
    template = json.loads((ROOT / ".chalice" / "resources-prod.json").read_text(encoding="utf-8"))
    responses = template["Resources"]["RestAPI"]["Properties"]["GatewayResponses"] | RESPONSES
    documents = [
        json.loads(response["ResponseTemplates"]["application/json"])
        for response in responses.values()
    ]
    ours = {kind.type for kind in Problem.__subclasses__()}
    assert errors("API Gateway adds") == {
        (document["status"], document["type"])
        for document in documents
        if document["type"] not in ours
    }


def test_the_accuracy_is_that_of_the_model() -> None:
    metrics = artifact.load(inference.DEFAULT_MODEL_DIR).metrics
    for figure in (metrics["top1"], metrics["top5"]):
        assert f"{figure:.1%}".replace("%", " %") in README
    assert f"On {metrics['photos']} test photos" in README


@pytest.mark.photos
def test_evaluate_reproduces_the_accuracy() -> None:
    if not PHOTOS.is_dir():
        pytest.skip("the photo collection ../shared/photos is not on this machine")
    [command] = commands("python -m training evaluate")
    arguments = shlex.split(command.replace("YOUR_PHOTOS", shlex.quote(str(PHOTOS))))[1:]
    evaluation = subprocess.run(
        [sys.executable, *arguments, "--json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    measured = json.loads(evaluation.stdout)
    metrics = artifact.load(inference.DEFAULT_MODEL_DIR).metrics
    assert measured["photos"] == metrics["photos"]
    for figure in ("top1", "top5"):
        assert measured[figure] == pytest.approx(metrics[figure], abs=0.005)


def test_every_path_of_the_layout_exists() -> None:
    layout = README.partition("## Repository layout")[2]
    paths = re.findall(r"^\| `([\w./-]+)`", layout, re.MULTILINE)
    assert {"app.py", "chalicelib/", "model_code/", "training/"} <= set(paths)
    assert [path for path in paths if not (ROOT / path).exists()] == []
