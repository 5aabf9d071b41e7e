"""Write docs/settings.md from the settings classes.

python -m tests.settings_page
"""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from cli.settings import STAGE_TABLES, TABLES, Section

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "settings.md"
INTRODUCTION = """# Settings

Put these keys into `settings.toml`, or into a file passed with `--settings`, which overrides it.
Most are also options, which override both: `max_instances` is `--max-instances`. `--help` lists the
options of a command.

The tables {stage_tables} can be set for one stage, as in `[stage.prod.{example}]`. An
unknown key or a value outside the limits is an error.

`make docs` generates this page from the code.
"""
TYPES: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "true or false"}
LIMITS = {
    annotated_types.Ge: "≥ {0.ge}",
    annotated_types.Gt: "> {0.gt}",
    annotated_types.Le: "≤ {0.le}",
    annotated_types.Lt: "< {0.lt}",
    annotated_types.MinLen: "not empty",
}


def render() -> str:
    """Return the page in Markdown."""
    sections = sorted(_sections(), key=lambda section: TABLES.index(section.TABLE))
    stage_tables = " and ".join(f"`[{name}]`" for name in STAGE_TABLES)
    introduction = INTRODUCTION.format(stage_tables=stage_tables, example=STAGE_TABLES[-1])
    return "\n".join([introduction, *map(_table, sections)])


def _sections() -> list[type[Section]]:
    """Find the subclasses of Section in the modules named `settings`."""
    for package in ("aws", "training", "ops"):
        path = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(path, f"{package}."):
            if module.name.endswith(".settings"):
                importlib.import_module(module.name)
    return [
        section for section in Section.__subclasses__() if section.__module__.endswith(".settings")
    ]


def _table(section: type[Section]) -> str:
    title, _, subject = (section.__doc__ or "").splitlines()[0].partition(": ")
    assert title == f"The table [{section.TABLE}]", section
    rows = [_row(name, field) for name, field in section.model_fields.items()]
    heading = [f"## [{section.TABLE}]", "", subject[0].upper() + subject[1:], ""]
    return "\n".join(
        [*heading, "| Key | Type | Default | Description |", "|---|---|---|---|", *rows, ""]
    )


def _row(name: str, field: FieldInfo) -> str:
    default = to_jsonable_python(field.get_default(call_default_factory=True))
    described = " ".join((field.description or "").split())
    cells = [f"`{name}`", ", ".join(_types(field)), f"`{_shown(default)}`", described]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _types(field: FieldInfo) -> Iterator[str]:
    """Name the type and the limits of a field: `integer`, `≥ 1`."""
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        yield " or ".join(f"`{value}`" for value in get_args(annotation))
    else:
        yield TYPES.get(annotation) or ("list" if get_origin(annotation) is list else "table")
    for limit in field.metadata:
        if type(limit) in LIMITS:
            yield LIMITS[type(limit)].format(limit)


def _shown(default: Any) -> str:
    text = json.dumps(default)
    return text if len(text) <= 80 else "…"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
