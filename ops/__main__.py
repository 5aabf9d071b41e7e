"""`python -m ops COMMAND`."""

import sys
from collections.abc import Sequence

from cli.commands import Entry, Group
from cli.commands import main as run

SECTIONS = {
    "Whole stages": {
        "doctor": Entry("ops.doctor.command", "check a stage before it costs money", True),
        "up": Entry("ops.lifecycle.up", "bring a stage up from an empty account", True, True),
        "down": Entry("ops.lifecycle.down", "take a stage back to nothing", True),
    },
    "Groups": {
        "endpoint": Entry("ops.endpoint", "manage the model endpoint", True, True, "group"),
        "api": Entry("ops.api", "release, roll back and remove the API", True, True, "group"),
    },
    "Commands": {
        "policy": Entry("ops.iam.policy", "write least-privilege IAM policies", True),
        "audit": Entry("ops.audit.command", "audit the account for cost and exposure", True),
        "costs": Entry("ops.costs.command", "estimate what a day of traffic needs and costs"),
        "loadtest": Entry(
            "ops.loadtest.command", "measure the rate of one instance or of the API", True, True
        ),
        "local": Entry("ops.local", "run the API and the model on this machine"),
    },
}
group = Group(
    "ops",
    SECTIONS,
    """Operate the endpoint and the API in AWS.

    `python -m ops COMMAND --help` explains a command, with an example.
    """,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    return run(group, arguments)


if __name__ == "__main__":
    sys.exit(main())
