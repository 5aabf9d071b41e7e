"""docs/scaling.md says what `costs` says: every command in it is run and compared.

`UPDATE_DOCS=1 pytest tests/training/costs/test_scaling_doc.py` writes the answers anew, after an
assumption in settings.toml was replaced by a measurement or prices were refreshed.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

from training import __main__ as training

DOC = Path(__file__).resolve().parents[3] / "docs" / "scaling.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def answer(command: str, capsys: pytest.CaptureFixture[str], known: dict[str, list[str]]) -> str:
    """What `command` prints, through the `head` or `grep` behind it."""
    program, _, filtered = command.partition(" | ")
    words = shlex.split(program)
    assert words[:3] == ["python", "-m", "training"]
    if program not in known:
        assert training.main(words[3:]) == 0
        known[program] = capsys.readouterr().out.splitlines()
    name, *options, argument = shlex.split(filtered)
    assert options in ([], ["-E"])
    if name == "head":
        return "\n".join(known[program][: -int(argument)])
    assert name == "grep"
    return "\n".join(line for line in known[program] if re.search(argument, line))


def test_every_figure_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    known = dict[str, list[str]]()

    def run(block: re.Match[str]) -> str:
        commands = [line[2:] for line in block[1].splitlines() if line.startswith("$ ")]
        parts = [f"$ {command}\n{answer(command, capsys, known)}\n" for command in commands]
        return "```console\n" + "".join(parts) + "```"

    written = DOC.read_text(encoding="utf-8")
    computed = BLOCK.sub(run, written)
    if os.environ.get("UPDATE_DOCS"):
        DOC.write_text(computed, encoding="utf-8")
    else:
        assert computed == written
