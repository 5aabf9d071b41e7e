"""The log gets an exception's type, codes and place, whatever its message is."""

import errno
import ssl

import pytest

from chalicelib import causes

MARKER = "https://dogs.example/?token=secret"


def raised(error: Exception, context: Exception | None = None) -> BaseException:
    try:
        if context is None:
            raise error
        try:
            raise context
        except Exception:
            raise error  # noqa: B904
    except Exception as caught:
        return caught


def test_types_and_codes() -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, MARKER)
    assert causes.cause_of(raised(refused)) == "ConnectionRefusedError ECONNREFUSED"
    assert causes.cause_of(raised(ValueError(MARKER), refused)) == (
        "ValueError < ConnectionRefusedError ECONNREFUSED"
    )
    assert causes.cause_of(OSError(MARKER)) == "OSError"
    assert causes.cause_of(ssl.SSLError(1, MARKER)) == "SSLError"


def test_the_place_is_the_innermost_first() -> None:
    cause = causes.cause_with_location(raised(KeyError(MARKER)))
    assert cause.startswith("KeyError at chalicelib/test_causes.py:")
    assert "secret" not in cause


def test_a_limit_of_characters() -> None:
    class TooDeep(Exception):
        pass

    def fail(depth: int) -> None:
        if depth == 0:
            raise TooDeep
        fail(depth - 1)

    with pytest.raises(TooDeep) as caught:
        fail(100)
    assert len(causes.cause_with_location(caught.value)) == causes.MAX_CHARACTERS


def test_a_circular_chain_ends() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert causes.cause_of(first).startswith("ValueError < KeyError < ValueError")
