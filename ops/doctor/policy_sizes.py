"""Check the sizes of the generated policies against IAM's quotas."""

from collections.abc import Iterator

from aws.policy_statements import INLINE_ROLE_CHARACTERS, MANAGED_CHARACTERS, characters
from ops.deployment import Deployment
from ops.doctor.line import Line, Status
from ops.iam import api_roles, github_oidc, policy


def check(deployment: Deployment) -> Iterator[Line]:
    """Yield a line for each policy that IAM would refuse, or one for all."""
    account, stage = deployment.account, deployment.stage
    sizes = {
        name: (characters(document), MANAGED_CHARACTERS)
        for name, document in policy.operator_documents(account).items()
    }
    for name, role in policy.SERVICE_ROLES.items():
        sizes[name] = (characters(role.policy(account)), INLINE_ROLE_CHARACTERS)
    for name, document in api_roles.documents(account, stage).items():
        limit = MANAGED_CHARACTERS if name == "boundary" else INLINE_ROLE_CHARACTERS
        sizes[name] = (characters(document), limit)
    sizes["release"] = (characters(github_oidc.policy(account, stage)), INLINE_ROLE_CHARACTERS)
    too_large = {name: pair for name, pair in sizes.items() if pair[0] > pair[1]}
    for name, (size, limit) in too_large.items():
        yield Line(
            Status.BLOCKS,
            "policy",
            f"the policy of {name} has {size} characters, IAM accepts {limit}",
            "shorten names and prefix in [aws] of settings.toml, or use fewer stages",
        )
    if not too_large:
        largest = max(sizes, key=lambda name: sizes[name][0] / sizes[name][1])
        size, limit = sizes[largest]
        yield Line(
            Status.OK, "policies", f"the largest, of {largest}, has {size} of {limit} characters"
        )
