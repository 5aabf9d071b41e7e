"""Every command in docs/operations.md exists and has the options shown."""

import re
import shlex
from importlib import import_module

import click
import pytest

from ops.__main__ import group as ops
from tests.servers import ROOT
from training.__main__ import group as training

GUIDE = (ROOT / "docs" / "operations.md").read_text()
PROGRAMS = {"ops": ops, "training": training}
LINES = sorted(
    {line.strip() for line in re.findall(r"python -m\s+((?:ops|training)\b[^`|\n#)]*)", GUIDE)}
)


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"(?:^ {4}|`|&& )make ([a-z-]+)", GUIDE, re.MULTILINE))
    assert {"deploy", "rollback", "undeploy"} <= used <= targets


@pytest.mark.parametrize("line", LINES)
def test_every_command_has_the_options_shown(line: str) -> None:
    program, *words = shlex.split(line)
    command: click.Command | None = PROGRAMS[program]
    while isinstance(command, click.Group) and words:
        command = command.get_command(click.Context(command), words.pop(0))
    assert command is not None
    shown = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert shown <= options(command)


def test_make_passes_options_that_exist() -> None:
    commands = [import_module(f"ops.api.{name}").command for name in ("release", "remove")]
    passed = set(re.findall(r"ARGS=\"?(--[a-z-]+)", GUIDE))
    assert {"--dry-run", "--yes"} <= passed <= options(*commands)


def options(*commands: click.Command) -> set[str]:
    return {name for command in commands for option in command.params for name in option.opts}
