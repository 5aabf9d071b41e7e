"""The resources and condition keys of calls, for services whose permissions moto does not scope.

https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from tests.aws_rules.rules import Request, request_of


@dataclass(frozen=True)
class Access:
    """An action on a resource, and the keys that conditions compare."""

    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict)


_SAGEMAKER = {
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
    "TrainingJobName": "training-job",
    "TransformJobName": "transform-job",
    "HyperParameterTuningJobName": "hyper-parameter-tuning-job",
}
_PREFIXES = {"monitoring": "cloudwatch"}
_PASSED_ROLES = ("ExecutionRoleArn", "RoleArn", "serviceRole")


def required_access(service: str, response: Any) -> Iterator[Access]:
    """Yield what AWS would require for a call."""
    request = request_of(response)
    prefix = _PREFIXES.get(service, service)
    action = f"{prefix}:{request.operation}"
    if service == "budgets":
        kind = "ViewBudget" if request.operation.startswith("Describe") else "ModifyBudget"
        action = f"budgets:{kind}"
    context = _context(request)
    for resource in _resources(service, request) or ["*"]:
        yield Access(action, resource, context | _resource_tags(request, resource))
    if service == "sagemaker" and request.parameters.get("Tags") and "Create" in action:
        yield Access("sagemaker:AddTags", next(iter(_resources(service, request))))
    for name in _PASSED_ROLES:
        if service in ("sagemaker", "codebuild") and (role := request.parameters.get(name)):
            yield Access("iam:PassRole", role, {"iam:PassedToService": f"{service}.amazonaws.com"})


def admits(response: Any, caller: str) -> bool:
    """Return whether the trust policy of the role to assume names the caller."""
    request = request_of(response)
    roles = iam_backends[request.account]["aws"].roles.values()
    documents = [
        role.assume_role_policy_document
        for role in roles
        if role.arn == request.parameters["RoleArn"]
    ]
    statements = [each for document in documents for each in json.loads(document)["Statement"]]
    principals = [each.get("Principal", {}).get("AWS", []) for each in statements]
    named = [name for each in principals for name in ([each] if isinstance(each, str) else each)]
    return caller in named


def _context(request: Request) -> dict[str, str]:
    context = {}
    if namespace := request.parameters.get("ServiceNamespace"):
        context["application-autoscaling:service-namespace"] = namespace
    if service := request.parameters.get("AWSServiceName"):
        context["iam:AWSServiceName"] = service
    return context


def _resources(service: str, request: Request) -> list[str]:
    parameters, scope = request.parameters, f"{request.region}:{request.account}"
    names: list[Any]
    match service:
        case "sagemaker":
            names = [
                f"arn:aws:sagemaker:{scope}:{kind}/{parameters[key].lower()}"
                for key, kind in _SAGEMAKER.items()
                if key in parameters and not request.operation.startswith("List")
            ]
            if request.operation.startswith(("CreateEndpointConfig", "DescribeEndpointConfig")):
                names = names[:1]
            return names or [arn for arn in [parameters.get("ResourceArn")] if arn]
        case "ecr":
            names = parameters.get("repositoryNames") or [parameters.get("repositoryName")]
            return [f"arn:aws:ecr:{scope}:repository/{name}" for name in names if name]
        case "codebuild":
            names = [parameters.get("name"), parameters.get("projectName")]
            names += parameters.get("names", [])
            names += [build.partition(":")[0] for build in parameters.get("ids", [])]
            return [f"arn:aws:codebuild:{scope}:project/{name}" for name in names if name]
        case "monitoring":
            names = [*parameters.get("AlarmNames", []), parameters.get("AlarmName")]
            arns = [f"arn:aws:cloudwatch:{scope}:alarm:{name}" for name in names if name]
            return arns or [arn for arn in [parameters.get("ResourceARN")] if arn]
        case "budgets":
            name = parameters.get("BudgetName") or parameters["Budget"]["BudgetName"]
            return [f"arn:aws:budgets::{request.account}:budget/{name}"]
        case "sns":
            return [arn for arn in [parameters.get("TopicArn")] if arn]
        case "ec2":
            ids = parameters.get("InstanceIds", [])
            scoped = request.operation == "TerminateInstances"
            return [f"arn:aws:ec2:{scope}:instance/{name}" for name in ids] if scoped else []
        case "kms":
            return [arn for arn in [parameters.get("KeyId")] if arn]
        case "sts":
            return [arn for arn in [parameters.get("RoleArn")] if arn]
    return []


def _resource_tags(request: Request, resource: str) -> dict[str, str]:
    match = re.fullmatch(r"arn:aws:ec2:.*:instance/(.*)", resource)
    if match is None:
        return {}
    tags = ec2_backends[request.account][request.region].tags.get(match[1], {})
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
