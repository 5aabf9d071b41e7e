"""Audit machines that run and cost: EC2 instances, notebook instances, Studio apps."""

from collections.abc import Iterator
from typing import Any

from aws import prices
from aws.account import Account
from ops.audit import security_groups
from ops.audit.finding import Finding, Severity


def check(account: Account) -> Iterator[Finding]:
    """Yield findings about every machine that runs in the account and region."""
    yield from _check_ec2(account)
    yield from _check_notebooks(account)
    yield from _check_studio(account)


def _check_ec2(account: Account) -> Iterator[Finding]:
    running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    pages = account.client("ec2").get_paginator("describe_instances").paginate(Filters=running)
    ours = {(tag["Key"], tag["Value"]) for tag in account.settings.tag_list()}
    for instance in pages.search("Reservations[].Instances[]"):
        tags = {(tag["Key"], tag["Value"]) for tag in instance.get("Tags", [])}
        name = dict(tags).get("Name", "without a name")
        owner = "one of ours" if ours <= tags else "of others"
        problem = (
            f"{instance['InstanceType']} {name}, {owner}, has run since "
            f"{instance['LaunchTime']:%Y-%m-%d %H:%M}{_cost('ec2', instance['InstanceType'])}"
        )
        fix = f"aws ec2 terminate-instances --instance-ids {instance['InstanceId']}"
        yield Finding(Severity.LOW, f"instance {instance['InstanceId']}", problem, fix)


def _check_notebooks(account: Account) -> Iterator[Finding]:
    sagemaker = account.client("sagemaker")
    pages = sagemaker.get_paginator("list_notebook_instances").paginate()
    for summary in pages.search("NotebookInstances[]"):
        name = summary["NotebookInstanceName"]
        notebook = sagemaker.describe_notebook_instance(NotebookInstanceName=name)
        yield from _check_notebook(account, f"notebook instance {name}", name, notebook)


def _check_notebook(
    account: Account, resource: str, name: str, notebook: dict[str, Any]
) -> Iterator[Finding]:
    stop = f"aws sagemaker stop-notebook-instance --notebook-instance-name {name}"
    recreate = f"{stop}, then create it again"
    kind = notebook["InstanceType"]
    if notebook["NotebookInstanceStatus"] not in ("Stopped", "Stopping", "Deleting", "Failed"):
        problem = f"{kind} has run since {notebook['LastModifiedTime']:%Y-%m-%d %H:%M}"
        yield Finding(Severity.LOW, resource, problem + _cost("training", kind), stop)
    for group in security_groups.open_to_the_world(account, notebook.get("SecurityGroups", [])):
        problem = f"is in security group {group}, which is open to the world"
        fix = f"{recreate} in another security group"
        yield Finding(Severity.HIGH, resource, problem, fix)
    if notebook.get("DirectInternetAccess") == "Enabled":
        problem = "has internet access that no VPC controls"
        fix = f"{recreate} in a VPC with --direct-internet-access Disabled"
        yield Finding(Severity.MEDIUM, resource, problem, fix)


def _check_studio(account: Account) -> Iterator[Finding]:
    pages = account.client("sagemaker").get_paginator("list_apps").paginate()
    for app in pages.search("Apps[]"):
        if app["Status"] == "InService" and app["AppType"] != "JupyterServer":  # that one is free
            kind = (app.get("ResourceSpec") or {}).get("InstanceType", "app")
            owner = app.get("UserProfileName") or app.get("SpaceName", "")
            problem = f"{kind} of {owner} runs{_cost('training', kind)}"
            fix = f"stop {app['AppName']} in SageMaker Studio, domain {app['DomainId']}"
            yield Finding(Severity.LOW, f"studio app {app['AppName']}", problem, fix)


def _cost(kind: str, instance_type: str) -> str:
    usd = prices.instance_usd_per_hour(kind, instance_type)
    if usd is None:
        return f"; the price table has no {kind} price for it"
    return f" and costs ${24 * usd:.2f} per day"
