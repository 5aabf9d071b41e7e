"""Audit Lambda functions: excessive permissions, and concurrency reserved without use."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain

from aws import role_policies, stages
from aws.account import Account
from aws.stages import Stage
from ops.audit import roles, usage
from ops.audit.finding import Finding, Severity
from ops.audit.policy_analysis import grants, summarize, wildcards


def check(account: Account) -> Iterator[Finding]:
    """Yield findings about each function.

    The API's functions are compared with their generated policy, others are searched for wildcards.
    """
    known: dict[str, Stage] = {}
    for name in stages.names():
        stage = stages.read(name)
        known |= {stage.function: stage, f"{stage.function}-APIHandler": stage}
    pages = account.client("lambda").get_paginator("list_functions").paginate()
    for function in pages.search("Functions[]"):
        name, role = function["FunctionName"], function["Role"].rpartition("/")[2]
        yield from _check_permissions(account, name, role, known.get(name))
        yield from _check_concurrency(account, name, function["LastModified"])


def _check_permissions(
    account: Account, function: str, role: str, stage: Stage | None
) -> Iterator[Finding]:
    documents = [document for _, document in roles.policies(account, role)]
    if stage:
        needed = set(grants(role_policies.lambda_(account, stage)))
        allowed = chain.from_iterable(map(grants, documents))
        excess = [grant for grant in allowed if grant not in needed]
        fix = f"python -m ops policy --stage {stage.name}, then release the stage again"
    else:
        excess = list(chain.from_iterable(map(wildcards, documents)))
        fix = f"name actions and resources in the policy of role {role}"
    if excess:
        problem = f"may do more than it needs: {summarize(excess)}"
        yield Finding(Severity.HIGH, f"function {function}", problem, fix)


def _check_concurrency(account: Account, function: str, modified: str) -> Iterator[Finding]:
    """Yield a finding if a function reserves concurrency and uses a tenth of it or less."""
    concurrency = account.client("lambda").get_function_concurrency(FunctionName=function)
    reserved = concurrency.get("ReservedConcurrentExecutions", 0)
    if datetime.now(UTC) - datetime.fromisoformat(modified) < usage.UNUSED_AFTER or not reserved:
        return
    used = usage.recent(
        account, "AWS/Lambda", "ConcurrentExecutions", {"FunctionName": function}, "Maximum"
    )
    if used <= reserved / 10:
        problem = (
            f"reserves {reserved} concurrent executions and used {used:.0f} of them at most in "
            f"{usage.UNUSED_AFTER.days} days; other functions cannot use the rest"
        )
        fix = "lower reserved_concurrency in .chalice/config.json, then release the stage"
        yield Finding(Severity.LOW, f"function {function}", problem, fix)
