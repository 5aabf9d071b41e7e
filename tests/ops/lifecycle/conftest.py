"""Fixtures of the walk: the emulator's server, and the people who may be in the account."""

from tests.ops.api.conftest import (  # noqa: F401
    access_log,
    client,
    environment,
    project,
    server,
)
