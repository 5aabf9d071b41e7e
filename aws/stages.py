"""A stage of `.chalice/config.json`: the endpoint's name is written there and read here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import SettingsError

CONFIG = Path(__file__).resolve().parents[1] / ".chalice" / "config.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the API: its endpoint, its Lambda function, how many run at once, and whether
    AWS X-Ray traces them."""

    name: str
    endpoint: str
    function: str
    reserved_concurrency: int | None
    traced: bool


def read(name: str) -> Stage:
    """The stage `name`. Raises `SettingsError` where it, or its endpoint's name, is missing."""
    document = config()
    stages = document.get("stages", {})
    if name not in stages:
        raise SettingsError(f"{CONFIG.name} has no stage {name!r}; there are {', '.join(stages)}")
    # A stage's own value goes before one that stands for all stages (Chalice's configfile docs).
    variables = {
        **document.get("environment_variables", {}),
        **stages[name].get("environment_variables", {}),
    }
    if not variables.get("ENDPOINT_NAME"):
        raise SettingsError(f"{CONFIG.name}: stage {name} lacks ENDPOINT_NAME")
    reserved = stages[name].get("reserved_concurrency", document.get("reserved_concurrency"))
    return Stage(
        name=name,
        endpoint=variables["ENDPOINT_NAME"],
        function=f"{document['app_name']}-{name}",
        reserved_concurrency=reserved,
        traced=bool(stages[name].get("xray", document.get("xray", False))),
    )


def names() -> list[str]:
    """Every stage but the local one, which has no endpoint in AWS."""
    return [name for name in config().get("stages", {}) if name != "local"]


def has_stack(name: str) -> bool:
    """Whether CloudFormation keeps the stage `name`, and not Chalice."""
    return _resources_file(name).is_file()


def properties(stage: str, resource: str) -> dict[str, Any]:
    """What the stack of `stage` adds to Chalice's `resource`; nothing where there is no stack."""
    document = _json(_resources_file(stage)) if has_stack(stage) else {}
    resources = document.get("Resources", {})
    return dict(resources.get(resource, {}).get("Properties", {}))


def config() -> dict[str, Any]:
    """The document of all stages. Raises `SettingsError` where it cannot be read."""
    return _json(CONFIG)


def _resources_file(stage: str) -> Path:
    return CONFIG.with_name(f"resources-{stage}.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from None
    return document
