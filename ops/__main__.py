"""`python -m ops COMMAND`."""

import sys
from collections.abc import Sequence

from cli.commands import Entry, Group
from cli.commands import main as run

SECTIONS = {
    "Groups": {
        "endpoint": Entry(
            "ops.endpoint", "deploy, scale and remove the model endpoint", reaches_aws=True, costs=True,
            attribute="group",
        ),
        "api": Entry(
            "ops.api", "release, roll back and remove the API", reaches_aws=True, costs=True,
            attribute="group",
        ),
    },
    "Commands": {
        "policy": Entry("ops.iam.policy", "write the least-privilege IAM policies", reaches_aws=True),
        "audit": Entry("ops.audit.command", "audit the account for cost and exposure", reaches_aws=True),
        "costs": Entry("ops.costs.command", "estimate what a day of traffic needs and costs"),
        "local": Entry("ops.local", "run the API and the model on this machine"),
        "loadtest": Entry("ops.loadtest.command", "measure the rate one instance can take", costs=True),
    },
}  # fmt: skip
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
