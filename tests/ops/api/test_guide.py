"""Every command of docs/operations.md is one that there is, with the options that it has."""

import re

import pytest

from tests.servers import ROOT
from training.__main__ import main as training

GUIDE = (ROOT / "docs" / "operations.md").read_text()
TRAINING = sorted(set(re.findall(r"python -m\s+training ([a-z]+)((?: --[a-z-]+)*)", GUIDE)))


def test_every_target_of_make_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"(?:^ {4}|`|&& )make ([a-z-]+)", GUIDE, re.MULTILINE))
    assert {"deploy", "rollback", "undeploy", "test", "run"} <= used <= targets


@pytest.mark.parametrize(("command", "options"), TRAINING)
def test_every_training_command_is_there(
    command: str, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        training([command, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for option in options.split():
        assert option in told


@pytest.mark.parametrize("program", [release, remove])
def test_a_program_tells_how_it_is_called(
    program: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--help"])  # type: ignore[attr-defined]
    assert ended.value.code == 0
    assert "example:\n  python -m scripts." in capsys.readouterr().out
    for option in re.findall(r"ARGS=(--[a-z-]+)", GUIDE):
        assert option in {"--dry-run", "--smoke-url", "--yes"}
