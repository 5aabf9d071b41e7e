"""docs/walkthrough.ipynb runs from top to bottom, and what is kept in it is fit to be read."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import drawn_dogs
from tests.conftest import ROOT
from tests.walkthrough import NOTEBOOK

NOT_OURS = (".git", ".venv*", "build", "node_modules", "runs", "__pycache__", ".*_cache")


class Notebook:
    """The cells of a notebook by their ids, and what they said."""

    def __init__(self, path: Path) -> None:
        cells = json.loads(path.read_text())["cells"]
        self.code = [cell for cell in cells if cell["cell_type"] == "code"]
        self.sources = {cell["id"]: "".join(cell["source"]) for cell in cells}

    def said(self, name: str) -> str:
        """What cell `name` printed and displayed as text, pictures left out."""
        [cell] = [cell for cell in self.code if cell["id"] == name]
        return "".join(map(_text, cell["outputs"]))


def _text(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    return "".join(output.get("text") or data.get("text/markdown") or data.get("text/plain") or "")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    """The notebook after `make walkthrough`, in a copy of the project that holds nothing else."""
    folder = tmp_path_factory.mktemp("walkthrough")
    project, home = folder / "project", folder / "home"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(*NOT_OURS))
    ran = subprocess.run(
        [sys.executable, "-m", "tests.walkthrough"],
        cwd=project,
        env={**os.environ, "HOME": str(home), "IPYTHONDIR": str(home / "ipython")},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return Notebook(project / "docs" / NOTEBOOK.name)


@pytest.mark.server
def test_photos_are_looked_at(executed: Notebook) -> None:
    said = executed.said("data")
    assert "broken.jpg" in said
    assert "copy.jpg is a copy of" in said
    assert "80 train, 40 valid, 40 test; 5 breeds" in said


@pytest.mark.server
def test_several_processes_end_where_one_does(executed: Notebook) -> None:
    table = re.findall(
        r"\| (\d) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+)% \| ([\d.]+)%", executed.said("compare")
    )
    assert len(table) == 3
    for _, one, two, *accuracies in table:
        assert float(one) == pytest.approx(float(two), abs=0.02)
        # Of 40 photos, two may fall to the other side of a boundary.
        assert float(accuracies[0]) == pytest.approx(float(accuracies[1]), abs=5)
    assert "photos an epoch: 40 and 40, in both: 0" in executed.said("compare")


@pytest.mark.server
def test_the_model_has_learnt(executed: Notebook) -> None:
    [top1] = re.findall(r"top1 +([\d.]+)", executed.said("export"))
    assert float(top1) >= 0.7  # a fifth would be chance


@pytest.mark.server
def test_what_was_deployed_names_the_breed(executed: Notebook) -> None:
    assert "serves this already" in executed.said("deploy")
    found = json.loads(executed.said("ask"))
    assert found["predictions"][0]["breed"] == "Dalmatian"
    assert len(found["logits"]) == len(drawn_dogs.COATS)


@pytest.mark.server
def test_a_target_misread_by_sixty_is_refused(executed: Notebook) -> None:
    assert "refused, exit code 2" in executed.said("scale")
    assert "40, as in write-ups" in executed.said("costs")
    assert "holds AmazonSageMakerFullAccess" in executed.said("audit")


@pytest.mark.server
def test_nothing_is_left(executed: Notebook) -> None:
    assert "nothing of whatbreed-dev is left" in executed.said("teardown")
    counts = re.findall(r": (\d+)$", executed.said("nothing-left"), re.MULTILINE)
    assert counts == ["0"] * 5


def test_what_is_kept_is_of_one_run_without_errors() -> None:
    code = Notebook(NOTEBOOK).code
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert NOTEBOOK.stat().st_size < 400_000


def test_what_is_kept_tells_nothing_of_the_machine_it_ran_on() -> None:
    notebook = Notebook(NOTEBOOK)
    said = "\n".join(notebook.said(cell["id"]) for cell in notebook.code)
    assert re.findall(r"(?<![\w.:/])/(?:home|root|tmp|usr|opt|work|Users|var)/\S*", said) == []
    assert os.uname().nodename not in said or len(os.uname().nodename) < 4
    assert "Warning" not in said


def test_every_link_is_there() -> None:
    text = "\n".join(Notebook(NOTEBOOK).sources.values())
    for link in re.findall(r"\]\((?!https?:)([\w./-]+)\)", text):
        assert (NOTEBOOK.parent / link).is_file(), link
    for path in re.findall(r"`((?:tests|training|benchmarks|model_code)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path
