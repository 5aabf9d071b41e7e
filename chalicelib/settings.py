"""The environment, read once into one frozen object. `.chalice/config.json` sets it per stage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any


class SettingsError(Exception):
    """An environment variable is missing or wrong: the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a deployment may decide. The name of each variable is the field's in capitals."""

    endpoint_name: str
    """The SageMaker endpoint to invoke."""
    endpoint_connect_timeout_s: float = 1.0
    endpoint_read_timeout_s: float = 7.0
    endpoint_attempts: int = 2
    """How often an invocation is tried in all."""
    endpoint_timeout_s: float = 17.0
    """For all attempts together, the pauses between them and the last byte included."""
    fetch_timeout_s: float = 8.0
    """For one picture, from the look-up of its host to its last byte, redirects included."""
    fetch_connect_timeout_s: float = 3.0
    max_image_bytes: int = 5 * 1024 * 1024
    """SageMaker takes 6 MB; Lambda, which gets uploads in base64, about 4.5."""
    fetch_max_redirects: int = 3
    fetch_ports: tuple[int, ...] = (80, 443)
    fetch_allow_loopback: bool = False
    """Fetch from this machine too, from any of its ports: for the local stage and for tests."""
    cors_allow_origin: str = ""
    """The origin whose pages may call the API: `*`, one origin, or empty for none."""
    batch_max_urls: int = 20
    batch_concurrency: int = 8
    """How many pictures of a batch are under way at once. botocore keeps 10 connections."""
    batch_timeout_s: float = 20.0
    """For a whole batch. What is under way then may go on for one picture's time, unread."""


def load(environment: Mapping[str, str]) -> Settings:
    """The settings that `environment` holds; what it does not hold has the default.

    Raises `SettingsError`.
    """
    values: dict[str, Any] = {}
    for field in fields(Settings):
        variable = field.name.upper()
        text = environment.get(variable, "").strip()
        if text:
            try:
                values[field.name] = _PARSERS[field.name](text)
            except ValueError as error:
                raise SettingsError(f"{variable}={text!r} is wrong: {error}") from None
    if "endpoint_name" not in values:
        raise SettingsError(
            "ENDPOINT_NAME is not set: name the SageMaker endpoint in .chalice/config.json"
        )
    return Settings(**values)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 28:
        raise ValueError("give seconds above 0 and at most 28: API Gateway ends a request at 29")
    return value


def _between(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError(f"give a whole number from {least} to {most}")
        return value

    return parse


def _ports(text: str) -> tuple[int, ...]:
    port = _between(1, 65535)
    return tuple(port(part) for part in text.split(","))


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("give true or false")
    return text.lower() == "true"


_PARSERS: dict[str, Callable[[str], object]] = {
    "endpoint_name": str,
    "endpoint_connect_timeout_s": _seconds,
    "endpoint_read_timeout_s": _seconds,
    "endpoint_attempts": _between(1, 5),
    "endpoint_timeout_s": _seconds,
    "fetch_timeout_s": _seconds,
    "fetch_connect_timeout_s": _seconds,
    "max_image_bytes": _between(1, 6_291_456),
    "fetch_max_redirects": _between(0, 10),
    "fetch_ports": _ports,
    "fetch_allow_loopback": _flag,
    "cors_allow_origin": str,
    "batch_max_urls": _between(1, 20),
    "batch_concurrency": _between(1, 10),
    "batch_timeout_s": _seconds,
}
