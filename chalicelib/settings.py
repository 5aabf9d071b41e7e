"""Settings from environment variables. `.chalice/config.json` sets them for each stage."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, NamedTuple


class SettingsError(Exception):
    """An environment variable is missing, invalid or unknown."""


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


_NAME = _text("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", "the name of a SageMaker endpoint")
_SECONDS = _number(float, 0.01, 28)  # API Gateway ends a request after 29 s
_PORTS = _Kind(_parse_ports, "port numbers, separated by commas")
_FLAG = _Kind(lambda text: {"true": True, "false": False}[text.lower()], "true or false")
# Part of a comment in a header, which ends at a parenthesis
_CONTACT = _text(r"[!-'*-\[\]-~]{1,200}", "an e-mail address or a URL")
_ORIGIN = _text(r"\*|https?://[^\s/]+", "* or an origin such as https://dogs.example")


def _setting(kind: _Kind, default: object = MISSING) -> Any:
    return field(default=default, metadata={"kind": kind})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a deployment. Each variable is named after its field, in capitals."""

    endpoint_name: str = _setting(_NAME)
    """The SageMaker endpoint to invoke."""
    endpoint_connect_timeout_s: float = _setting(_SECONDS, 1.0)
    endpoint_read_timeout_s: float = _setting(_SECONDS, 7.0)
    endpoint_attempts: int = _setting(_number(int, 1, 5), 2)
    """Invocations per request, including retries."""
    endpoint_timeout_s: float = _setting(_SECONDS, 17.0)
    """For all attempts and the pauses between them."""
    fetch_timeout_s: float = _setting(_SECONDS, 8.0)
    """For one image, from DNS resolution to the last byte, including redirects."""
    fetch_connect_timeout_s: float = _setting(_SECONDS, 3.0)
    max_image_bytes: int = _setting(_number(int, 1, 5 * 1024 * 1024), 5 * 1024 * 1024)
    """At most the container's limit. Lambda accepts uploads of about 4.5 MB, because of base64."""
    fetch_max_redirects: int = _setting(_number(int, 0, 20), 10)
    fetch_ports: tuple[int, ...] = _setting(_PORTS, (80, 443))
    fetch_allow_loopback: bool = _setting(_FLAG, False)
    """Fetch from this machine too, from any port. For the local stage and for tests."""
    fetch_contact: str = _setting(_CONTACT, "")
    """In the User-Agent of fetches, so that image hosts can reach the operator."""
    cors_allow_origin: str = _setting(_ORIGIN, "")
    """The origin whose pages may call the API: `*`, one origin, or empty for none."""
    batch_max_urls: int = _setting(_number(int, 1, 20), 20)
    batch_concurrency: int = _setting(_number(int, 1, 10), 8)
    """Images of a batch that are processed in parallel. botocore keeps 10 connections."""
    batch_timeout_s: float = _setting(_SECONDS, 20.0)
    """For a whole batch. Images in progress are abandoned at the end of it."""


# Variables with these prefixes belong to this program, so that unknown ones are typing errors.
_PREFIXES = ("BATCH_", "CORS_", "ENDPOINT_", "FETCH_", "MAX_IMAGE_")


def load(environment: Mapping[str, str]) -> Settings:
    """Return the settings in `environment`, with defaults for the rest. Raises `SettingsError`."""
    settings = {field.name.upper(): field for field in fields(Settings)}
    for variable in sorted(environment):
        if variable.startswith(_PREFIXES) and variable not in settings:
            prefix = variable.partition("_")[0]
            known = ", ".join(name for name in settings if name.startswith(prefix))
            raise SettingsError(f"Unknown environment variable {variable}. Known: {known}.")
    values: dict[str, Any] = {}
    for variable, setting in settings.items():
        if text := environment.get(variable, "").strip():
            kind = setting.metadata["kind"]
            try:
                values[setting.name] = kind.parse(text)
            except (KeyError, ValueError):
                message = f"{variable}={text!r} is invalid: it must be {kind.expected}."
                raise SettingsError(message) from None
    if "endpoint_name" not in values:
        raise SettingsError(
            "ENDPOINT_NAME is not set. Set it to the SageMaker endpoint in .chalice/config.json."
        )
    return Settings(**values)
