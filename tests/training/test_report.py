from pathlib import Path

from tests.training.conftest import Run
from training.__main__ import main


def test_the_page_has_curves_and_mistakes_and_loads_nothing(
    exported: Path, trained_run: Run, tmp_path: Path
) -> None:
    options = ["--model", str(exported), "--data", str(trained_run.photos)]
    output = tmp_path / "report.html"
    options += ["--run", str(trained_run.folder), "--output", str(output)]
    assert main(["report", *options]) == 0
    page = output.read_text()
    assert page.startswith("<!doctype html>")
    assert "Learning curves" in page
    assert "predictions are wrong" in page
    assert "http" not in page.split("<h2>")[0]
    assert page.count("data:image/png") >= 4
