"""Models, endpoint configs, and endpoints that are created and deleted."""

import json
import re
from collections.abc import Iterator
from typing import Any

from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends

from tests.aws_rules import local_storage
from tests.aws_rules.rules import Refused, Request, rule

_API = "https://docs.aws.amazon.com/sagemaker/latest/APIReference"
_GUIDE = "https://docs.aws.amazon.com/sagemaker/latest/dg"
_SERVERLESS = f"{_GUIDE}/serverless-endpoints.html"
BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
# A serverless variant has no instances, so that it has none of these members.
_INSTANCE_MEMBERS = (
    "InstanceType", "InitialInstanceCount", "InstancePools", "AcceleratorType", "CoreDumpConfig",
    "VolumeSizeInGB", "ManagedInstanceScaling", "InferenceAmiVersion", "CapacityReservationConfig",
)  # fmt: skip


def backend_of(request: Request) -> Any:
    """Return moto's SageMaker in the account and region of a request."""
    return sagemaker_backends[request.account][request.region]


def invalid(message: str) -> Refused:
    """Return SageMaker's error for all invalid requests."""
    return Refused("ValidationException", message)


def role_of(request: Request, arn: str | None) -> Any:
    """Return moto's role with an ARN, or None."""
    roles = iam_backends[request.account]["aws"].roles.values()
    return next((role for role in roles if role.arn == arn), None)


@rule("sagemaker", "CreateModel", source=f"{_GUIDE}/sagemaker-roles.html")
def role_of_a_model_trusts_sagemaker(request: Request) -> None:
    """The execution role exists, and SageMaker may assume it."""
    arn = request.parameters.get("ExecutionRoleArn")
    role = role_of(request, arn)
    if role is None or not _trusts(role):
        raise invalid(
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role."
        )


def _trusts(role: Any) -> bool:
    statements = json.loads(role.assume_role_policy_document)["Statement"]
    return any(
        statement["Effect"] == "Allow"
        and "sagemaker.amazonaws.com" in str(statement.get("Principal"))
        for statement in statements
    )


@rule("sagemaker", "CreateModel", source=f"{_API}/API_CreateModel.html")
def a_model_has_containers(request: Request) -> None:
    """A model has either PrimaryContainer or Containers, each with an image or a package."""
    primary = request.parameters.get("PrimaryContainer")
    containers = request.parameters.get("Containers") or []
    if bool(primary) == bool(containers):
        raise invalid("Exactly one of PrimaryContainer and Containers must be specified")
    for container in [primary] if primary else containers:
        if not (container.get("Image") or container.get("ModelPackageName")):
            raise invalid("A container needs Image or ModelPackageName")


@rule("sagemaker", "CreateModel", source=f"{_API}/API_ContainerDefinition.html")
def model_data_is_an_archive_in_the_region(request: Request) -> None:
    """ModelDataUrl names an existing .tar.gz, in a bucket of the same region."""
    primary = request.parameters.get("PrimaryContainer")
    for container in request.parameters.get("Containers") or [primary or {}]:
        uri = container.get("ModelDataUrl")
        if not uri or container.get("Mode") == "MultiModel":
            continue
        bucket_name, _, key = uri.removeprefix("s3://").partition("/")
        _, owner = s3_backends.bucket_accounts.get(bucket_name, ("aws", request.account))
        bucket = s3_backends[owner]["aws"].buckets.get(bucket_name)
        if bucket is None or bucket.region_name != request.region or key not in bucket.keys:
            raise invalid(f"Could not find model data at {uri}.")
        if not key.endswith(".tar.gz"):
            raise invalid(f"ModelDataUrl {uri} must point to a single gzip-compressed tar archive")


@rule("sagemaker", "CreateEndpointConfig", source=f"{_API}/API_ProductionVariant.html")
def variants_are_complete(request: Request) -> None:
    """Variants have different names and a model; they have either instances or ServerlessConfig."""
    variants = list(_variants(request))
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        raise invalid(f"Variant names must be unique: {', '.join(names)}")
    components = request.parameters.get("ExecutionRoleArn")
    for variant in variants:
        model = variant.get("ModelName")
        if model is None and not components:
            raise invalid("ModelName is required for variants without inference components")
        if model is not None and model not in backend_of(request)._models:
            raise invalid(f'Could not find model "{model}".')
        if variant.get("ServerlessConfig"):
            extra = [name for name in _INSTANCE_MEMBERS if variant.get(name) is not None]
            if extra:
                raise invalid(f"{', '.join(extra)} cannot be specified with ServerlessConfig")
        elif not variant.get("InstancePools") and not (
            variant.get("InstanceType") and (components or variant.get("InitialInstanceCount"))
        ):
            raise invalid("A variant needs InstanceType and InitialInstanceCount")
    weights = [variant.get("InitialVariantWeight") for variant in variants]
    if weights and not any(weight is None or weight > 0 for weight in weights):
        raise invalid("At least one variant must have a weight above 0")


@rule(
    "sagemaker", "CreateEndpointConfig", source=f"{_API}/API_ProductionVariantServerlessConfig.html"
)
def serverless_sizes(request: Request) -> None:
    """Memory is a multiple of 1 GB; provisioned concurrency is at most the maximum concurrency."""
    for variant in _variants(request):
        if config := variant.get("ServerlessConfig"):
            if config["MemorySizeInMB"] % 1024:
                raise invalid(
                    f"MemorySizeInMB {config['MemorySizeInMB']} must be a multiple of 1024"
                )
            provisioned = config.get("ProvisionedConcurrency") or 0
            if provisioned > config["MaxConcurrency"]:
                raise invalid(f"ProvisionedConcurrency {provisioned} is above MaxConcurrency")


@rule("sagemaker", "CreateEndpointConfig", source=_SERVERLESS)
def serverless_exclusions(request: Request) -> None:
    """Serverless endpoints have one variant; no VPC, isolation, data capture or pipeline."""
    variants = list(_variants(request))
    if not any(variant.get("ServerlessConfig") for variant in variants):
        return
    if len(variants) > 1:
        raise invalid("Serverless endpoints support one production variant")
    for member in ("DataCaptureConfig", "AsyncInferenceConfig", "ExplainerConfig", "VpcConfig"):
        if request.parameters.get(member):
            raise invalid(f"{member} is not supported for serverless endpoints")
    model = backend_of(request)._models[variants[0]["ModelName"]]
    if model.vpc_config:
        raise invalid("Serverless endpoints do not support models with VpcConfig")
    if getattr(model, "isolated", False):
        raise invalid("Serverless endpoints do not support models with network isolation")
    if len(model.containers or []) > 1:
        raise invalid("Serverless endpoints do not support inference pipelines")


@rule("sagemaker", "CreateEndpointConfig", source=f"{_API}/API_CreateEndpointConfig.html")
def endpoint_volumes_with_a_key(request: Request) -> None:
    """KmsKeyId is refused for instance types with local storage."""
    for variant in _variants(request):
        instance_type = variant.get("InstanceType") or ""
        if request.parameters.get("KmsKeyId") and local_storage.has(instance_type):
            raise invalid(f"KmsKeyId is not supported for {instance_type}, which has local storage")


@rule("sagemaker", "CreateEndpointConfig", source=f"{_API}/API_DataCaptureConfig.html")
def capture_options_are_distinct(request: Request) -> None:
    """Data capture names each mode once, and an S3 prefix."""
    capture = request.parameters.get("DataCaptureConfig") or {}
    modes = [option["CaptureMode"] for option in capture.get("CaptureOptions") or []]
    if len(set(modes)) < len(modes):
        raise invalid("CaptureOptions contains a mode twice")
    if capture and not re.match(r"s3://[^/]+", capture["DestinationS3Uri"]):
        raise invalid(f"{capture['DestinationS3Uri']} is not an S3 URI")


@rule("sagemaker", "CreateEndpoint", "UpdateEndpoint", source=f"{_API}/API_CreateEndpoint.html")
def config_and_its_models_exist(request: Request) -> None:
    """An endpoint finds its config, and the models of that."""
    backend, name = backend_of(request), request.parameters["EndpointConfigName"]
    if name not in backend.endpoint_configs:
        arn = f"arn:aws:sagemaker:{request.region}:{request.account}:endpoint-config/{name}"
        raise invalid(f'Could not find endpoint configuration "{arn}".')
    for variant in backend.endpoint_configs[name].production_variants:
        if variant.get("ModelName") and variant["ModelName"] not in backend._models:
            raise invalid(f'Could not find model "{variant["ModelName"]}".')


@rule("sagemaker", "DeleteEndpoint", source=f"{_API}/API_DescribeEndpoint.html")
def busy_endpoints_are_not_deleted(request: Request) -> None:
    """An endpoint is deleted neither while it changes nor under maintenance."""
    name = request.parameters["EndpointName"]
    endpoint = backend_of(request).endpoints.get(name)
    if endpoint is None:
        arn = f"arn:aws:sagemaker:{request.region}:{request.account}:endpoint/{name}"
        raise invalid(f'Could not find endpoint "{arn}".')
    if endpoint.endpoint_status in BUSY:
        raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')


@rule("sagemaker", "DeleteEndpointConfig", source=f"{_API}/API_DeleteEndpointConfig.html")
def configs_in_use_are_not_deleted(request: Request) -> None:
    """A config must not be deleted while an endpoint serves it or is moving to it."""
    name = request.parameters["EndpointConfigName"]
    for endpoint in backend_of(request).endpoints.values():
        pending = getattr(endpoint, "pending", None)
        if endpoint.endpoint_status != "Failed" and name in (
            endpoint.endpoint_config_name,
            pending and pending[2],
        ):
            raise invalid(f'Endpoint configuration "{name}" is in use by {endpoint.endpoint_name}')


def _variants(request: Request) -> Iterator[dict[str, Any]]:
    for member in ("ProductionVariants", "ShadowProductionVariants"):
        yield from request.parameters.get(member) or []
