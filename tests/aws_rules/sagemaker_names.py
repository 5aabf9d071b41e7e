"""Names, tags and numbers of SageMaker's resources."""

from typing import Any

from moto.sagemaker.models import sagemaker_backends

from tests.aws_rules.rules import Refused, Request, rule
from tests.emulator.corrected_account import quota

API = "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_"
_SERVERLESS = "Maximum total concurrency that can be allocated across all serverless endpoints"


def _backend(request: Request) -> Any:
    return sagemaker_backends[request.account][request.region]


def _invalid(message: str) -> Refused:
    return Refused("ValidationException", message)


@rule("sagemaker", "CreateEndpoint", source=f"{API}CreateEndpoint.html")
def endpoints_differ_in_more_than_case(request: Request) -> None:
    """The name of an endpoint is unique regardless of case."""
    name = request.parameters["EndpointName"]
    for endpoint in _backend(request).endpoints.values():
        if endpoint.endpoint_name.lower() == name.lower():
            arn = endpoint.arn
            raise _invalid(f'Cannot create already existing endpoint "{arn}".')


@rule("sagemaker", "CreateModel", source=f"{API}CreateModel.html")
def models_are_created_once(request: Request) -> None:
    """The name of a model is unique."""
    model = _backend(request)._models.get(request.parameters["ModelName"])
    if model is not None:
        raise _invalid(f'Cannot create already existing model "{model.arn}".')


@rule("sagemaker", "CreateEndpointConfig", source=f"{API}CreateEndpointConfig.html")
def configs_are_created_once(request: Request) -> None:
    """The name of an endpoint config is unique; it has up to 10 variants, with some weight."""
    name = request.parameters["EndpointConfigName"]
    config = _backend(request).endpoint_configs.get(name)
    if config is not None:
        arn = config.endpoint_config_arn
        raise _invalid(f'Cannot create already existing endpoint configuration "{arn}".')
    variants = request.parameters.get("ProductionVariants") or []
    weights = [float(each.get("InitialVariantWeight", 1)) for each in variants]
    if not 1 <= len(variants) <= 10 or sum(weights) <= 0:
        raise _invalid("An endpoint config has 1 to 10 variants, whose weights are above 0")


@rule("sagemaker", "CreateTransformJob", source=f"{API}CreateTransformJob.html")
def transform_jobs_are_created_once(request: Request) -> None:
    """The name of a transform job is unique."""
    name = request.parameters["TransformJobName"]
    if name in _backend(request).transform_jobs:
        raise Refused("ResourceInUse", f"Job name must be unique: {name}")


@rule("sagemaker", "AddTags", source=f"{API}AddTags.html")
def fifty_tags_together(request: Request) -> None:
    """A resource has at most 50 tags, those it has already included."""
    arn = request.parameters["ResourceArn"]
    try:
        existing = _backend(request).list_tags(arn)[0]
    except Exception:  # moto raises what the operation then raises again
        return
    keys = {tag["Key"] for tag in [*existing, *request.parameters["Tags"]]}
    if len(keys) > 50:
        raise _invalid(f"{arn} would have {len(keys)} tags: a resource has at most 50")


@rule(
    "sagemaker",
    *("CreateEndpoint", "UpdateEndpoint"),
    source="https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html",
)
def serverless_concurrency_is_shared(request: Request) -> None:
    """All serverless endpoints of the account together have a quota of concurrency."""
    backend, name = _backend(request), request.parameters["EndpointName"]
    used = {
        endpoint.endpoint_name: _concurrency(backend, endpoint.endpoint_config_name)
        for endpoint in backend.endpoints.values()
    }
    needed = _concurrency(backend, request.parameters["EndpointConfigName"])
    total = sum((used | {name: needed}).values())
    if needed and total > (quota(_SERVERLESS) or 0):
        raise Refused("ResourceLimitExceeded", f"The account-level service limit '{_SERVERLESS}'")


def _concurrency(backend: Any, config_name: str) -> int:
    config = backend.endpoint_configs.get(config_name)
    return sum(
        int((variant.get("ServerlessConfig") or {}).get("MaxConcurrency", 0))
        for variant in (config.production_variants if config else ())
    )
