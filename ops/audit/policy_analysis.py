"""Analyse what an IAM policy document allows."""

from collections.abc import Iterator, Mapping
from typing import Any

from aws.policy_statements import UNSCOPED

Grant = tuple[str, str]
"""An action and a resource."""


def grants(document: Mapping[str, Any]) -> Iterator[Grant]:
    """Yield every action and resource that a document allows.

    A statement with NotAction counts as the action `*`.
    """
    statements = document.get("Statement", [])
    for statement in [statements] if isinstance(statements, dict) else statements:
        if statement.get("Effect") == "Allow":
            for action in as_list(statement.get("Action", "*")):
                for resource in as_list(statement.get("Resource", "*")):
                    yield action, resource


def wildcards(document: Mapping[str, Any]) -> Iterator[Grant]:
    """Yield the grants of wildcard actions, and of `*` as a resource.

    `*` is allowed for actions that IAM cannot scope to a resource, and so is a wildcard within an
    ARN: the objects of a bucket, the streams of a log group.
    """
    for action, resource in grants(document):
        if "*" in action or (resource == "*" and action not in UNSCOPED):
            yield action, resource


def summarize(excess: list[Grant]) -> str:
    """Return the first three grants as text, and the number of the others."""
    text = ", ".join(f"{action} on {resource}" for action, resource in excess[:3])
    return f"{text} and {len(excess) - 3} more" if len(excess) > 3 else text


def as_list(value: Any) -> list[str]:
    """Return a list: IAM writes a single value as a string."""
    return [value] if isinstance(value, str) else list(value)
