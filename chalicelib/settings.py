"""Settings from environment variables. `.chalice/config.json` sets them for each stage."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple


class SettingsError(Exception):
    """An environment variable is missing, invalid or unknown."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a deployment. Each variable is named after its field, in capitals."""

    endpoint_name: str
    """The SageMaker endpoint to invoke."""
    endpoint_connect_timeout_s: float = 1.0
    endpoint_read_timeout_s: float = 7.0
    endpoint_attempts: int = 2
    """Invocations per request, including retries."""
    endpoint_timeout_s: float = 17.0
    """For all attempts and the pauses between them."""
    fetch_timeout_s: float = 8.0
    """For one image, from DNS resolution to the last byte, including redirects."""
    fetch_connect_timeout_s: float = 3.0
    max_image_bytes: int = 5 * 1024 * 1024
    """SageMaker accepts 6 MB. Lambda accepts uploads of about 4.5 MB, because of base64."""
    fetch_max_redirects: int = 3
    fetch_ports: tuple[int, ...] = (80, 443)
    fetch_allow_loopback: bool = False
    """Fetch from this machine too, from any port. For the local stage and for tests."""
    cors_allow_origin: str = ""
    """The origin whose pages may call the API: `*`, one origin, or empty for none."""
    batch_max_urls: int = 20
    batch_concurrency: int = 8
    """Images of a batch that are processed in parallel. botocore keeps 10 connections."""
    batch_timeout_s: float = 20.0
    """For a whole batch. Images in progress are abandoned at the end of it."""


def load(environment: Mapping[str, str]) -> Settings:
    """Return the settings in `environment`, with defaults for the rest. Raises `SettingsError`."""
    variables = {field.name.upper(): field.name for field in fields(Settings)}
    for name in sorted(environment):
        if name.startswith(_PREFIXES) and name not in variables:
            prefix = name.partition("_")[0]
            known = ", ".join(variable for variable in variables if variable.startswith(prefix))
            raise SettingsError(f"Unknown environment variable {name}. Known: {known}.")
    values: dict[str, Any] = {}
    for variable, name in variables.items():
        text = environment.get(variable, "").strip()
        if text:
            kind = _KINDS[name]
            try:
                values[name] = kind.parse(text)
            except (KeyError, ValueError):
                raise SettingsError(
                    f"{variable}={text!r} is invalid: it must be {kind.expected}."
                ) from None
    if "endpoint_name" not in values:
        raise SettingsError(
            "ENDPOINT_NAME is not set. Set it to the SageMaker endpoint in .chalice/config.json."
        )
    return Settings(**values)


# Variables with these prefixes belong to this program, so that unknown ones are typing errors.
_PREFIXES = ("BATCH_", "CORS_", "ENDPOINT_", "FETCH_", "MAX_IMAGE_")


class _Kind(NamedTuple):
    parse: Callable[[str], object]
    """Raises `ValueError` or `KeyError`."""
    expected: str


def _number(convert: type[int] | type[float], minimum: float, maximum: float) -> _Kind:
    def parse(text: str) -> float:
        value = convert(text)
        if not minimum <= value <= maximum:
            raise ValueError
        return value

    noun = "an integer" if convert is int else "a number"
    return _Kind(parse, f"{noun} from {minimum} to {maximum}")


def _text(pattern: str, expected: str) -> _Kind:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return _Kind(parse, expected)


def _parse_ports(text: str) -> tuple[int, ...]:
    ports = tuple(int(part) for part in text.split(","))
    if not all(1 <= port <= 65535 for port in ports):
        raise ValueError
    return ports


_SECONDS = _number(float, 0.01, 28)  # API Gateway ends a request after 29 s
_KINDS = {
    "endpoint_name": _text("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", "the name of a SageMaker endpoint"),
    "endpoint_connect_timeout_s": _SECONDS,
    "endpoint_read_timeout_s": _SECONDS,
    "endpoint_attempts": _number(int, 1, 5),
    "endpoint_timeout_s": _SECONDS,
    "fetch_timeout_s": _SECONDS,
    "fetch_connect_timeout_s": _SECONDS,
    "max_image_bytes": _number(int, 1, 5 * 1024 * 1024),  # the container's limit
    "fetch_max_redirects": _number(int, 0, 10),
    "fetch_ports": _Kind(_parse_ports, "port numbers, separated by commas"),
    "fetch_allow_loopback": _Kind(
        lambda text: {"true": True, "false": False}[text.lower()], "true or false"
    ),
    "cors_allow_origin": _text(r"\*|https?://[^\s/]+", "* or an origin such as https://dogs.org"),
    "batch_max_urls": _number(int, 1, 20),
    "batch_concurrency": _number(int, 1, 10),
    "batch_timeout_s": _SECONDS,
}
