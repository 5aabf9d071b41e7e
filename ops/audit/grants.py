"""What an IAM policy document allows beyond what it names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aws.policy_statements import UNSCOPED


@dataclass(frozen=True, slots=True)
class Wildcard:
    """An action or resource of a statement that stands for more than itself."""

    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


def statements(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The statements that allow; a document may hold one that is not in a list."""
    found = document.get("Statement", [])
    for statement in [found] if isinstance(found, dict) else found:
        if statement.get("Effect") == "Allow":
            yield statement


def wildcards(document: Mapping[str, Any]) -> Iterator[Wildcard]:
    """Wildcard actions, and `*` as the resource of an action that knows resources.

    An action for which IAM has no resource may have `*`; a wildcard within an ARN, a bucket's
    content or a log group's streams, is a name.
    """
    for statement in statements(document):
        resources = as_list(statement.get("Resource", "*"))
        actions = as_list(statement.get("Action", [])) or ["everything but NotAction"]
        for action in actions:
            for resource in resources:
                too_wide = resource == "*" and action not in UNSCOPED
                if "*" in action or too_wide or action.startswith("everything"):
                    yield Wildcard(action, resource)


def allowed(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every pair of an action and a resource that a document allows."""
    for statement in statements(document):
        for action in as_list(statement.get("Action", [])):
            for resource in as_list(statement.get("Resource", "*")):
                yield action, resource


def as_list(value: Any) -> list[str]:
    """IAM writes one thing as a text and several as a list."""
    return [value] if isinstance(value, str) else list(value)
