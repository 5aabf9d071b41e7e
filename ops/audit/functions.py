"""Lambda functions: whether their role can do more than the function needs."""

from collections.abc import Iterator

from aws import role_policies, stages
from aws.account import Account
from ops.audit.finding import Finding, Severity
from ops.audit.grants import allowed, wildcards
from ops.audit.roles import documents


def check(account: Account) -> Iterator[Finding]:
    """Findings about each function: the API's against its generated policy, others by wildcards."""
    ours = {stages.read(name).function: stages.read(name) for name in stages.names()}
    pages = account.client("lambda").get_paginator("list_functions")
    for page in pages.paginate():
        for function in page["Functions"]:
            name = function["FunctionName"]
            role = function["Role"].rpartition("/")[2]
            stage = next(
                (one for prefix, one in ours.items() if name in (prefix, f"{prefix}-APIHandler")),
                None,
            )
            if stage:
                needed = set(allowed(role_policies.lambda_(account, stage)))
                extra = [
                    f"{action} on {resource}"
                    for _, document in documents(account, role)
                    for action, resource in allowed(document)
                    if (action, resource) not in needed
                ]
                mend = f"python -m training policy --stage {stage.name}, and deploy it again"
            else:
                extra = [
                    str(one)
                    for _, document in documents(account, role)
                    for one in wildcards(document)
                ]
                mend = f"name actions and resources in the policy of role {role}"
            if extra:
                more = f" and {len(extra) - 3} more" if len(extra) > 3 else ""
                yield Finding(
                    Severity.HIGH,
                    f"function {name}",
                    f"may do more than it needs: {', '.join(extra[:3])}{more}",
                    mend,
                )
