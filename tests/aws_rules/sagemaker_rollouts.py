"""Updates of endpoints: from which state, to which config, and how traffic moves."""

import json
from collections.abc import Iterator
from typing import Any

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.iam.models import iam_backends

from tests.aws_rules.rules import Refused, Request, rule
from tests.aws_rules.sagemaker_endpoints import backend_of, invalid, role_of

_API = "https://docs.aws.amazon.com/sagemaker/latest/APIReference"
_GUIDE = "https://docs.aws.amazon.com/sagemaker/latest/dg"


@rule(
    "sagemaker",
    "UpdateEndpoint",
    "UpdateEndpointWeightsAndCapacities",
    source=f"{_API}/API_DescribeEndpoint.html",
)
def only_settled_endpoints_are_updated(request: Request) -> None:
    """An update needs an endpoint in service: a failed one can only be deleted."""
    name = request.parameters["EndpointName"]
    endpoint = backend_of(request).endpoints.get(name)
    if endpoint is None:
        arn = f"arn:aws:sagemaker:{request.region}:{request.account}:endpoint/{name}"
        raise invalid(f'Could not find endpoint "{arn}".')
    if endpoint.endpoint_status not in ("InService", "UpdateRollbackFailed"):
        raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')


@rule("sagemaker", "UpdateEndpoint", source=f"{_GUIDE}/serverless-endpoints.html")
def instances_stay_instances(request: Request) -> None:
    """An endpoint on instances cannot become serverless, nor return to it."""
    old, new = _configs(request)
    if not _serverless(old) and _serverless(new):
        raise invalid("Endpoint update from real-time to serverless is not supported.")


@rule("sagemaker", "UpdateEndpoint", source=f"{_GUIDE}/endpoint-scaling-update.html")
def scaled_variants_keep_their_type(request: Request) -> None:
    """A variant registered with Application Auto Scaling keeps its name and instance type."""
    old, new = _configs(request)
    types = {variant["VariantName"]: variant.get("InstanceType") for variant in new}
    backend = applicationautoscaling_backends[request.account][request.region]
    registered = {resource for targets in backend.targets.values() for resource in targets}
    for variant in old:
        name = variant["VariantName"]
        resource = f"endpoint/{request.parameters['EndpointName']}/variant/{name}"
        if resource in registered and types.get(name) != variant.get("InstanceType"):
            raise invalid(
                f"Variant {name} is registered with Application Auto Scaling. Deregister it before "
                "its instance type is changed or it is removed."
            )


@rule("sagemaker", "CreateEndpoint", "UpdateEndpoint", source=f"{_API}/API_DeploymentConfig.html")
def one_update_policy(request: Request) -> None:
    """A deployment is either blue/green or rolling."""
    deployment = request.parameters.get("DeploymentConfig") or {}
    if deployment.get("BlueGreenUpdatePolicy") and deployment.get("RollingUpdatePolicy"):
        raise invalid("Only one update policy should be used in the deployment configuration")


@rule("sagemaker", "UpdateEndpoint", source=f"{_API}/API_TrafficRoutingConfig.html")
def steps_fit_the_fleet(request: Request) -> None:
    """A canary is up to 50 % of the instances, a linear step 10 to 50 %, a batch 5 to 50 %."""
    deployment = request.parameters.get("DeploymentConfig") or {}
    routing = (deployment.get("BlueGreenUpdatePolicy") or {}).get("TrafficRoutingConfiguration")
    sizes = {}
    if routing:
        wanted = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(routing["Type"])
        for member in ("CanarySize", "LinearStepSize"):
            if (member == wanted) != bool(routing.get(member)):
                raise invalid(f"{member} must be specified with its Type and no other")
        if wanted:
            sizes[wanted] = (routing[wanted], 1 if wanted == "CanarySize" else 10, 50)
    if rolling := deployment.get("RollingUpdatePolicy"):
        sizes["MaximumBatchSize"] = (rolling["MaximumBatchSize"], 5, 50)
        if back := rolling.get("RollbackMaximumBatchSize"):
            sizes["RollbackMaximumBatchSize"] = (back, 5, 100)
    for name, (size, least, most) in sizes.items():
        for count in _instances(request):
            part = size["Value"]
            if size["Type"] == "INSTANCE_COUNT":
                part = 100 * part / count
            elif most < 100 and count < 2:
                part = 100  # one instance cannot be split
            if not least <= part <= most:
                raise invalid(
                    f"{name} must be {least} to {most} % of the variant's {count} instances"
                )


@rule("sagemaker", "UpdateEndpoint", source=f"{_GUIDE}/deployment-guardrails-exclusions.html")
def guardrail_exclusions(request: Request) -> None:
    """Variants keep their names; rolling updates need one variant, and instances."""
    deployment = request.parameters.get("DeploymentConfig")
    if not deployment:
        return
    old, new = _configs(request)
    if {each["VariantName"] for each in old} != {each["VariantName"] for each in new}:
        raise invalid("The new endpoint configuration must have the same variant names")
    rolling = deployment.get("RollingUpdatePolicy")
    if rolling and (len(new) > 1 or _serverless(old) or _serverless(new)):
        raise invalid("Rolling deployments support neither serverless nor multi-variant endpoints")


@rule("sagemaker", "UpdateEndpoint", source=f"{_GUIDE}/deployment-guardrails-configuration.html")
def alarms_can_be_described(request: Request) -> None:
    """Auto-rollback alarms exist, and the execution role may call cloudwatch:DescribeAlarms."""
    from tests.emulator.iam_enforcement import Access, permits

    rollback = (request.parameters.get("DeploymentConfig") or {}).get("AutoRollbackConfiguration")
    names = [alarm.get("AlarmName", "") for alarm in (rollback or {}).get("Alarms") or []]
    if len(set(names)) < len(names):
        raise invalid("AutoRollbackConfiguration contains an alarm twice")
    alarms = cloudwatch_backends[request.account][request.region].alarms
    for name in names:
        if name not in alarms:
            raise invalid(f"Could not find alarm {name}")
        scope = f"{request.region}:{request.account}"
        access = Access("cloudwatch:DescribeAlarms", f"arn:aws:cloudwatch:{scope}:alarm:{name}")
        for role in _roles(request):
            if not permits(_documents(request, role), access):
                raise Refused(
                    "ValidationException",
                    f"{role.arn} is not authorized to perform: cloudwatch:DescribeAlarms on "
                    f"resource: {access.resource}",
                )


def _configs(request: Request) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the variants of the config in service, and of the new one."""
    backend = backend_of(request)
    old = backend.endpoints[request.parameters["EndpointName"]].endpoint_config_name
    new = request.parameters["EndpointConfigName"]
    empty: list[dict[str, Any]] = []
    old_variants, new_variants = (
        backend.endpoint_configs[name].production_variants
        if name in backend.endpoint_configs
        else empty
        for name in (old, new)
    )
    return old_variants, new_variants


def _serverless(variants: list[dict[str, Any]]) -> bool:
    return any(variant.get("ServerlessConfig") for variant in variants)


def _instances(request: Request) -> Iterator[int]:
    """Yield the instances of each variant after the update."""
    endpoint = backend_of(request).endpoints[request.parameters["EndpointName"]]
    counts = {
        each["VariantName"]: each.get("CurrentInstanceCount")
        for each in endpoint.production_variants
    }
    for variant in _configs(request)[1]:
        if count := variant.get("InitialInstanceCount"):
            retained = request.parameters.get("RetainAllVariantProperties")
            yield (retained and counts.get(variant["VariantName"])) or count


def _roles(request: Request) -> Iterator[Any]:
    for variant in _configs(request)[1]:
        model = backend_of(request)._models[variant["ModelName"]]
        if role := role_of(request, model.execution_role_arn):
            yield role


def _documents(request: Request, role: Any) -> list[dict[str, Any]]:
    managed: dict[str, Any] = iam_backends[request.account]["aws"].managed_policies
    attached = [managed[arn].document for arn in role.managed_policies if arn in managed]
    return [json.loads(text) for text in [*role.policies.values(), *attached]]
