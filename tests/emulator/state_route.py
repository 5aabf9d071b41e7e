"""The state of moto's server, which tests set over HTTP: POST /moto-api/state."""

import hashlib
import json
from typing import Any

from moto.ecr.models import ecr_backends
from moto.moto_api._internal import urls

from tests.emulator.corrected_moto import STATE

DOCKER_V2 = "application/vnd.docker.distribution.manifest.v2+json"


def add() -> None:
    """Add the route. Its body is a JSON object of fields of `State`; {} resets them."""
    urls.url_paths["{0}/moto-api/state"] = _set_state
    STATE.on_build = push_image


def _set_state(request: Any, full_url: str, headers: Any) -> tuple[int, dict[str, str], str]:
    document = json.loads(request.data)
    if not document:
        STATE.reset()
        STATE.on_build = push_image
    for name, value in document.items():
        known = getattr(STATE, name)
        setattr(STATE, name, set(value) if isinstance(known, set) else value)
    return 200, {}, "{}"


def push_image(request: dict[str, Any]) -> None:
    """Push what CodeBuild builds."""
    variables = {each["name"]: each["value"] for each in request["environmentVariablesOverride"]}
    registry, _, name = variables["IMAGE"].partition("/")
    repository, _, tag = name.partition(":")
    account, region = registry.split(".")[0], registry.split(".")[3]
    digest = f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"
    manifest = {"schemaVersion": 2, "mediaType": DOCKER_V2, "layers": [{"digest": digest}]}
    ecr_backends[account][region].put_image(repository, json.dumps(manifest), tag, DOCKER_V2)
