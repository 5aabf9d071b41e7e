"""Every command that reaches AWS has --dry-run, except those that only read."""

from collections.abc import Iterator

import click

from cli.commands import Group
from ops.__main__ import group as ops
from training.__main__ import group as training

READ_ONLY = {"ops doctor", "ops audit", "ops endpoint describe"}


def commands(group: Group, path: str) -> Iterator[tuple[str, click.Command, bool]]:
    for name, entry in group._entries.items():
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command, entry.reaches_aws or entry.costs


def test_what_changes_or_costs_has_a_dry_run() -> None:
    found = [*commands(ops, "ops"), *commands(training, "training")]
    without = {
        name
        for name, command, reaches_aws in found
        if reaches_aws and not any("--dry-run" in parameter.opts for parameter in command.params)
    }
    assert without == READ_ONLY
