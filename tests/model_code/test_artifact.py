from pathlib import Path
from typing import Any

import pytest

from model_code import artifact
from model_code.errors import BrokenArtifact
from tests import tiny_model


def test_a_valid_folder(tmp_path: Path) -> None:
    loaded = artifact.load(tiny_model.write(tmp_path, metrics={"top1": 0.9}))
    assert loaded.labels == tuple(tiny_model.LABELS)
    assert loaded.display_names[0] == "Red setter"
    assert loaded.input.size_px == tiny_model.SIZE_PX
    assert (loaded.temperature, loaded.dog_threshold) == (2.0, 0.25)
    assert loaded.describe()["metrics"] == {"top1": 0.9}
    assert loaded.describe()["model"] == loaded.identity()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"format": 2}, "format is 2"),
        ({"labels": []}, "labels"),
        ({"labels": ["A", "A", "B"]}, "distinct"),
        ({"labels": ["A", "B", 3]}, "labels contains 3"),
        ({"display_names": ["A"]}, "1 display_names for 3 labels"),
        ({"name": ""}, "name"),
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"dog_threshold": 1.1}, "dog_threshold"),
        ({"input": {"size": 0, "mean": [0, 0, 0], "std": [1, 1, 1], "crop": 1}}, "input.size"),
        ({"input": {"size": 32, "mean": [0, 0, 0], "std": [1, 1, 1], "crop": 0}}, "input.crop"),
        ({"input": {"size": 32, "mean": [0, 0], "std": [1, 1, 1], "crop": 1}}, "unpack"),
        ({"input": {}}, "has no 'size'"),
        ({"sha256": {}}, "has no 'model.xml'"),
        ({"sha256": {"model.xml": "0" * 64, "model.bin": "0" * 64}}, "model.xml is damaged"),
    ],
)
def test_invalid_descriptions(tmp_path: Path, changes: dict[str, Any], error: str) -> None:
    with pytest.raises(BrokenArtifact, match=error):
        artifact.load(tiny_model.write(tmp_path, **changes))


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(BrokenArtifact, match=r"model\.json is missing"):
        artifact.load(tmp_path)
    tiny_model.write(tmp_path)
    weights = (tmp_path / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(weights[:-1])
    with pytest.raises(BrokenArtifact, match=r"model\.bin is damaged"):
        artifact.load(tmp_path)
    (tmp_path / "model.bin").unlink()
    with pytest.raises(BrokenArtifact, match=r"model\.bin cannot be read"):
        artifact.load(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(BrokenArtifact, match=r"model\.json is not valid JSON"):
        artifact.load(tmp_path)
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(BrokenArtifact, match="not a JSON object"):
        artifact.load(tmp_path)
