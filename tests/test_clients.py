"""The snippets of docs/clients.md, run unchanged against the running API."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers import answer, web_server

TEXT = (ROOT / "docs" / "clients.md").read_text()
SNIPPETS = dict(re.findall(r"```([a-z]+)\n(.*?)```", TEXT, re.DOTALL))
HOST = "https://example.com/"


@pytest.fixture
def run(
    api: str, encode: Callable[..., bytes], tmp_path: Path
) -> Iterator[Callable[[list[str], str, str], list[str]]]:
    """`run(command, name, snippet)` writes the snippet to a file, and returns what it prints.

    The folder contains dog.jpg, and the URL of the snippets leads to the same image.
    """
    photo = encode("red", "JPEG")
    (tmp_path / "dog.jpg").write_bytes(photo)

    def handle(request: BaseHTTPRequestHandler) -> None:
        (answer(200, photo) if request.path == "/dog.jpg" else answer(404))(request)

    def run(command: list[str], name: str, snippet: str) -> list[str]:
        (tmp_path / name).write_text(snippet.replace(HOST, f"{host}/"))
        completed = subprocess.run(
            [*command, name],
            cwd=tmp_path,
            env={**os.environ, "WHATBREED": api},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert completed.returncode == 0, completed.stderr
        assert completed.stderr == ""
        return completed.stdout.splitlines()

    with web_server(handle) as host:
        yield run


@pytest.mark.server
def test_curl(run: Callable[..., list[str]]) -> None:
    by_url, by_photo, by_form, batch = map(
        json.loads, "".join(run(["sh"], "ask.sh", SNIPPETS["sh"])).replace("}{", "}\n{").split("\n")
    )
    for document in (by_url, by_photo, by_form):
        assert document["predictions"][0]["breed"] == "Red setter"
        assert len(document["predictions"]) == 3
    first, second = batch["results"]
    assert first["predictions"][0]["breed"] == "Red setter"
    assert second["type"] == "image-unreachable"


@pytest.mark.server
def test_python(run: Callable[..., list[str]]) -> None:
    lines = run([sys.executable, "-W", "error"], "ask.py", SNIPPETS["python"])
    assert lines == [
        " 98.6%  Red setter",
        "  0.7%  Green hound",
        "  0.7%  Blue terrier",
        "Red setter",
        "Red setter",
        "The URL must be absolute, such as https://example.com/dog.jpg.",
        "url-not-allowed",
    ]


@pytest.mark.server
def test_node(run: Callable[..., list[str]]) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on this machine")
    lines = run([node], "ask.mjs", SNIPPETS["js"])
    assert re.fullmatch(r"Red setter 0\.98\d+", lines[0])
    assert lines[1:] == ["[ 'Red setter', 'Green hound', 'Blue terrier' ]", "url-not-allowed"]


@pytest.mark.parametrize("language", ["swift", "kotlin"])
def test_fields_in_snippets_that_are_not_run(language: str) -> None:
    description = (ROOT / "chalicelib" / "openapi.json").read_text()
    snippet = SNIPPETS[language]
    read = r"let (\w+):" if language == "swift" else r'(?:get\w+|optString|put)\("(\w+)"'
    fields = {
        re.sub("[A-Z]", lambda m: f"_{m[0].lower()}", name) for name in re.findall(read, snippet)
    }
    fields.discard("api")
    assert len(fields) >= 6
    assert [name for name in fields if f'"{name}": {{' not in description] == []
