"""What services refuse because a quota of the account is used up."""

from moto.sagemaker.models import sagemaker_backends

from tests.aws_rules.rules import Refused, Request, rule
from tests.emulator.corrected_account import LAMBDA, QUOTAS, quota, reserved

LIMIT_EXCEEDED = "https://repost.aws/knowledge-center/sagemaker-resource-limit-exceeded-error"


@rule("sagemaker", "CreateEndpoint", "UpdateEndpoint", source=LIMIT_EXCEEDED)
def instances_of_endpoints(request: Request) -> None:
    """All endpoints together have at most the quota of each instance type.

    During an update, the old and the new instances exist.
    """
    backend = sagemaker_backends[request.account][request.region]
    config = backend.endpoint_configs.get(request.parameters["EndpointConfigName"])
    for variant in config.production_variants if config else ():
        instance_type = variant.get("InstanceType")
        if instance_type is None:
            continue
        used = sum(
            int(each.get("CurrentInstanceCount") or 0)
            for endpoint in backend.endpoints.values()
            for each in endpoint.production_variants
            if _type_of(backend, endpoint) == instance_type
        )
        _refuse_above(f"{instance_type} for endpoint usage", used, variant["InitialInstanceCount"])


@rule("sagemaker", "CreateTrainingJob", source=LIMIT_EXCEEDED)
def instances_of_training_jobs(request: Request) -> None:
    """A training job needs its instances at once, spot or on demand."""
    resources = request.parameters["ResourceConfig"]
    kind = "spot training job" if request.parameters.get("EnableManagedSpotTraining") else ""
    name = f"{resources.get('InstanceType')} for {kind or 'training job'} usage"
    _refuse_above(name, 0, resources.get("InstanceCount", 0))


@rule("sagemaker", "CreateTransformJob", source=LIMIT_EXCEEDED)
def instances_of_transform_jobs(request: Request) -> None:
    """A transform job needs its instances at once."""
    resources = request.parameters["TransformResources"]
    name = f"{resources['InstanceType']} for transform job usage"
    _refuse_above(name, 0, resources["InstanceCount"])


@rule(
    "lambda",
    "PutFunctionConcurrency",
    source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html",
)
def unreserved_concurrency(request: Request) -> None:
    """At least 100 concurrent executions of the account stay unreserved."""
    name = request.parameters["FunctionName"].rpartition(":")[2]
    others = reserved(request.account, request.region, but=name)
    needed = request.parameters["ReservedConcurrentExecutions"]
    if (quota(LAMBDA) or 0) - others - needed < 100:
        raise Refused(
            "InvalidParameterValueException",
            "Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of [100].",
        )


@rule(
    "service-quotas",
    "ListServiceQuotas",
    source="https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html",
)
def known_services(request: Request) -> None:
    """The service code is one of ListServices, and a page has 1 to 100 quotas."""
    if request.parameters["ServiceCode"] not in QUOTAS:
        raise Refused("NoSuchResourceException", "The specified service does not exist.")
    if not 1 <= request.parameters.get("MaxResults", 1) <= 100:
        raise Refused("IllegalArgumentException", "MaxResults must be from 1 to 100.")


def _type_of(backend: object, endpoint: object) -> str | None:
    config = backend.endpoint_configs.get(endpoint.endpoint_config_name)  # type: ignore[attr-defined]
    return config.production_variants[0].get("InstanceType") if config else None


def _refuse_above(name: str, used: int, delta: int) -> None:
    limit = quota(name)
    if limit is not None and used + delta > limit:
        raise Refused(
            "ResourceLimitExceeded",
            f"The account-level service limit '{name}' is {limit:g} Instances, with current "
            f"utilization of {used} Instances and a request delta of {delta} Instances. Please "
            "use AWS Service Quotas to request an increase for this quota.",
        )
