"""Find and remove resources. A failure is reported and does not stop the rest."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TextIO

from botocore.exceptions import ClientError

from aws.account import explain
from aws.errors import AwsError
from ops.endpoint.teardown import Removal


@dataclass(frozen=True)
class Source:
    """Resources of one kind; `find` yields their names and the calls that remove them."""

    part: str
    """One of step.PARTS: who may remove them."""
    subject: str
    find: Callable[[], Iterable[Removal]]


@dataclass
class Result:
    """The names of what was removed, and of what could not be."""

    removed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def remove_all(sources: Iterable[Source], *, dry_run: bool, log: TextIO) -> Result:
    """Remove what the sources find, in order, and print each resource to `log`."""
    result = Result()
    for source in sources:
        resource = source.subject
        try:
            for name, remove in source.find():
                resource = name
                if not dry_run:
                    remove()
                result.removed.append(resource)
                print(f"{'would remove' if dry_run else 'removed'} {name}", file=log, flush=True)
        except (ClientError, AwsError) as error:
            reason = explain(error) if isinstance(error, ClientError) else error
            print(f"could not remove {resource}: {reason}", file=log, flush=True)
            result.failed.append(resource)
    return result
