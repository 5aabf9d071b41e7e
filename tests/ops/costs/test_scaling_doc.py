"""Every command in the `console` blocks of README.md and docs/scaling.md prints what they show.

`UPDATE_DOCS=1 pytest tests/ops/costs/test_scaling_doc.py` writes the current output to the pages,
for example after a price or an assumption in [costs] has changed.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

from ops.__main__ import main

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", ROOT / "docs" / "scaling.md"]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def output(command: str, capsys: pytest.CaptureFixture[str], known: dict[str, list[str]]) -> str:
    """The output of `command` through its `head` or `grep`; `known` caches whole outputs."""
    program, _, pipe = command.partition(" | ")
    words = shlex.split(program)
    assert words[:3] == ["python", "-m", "ops"]
    if program not in known:
        assert main(words[3:]) == 0
        known[program] = capsys.readouterr().out.splitlines()
    lines = known[program]
    name, *options, argument = shlex.split(pipe)
    if name == "head":
        return "\n".join(lines[: -int(argument)])
    assert name == "grep"
    if options[:1] == ["-A"]:
        first = next(number for number, line in enumerate(lines) if re.search(argument, line))
        return "\n".join(lines[first : first + 1 + int(options[1])])
    assert options in ([], ["-E"])
    return "\n".join(line for line in lines if re.search(argument, line))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_shows_what_the_commands_print(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = dict[str, list[str]]()

    def run(block: re.Match[str]) -> str:
        commands = [line[2:] for line in block[1].splitlines() if line.startswith("$ ")]
        parts = [f"$ {command}\n{output(command, capsys, known)}\n" for command in commands]
        return "```console\n" + "".join(parts) + "```"

    written = page.read_text(encoding="utf-8")
    computed = BLOCK.sub(run, written)
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(computed, encoding="utf-8")
    else:
        assert computed == written
