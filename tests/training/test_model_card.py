import json
from pathlib import Path

from tests.training.conftest import BREEDS


def test_the_card_has_the_measured_values(exported: Path) -> None:
    card = (exported / "MODEL_CARD.md").read_text()
    metrics = json.loads((exported / "model.json").read_text())["metrics"]
    assert f"| top-1 accuracy | {metrics['top1']:.4f} |" in card
    for section in ("Calibration", "Confused breeds", "Other animals and things", "Data", "Limits"):
        assert f"## {section}" in card
    assert card.count(" of 3 | 8 |") == len(BREEDS)
    assert "Temperature and threshold were fitted on split valid" in card
