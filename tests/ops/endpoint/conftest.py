import json
from pathlib import Path
from typing import Any

import pytest

from aws import stages
from tests import tiny_model
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import Command


@pytest.fixture
def serving_role(command: Command, bucket: str, emulator: State) -> None:
    """The role of the endpoint, as `policy` creates it."""
    assert command("ops", "policy", "--role", "serving", "--apply").code == 0


@pytest.fixture
def release(
    command: Command, serving_role: None, image: str, tiny_model_dir: Path, emulator: State
) -> Any:
    """Deploy the tiny model to dev: `release("--rollout", "rolling")`.

    The role and each config are new, so that AWS does not find them at first.
    """
    emulator.lag = 2

    def release(*options: object) -> Any:
        return command(
            "ops", "endpoint", "deploy", "--stage", "dev", "--model", tiny_model_dir, *options
        )

    return release


@pytest.fixture
def other_model(tmp_path: Path) -> Path:
    return tiny_model.write(tmp_path / "other", version="2")


@pytest.fixture
def small_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stage dev accepts images that a serverless endpoint can receive."""
    document = json.loads((stages.folder() / "config.json").read_text())
    document["stages"]["dev"]["environment_variables"]["MAX_IMAGE_BYTES"] = "4000000"
    folder = tmp_path / "project" / ".chalice"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(document))
    monkeypatch.setenv(stages.PROJECT_VARIABLE, str(folder.parent))
