"""Under which names CloudWatch knows the parts of a stage."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.cloud import stages
from training.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Place:
    """The names of a stage's parts in the dimensions of its metrics."""

    stage: str
    """API Gateway's stage, which is the dimension `stage` of the API's own metrics too."""
    api: str
    function: str
    alias: str
    """What provisioned concurrency is measured under; empty where a stage has none."""
    endpoint: str


def read(name: str) -> Place:
    """The place of stage `name`. Raises `SettingsError` where there is no such stage."""
    stage = stages.read(name)
    config = _json(stages.CONFIG)
    extra = stages.CONFIG.with_name(f"resources-{name}.json")
    resources = _json(extra).get("Resources", {}) if extra.is_file() else {}
    api = resources.get("RestAPI", {}).get("Properties", {})
    function = resources.get("APIHandler", {}).get("Properties", {})
    provisioned = "ProvisionedConcurrencyConfig" in function
    return Place(
        stage=config["stages"][name].get("api_gateway_stage", "api"),
        # Chalice alone names the API after the app, for every stage the same.
        api=api.get("Name", config["app_name"]),
        function=stage.function,
        alias=f"{stage.function}:{function['AutoPublishAlias']}" if provisioned else "",
        endpoint=stage.endpoint,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from None
    return document
