"""The command runner: lazy imports, help with sections and marks, exit codes."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import click
import pytest

from cli.commands import Entry, Group, command, main
from cli.errors import CommandError, SettingsError
from ops.__main__ import group as ops
from training.__main__ import group as training


class Failure(CommandError):
    exit_code = 7


@command("Do something.\n\nexample:\n  python -m demo fail --how error\n  python -m demo fail")
@click.option("--how", default="")
def fail(how: str) -> None:
    errors: dict[str, BaseException] = {
        "error": Failure("It failed."),
        "settings": SettingsError("wrong"),
        "interrupt": KeyboardInterrupt(),
        "bug": ZeroDivisionError(),
    }
    if how:
        raise errors[how]
    click.echo("done")


inner = Group("inner", {"Commands": {"fail": Entry(__name__, "fail", attribute="fail")}}, "Inner.")
demo = Group(
    "demo",
    {
        "On this machine": {"fail": Entry(__name__, "raise errors", attribute="fail")},
        "In AWS": {
            "missing": Entry("no.such.module", "is never imported", True, True),
            "inner": Entry(__name__, "more commands", reaches_aws=True, attribute="inner"),
        },
    },
    "Demonstrate.",
)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fail"], 0, ""),
        (["fail", "--how", "error"], 7, "demo fail: It failed.\n"),
        (["inner", "fail", "--how", "error"], 7, "demo inner fail: It failed.\n"),
        (["fail", "--how", "settings"], 2, "demo fail: wrong\n"),
        (["fail", "--how", "interrupt"], 130, "interrupted\n"),
        (["fail", "--nothing"], 2, "No such option"),
        (["nothing"], 2, "No such command 'nothing'"),
        ([], 2, ""),
        (["--help"], 0, ""),
        (["fail", "--help"], 0, ""),
    ],
)
def test_exit_codes(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert main(demo, arguments) == code
    err = capsys.readouterr().err
    assert message in err
    assert bool(err) == (bool(message))
    assert "Traceback" not in err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        main(demo, ["fail", "--how", "bug"])


def test_help_has_sections_and_marks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(demo, ["--help"]) == 0
    out = capsys.readouterr().out
    local, _, in_aws = out.partition("In AWS:")
    assert "On this machine:\n" in local
    assert "[aws] [$] is never imported" in in_aws
    assert "[aws] more commands" in in_aws
    assert "[$]" not in local
    assert "[aws] reaches AWS." in out


def test_help_keeps_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(demo, ["fail", "--help"]) == 0
    out = capsys.readouterr().out
    assert "  example:\n    python -m demo fail --how error\n    python -m demo fail\n" in out


@pytest.mark.parametrize("program", ["training", "ops"])
def test_help_imports_no_heavy_package(program: str) -> None:
    heavy = {"torch", "boto3", "numpy", "sagemaker", "PIL", "openvino"}
    code = (
        f"import sys; from {program}.__main__ import main; assert main(['--help']) == 0;"
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert process.stderr == "[]\n"


def leaves(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Entry]]:
    context = click.Context(group)
    assert isinstance(group, Group)
    for name in group.list_commands(context):
        entry = group._entries[name]
        if entry.attribute == "group":
            inner_group = group.get_command(context, name)
            assert isinstance(inner_group, click.Group)
            yield from leaves(inner_group, (*path, name))
        else:
            yield (*path, name), entry


COMMANDS = [
    pytest.param(
        path,
        entry,
        id=" ".join(path),
        marks=[pytest.mark.training] if entry.module.startswith("training.") else [],
    )
    for path, entry in [*leaves(training, ("training",)), *leaves(ops, ("ops",))]
]


@pytest.mark.parametrize(("path", "entry"), COMMANDS)
def test_every_command(
    capsys: pytest.CaptureFixture[str], path: tuple[str, ...], entry: Entry
) -> None:
    group = training if path[0] == "training" else ops
    assert main(group, [*path[1:], "--help"]) == 0
    out = capsys.readouterr().out
    assert f"python -m {' '.join(path)}" in out.partition("example:")[2], "no example"
    if entry.costs:
        assert "--dry-run" in out, "a command that costs needs --dry-run"


@pytest.mark.parametrize(("path", "entry"), COMMANDS)
def test_options_are_unique(path: tuple[str, ...], entry: Entry) -> None:
    group: click.Command = training if path[0] == "training" else ops
    for name in path[1:]:
        assert isinstance(group, click.Group)
        subcommand = group.get_command(click.Context(group), name)
        assert subcommand is not None
        group = subcommand
    options = Counter(option for parameter in group.params for option in parameter.opts)
    assert [option for option, count in options.items() if count > 1] == []
