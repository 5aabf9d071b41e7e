"""Click groups whose commands are imported only when they run, and one place for their errors."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from cli.errors import CommandError


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a group's `--help`, and where its command is.

    `module` defines a click command named `command`, or `attribute` if that is given. `reaches_aws`
    and `costs` become the marks `aws` and `$` in the list.
    """

    module: str
    summary: str
    reaches_aws: bool = False
    costs: bool = False
    attribute: str = "command"


class Group(click.Group):
    """A group with titled sections of commands: `sections` maps a title to entries by name."""

    def __init__(self, name: str, sections: Mapping[str, Mapping[str, Entry]], help: str) -> None:
        super().__init__(name, help=_keep_example(help))
        self._sections = sections
        self._entries = {
            name: entry for entries in sections.values() for name, entry in entries.items()
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(import_module(entry.module), entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self._entries))
        for title, entries in self._sections.items():
            rows = []
            for name, entry in entries.items():
                marks = "[aws] " * entry.reaches_aws + "[$] " * entry.costs
                rows.append((name.ljust(width), marks + entry.summary))
            with formatter.section(title):
                formatter.write_dl(rows)
        if any(entry.reaches_aws for entry in self._entries.values()):
            formatter.write_paragraph()
            formatter.write_text("[aws] reaches AWS. [$] can cost money; --dry-run shows what.")


class Command(click.Command):
    """A command whose `example:` block and option groups keep their shape in `--help`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                # cli.settings names its parameters TABLE__KEY.
                table = (parameter.name or "").rpartition("__")[0]
                title = f"Settings of [{table}]" if table else "Options"
                groups.setdefault(title, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CommandError as error:
            name = ctx.command_path.removeprefix("python -m ")
            print(f"{name}: {error}", file=sys.stderr)
            ctx.exit(error.exit_code)


def command(help: str | None) -> Callable[[Callable[..., None]], Command]:
    """Turn a function into a command whose `--help` is `help`, usually the module's docstring.

    The text from a line `example:` to the end of its paragraph is printed as it is.
    """
    return click.command(cls=Command, help=_keep_example(help or ""))


dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would happen and change nothing."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def main(group: click.Group, arguments: Sequence[str] | None = None) -> int:
    """Run `python -m GROUP …` and return its exit code: 0 only if the command did its work."""
    try:
        code = group.main(arguments, prog_name=f"python -m {group.name}", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        print(f"{group.name}: interrupted", file=sys.stderr)
        return 130
    return code or 0


def _keep_example(text: str) -> str:
    r"""Put click's `\b` before the example, which stops click from rewrapping it."""
    return inspect.cleandoc(text).replace("\n\nexample:\n", "\n\n\b\nexample:\n")
