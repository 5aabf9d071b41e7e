"""Every command in docs/scaling.md prints what the page shows.

`UPDATE_DOCS=1 pytest tests/ops/costs/test_scaling_doc.py` writes the current output to the page,
for example after a price or an assumption in [costs] has changed.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

from ops.__main__ import main

DOC = Path(__file__).resolve().parents[3] / "docs" / "scaling.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def output(command: str, capsys: pytest.CaptureFixture[str], known: dict[str, list[str]]) -> str:
    """The output of `command` through its `head` or `grep`; `known` caches whole outputs."""
    program, _, pipe = command.partition(" | ")
    words = shlex.split(program)
    assert words[:3] == ["python", "-m", "ops"]
    if program not in known:
        assert main(words[3:]) == 0
        known[program] = capsys.readouterr().out.splitlines()
    name, *options, argument = shlex.split(pipe)
    assert options in ([], ["-E"])
    if name == "head":
        return "\n".join(known[program][: -int(argument)])
    assert name == "grep"
    return "\n".join(line for line in known[program] if re.search(argument, line))


def test_the_page_shows_what_the_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    known = dict[str, list[str]]()

    def run(block: re.Match[str]) -> str:
        commands = [line[2:] for line in block[1].splitlines() if line.startswith("$ ")]
        parts = [f"$ {command}\n{output(command, capsys, known)}\n" for command in commands]
        return "```console\n" + "".join(parts) + "```"

    written = DOC.read_text(encoding="utf-8")
    computed = BLOCK.sub(run, written)
    if os.environ.get("UPDATE_DOCS"):
        DOC.write_text(computed, encoding="utf-8")
    else:
        assert computed == written
