"""The pages: their commands, options, make targets, links, files and tests exist."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ops.__main__ import group as ops
from tests.conftest import ROOT
from training.__main__ import group as training

GROUPS = {"training": training, "ops": ops}
NOTEBOOKS = [ROOT / "docs" / name for name in ("walkthrough.ipynb", "walkthrough-aws.ipynb")]
MARKDOWN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = (
    ".chalice", ".github", "aws", "benchmarks", "chalicelib", "cli", "docs", "model_code", "ops",
    "tests", "training",
)  # fmt: skip
GENERATED = {"policy-dev.json", "policy-prod.json"}
"""Files that commands write into these folders."""


def text(page: Path) -> str:
    """The page without line continuations. A notebook is its cells, without their output."""
    content = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        content = "\n\n".join(
            "".join(cell["source"])
            if cell["cell_type"] == "markdown"
            else "\n".join(["```", "".join(cell["source"]), "```"])
            for cell in json.loads(content)["cells"]
        )
    return re.sub(r"\\\n\s*", "", content)


PAGES = {str(page.relative_to(ROOT)): text(page) for page in [*MARKDOWN, *NOTEBOOKS]}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def code(content: str) -> Iterator[str]:
    """The lines of code blocks and the inline code of a page."""
    for language, block in BLOCK.findall(content):
        if language != "mermaid":
            yield from block.splitlines()
    prose = BLOCK.sub("", content)
    yield from re.findall(r"^ {4,}(\S.*)", prose, re.MULTILINE)
    for inline in re.findall(r"`([^`]+)`", prose):
        yield " ".join(inline.split())


def commands(content: str) -> set[str]:
    """The command lines of our two programs in `content`: `training train --data photos`."""
    return {
        command.strip()
        for line in code(content)
        for command in re.findall(r"python -m ((?:training|ops)\b[^`|#;>&)]*)", line)
    }


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The click command that `words` start with, and the remaining words."""
    current: click.Command = GROUPS[words[0]]
    words = words[1:]
    while isinstance(current, click.Group) and words and re.match(r"[a-z]", words[0]):
        command = current.get_command(click.Context(current), words[0])
        assert command is not None, f"there is no command {words[0]}"
        current, words = command, words[1:]
    return current, words


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists_with_its_options(page: str) -> None:
    for line in commands(PAGES[page]):
        command, words = resolve(shlex.split(line))
        options = {
            name: parameter
            for parameter in command.params
            if isinstance(parameter, click.Option)
            for name in (*parameter.opts, *parameter.secondary_opts)
        }
        for position, word in enumerate(words):
            if not word.startswith("--") or word == "--help":
                continue
            name, _, value = word.partition("=")
            assert name in options, f"{line}: no option {name}"
            kind = options[name].type
            following = value or (words[position + 1] if position + 1 < len(words) else "")
            if isinstance(kind, click.Choice) and re.match(r"[a-z]", following):
                assert following in kind.choices, line


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    used = {
        target
        for line in code(PAGES[page])
        for target in re.findall(r"(?:^|&& |[A-Z]=\S+ )make ([a-z-]+)", line)
    }
    assert used <= targets


def test_every_option_passed_through_make_exists() -> None:
    programs = {
        "deploy": ["ops", "api", "release"],
        "rollback": ["ops", "api", "release"],
        "undeploy": ["ops", "api", "remove"],
        "doctor": ["ops", "doctor"],
        "up": ["ops", "up"],
        "down": ["ops", "down"],
    }
    for content in PAGES.values():
        for target, arguments in re.findall(r"make (\w+) STAGE=\w+ ARGS=\"?([^\s`\"]+)", content):
            command, _ = resolve(programs[target])
            names = {name for parameter in command.params for name in parameter.opts}
            assert arguments.partition("=")[0] in names, f"make {target}: no option {arguments}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub derives from the headings of `page`."""
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", PAGES[page]):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{link}: no such file"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


@pytest.fixture(scope="module")
def file_names() -> set[str]:
    return {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*")}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_exists(page: str, file_names: set[str]) -> None:
    """A name such as `urls.py` in any folder, a path such as `model_code/serve.py` in its own."""
    for name in re.findall(r"`([\w.-]+\.(?:py|html|md|ipynb|sh))`", PAGES[page]):
        assert name in file_names or (ROOT / name).exists(), name
    for name in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", PAGES[page]):
        assert (ROOT / name).exists() or Path(name).name in GENERATED, name


@pytest.mark.parametrize("page", PAGES)
def test_every_test_exists(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGES[page]))
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    defined = {name for source in sources for name in re.findall(r"def (test_\w+)", source)}
    assert named <= defined
