"""Endpoints whose life takes time, as in AWS: moto's are in service at once, and gone at once.

Creating, updating and deleting end at the describe after `STATE.endpoint_polls` others.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
"""

from collections.abc import Callable
from typing import Any

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import AWSValidationException
from moto.sagemaker.models import FakeEndpointConfig, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse

from tests.emulator import corrected_moto

_create_endpoint = SageMakerResponse.create_endpoint
_create_endpoint_config = SageMakerResponse.create_endpoint_config
_create_model = SageMakerResponse.create_model
_register_scalable_target = ApplicationAutoScalingResponse.register_scalable_target
_deregister_scalable_target = ApplicationAutoScalingResponse.deregister_scalable_target


def create_model(self: Any) -> Any:
    """moto drops network isolation and replaces a model of the same name."""
    name = self._get_param("ModelName")
    if name in self.sagemaker_backend._models:
        raise AWSValidationException(f"Cannot create already existing model {name}")
    corrected_moto.assume_role(self._get_param("ExecutionRoleArn"))
    response = _create_model(self)
    self.sagemaker_backend._models[name].isolated = bool(self._get_param("EnableNetworkIsolation"))
    return response


def describe_model(self: Any) -> Any:
    name = self._get_param("ModelName")
    description = dict(self.sagemaker_backend.describe_model(name).response_object)
    description["EnableNetworkIsolation"] = getattr(
        self.sagemaker_backend._models[name], "isolated", False
    )
    if not description.get("VpcConfig"):
        description.pop("VpcConfig", None)
    return ActionResult(description)


def create_endpoint_config(self: Any) -> Any:
    name = self._get_param("EndpointConfigName")
    if name in self.sagemaker_backend.endpoint_configs:
        raise AWSValidationException(f"Cannot create already existing endpoint config {name}")
    return _create_endpoint_config(self)


def describe_endpoint_config(self: Any) -> Any:
    """moto returns an empty DataCaptureConfig if there is none."""
    name = self._get_param("EndpointConfigName")
    description = dict(self.sagemaker_backend.describe_endpoint_config(name))
    if not description.get("DataCaptureConfig"):
        description.pop("DataCaptureConfig", None)
    return ActionResult(description)


def create_endpoint(self: Any) -> Any:
    """moto replaces an endpoint of the same name and never fails."""
    name, config = self._get_param("EndpointName"), self._get_param("EndpointConfigName")
    endpoints = self.sagemaker_backend.endpoints
    if name.lower() in map(str.lower, endpoints):
        raise AWSValidationException(f'Cannot create already existing endpoint "{name}".')
    corrected_moto.spread(config, f'Could not find endpoint configuration "{config}".')
    response = _create_endpoint(self)
    endpoint = endpoints[name]

    def finish() -> None:
        endpoint.failure_reason = corrected_moto.STATE.endpoint_failure
        endpoint.endpoint_status = "Failed" if endpoint.failure_reason else "InService"

    _begin(endpoint, "Creating", finish, config)
    return response


def describe_endpoint(self: Any) -> Any:
    """An endpoint whose creation failed has no variants."""
    name = self._get_param("EndpointName")
    _advance(self.sagemaker_backend.endpoints.get(name))
    description = dict(self.sagemaker_backend.describe_endpoint(name))
    endpoint = self.sagemaker_backend.endpoints[name]
    for extra in ("Pending", "Deployment", "Retained", "FailureReason"):
        description.pop(extra, None)
    if getattr(endpoint, "failure_reason", ""):
        description["FailureReason"] = endpoint.failure_reason
    if endpoint.endpoint_status == "Failed":
        description.pop("ProductionVariants", None)
    if deployment := getattr(endpoint, "deployment", None):
        description["LastDeploymentConfig"] = deployment
    if getattr(endpoint, "pending", None) and endpoint.pending[2]:
        description["PendingDeploymentSummary"] = {"EndpointConfigName": endpoint.pending[2]}
    if not description.get("DataCaptureConfig"):
        description.pop("DataCaptureConfig", None)
    return ActionResult(description)


def update_endpoint(self: Any) -> Any:
    """moto has no UpdateEndpoint. If it fails, the old configuration stays in service.

    An alarm of the deployment that rings rolls it back, whatever fleet it watches.
    """
    state, backend = corrected_moto.STATE, self.sagemaker_backend
    name, config = self._get_param("EndpointName"), self._get_param("EndpointConfigName")
    endpoint = backend.endpoints[name]
    corrected_moto.spread(config, f'Could not find endpoint configuration "{config}".')
    new = backend.describe_endpoint_config(config)["ProductionVariants"]
    deployment = self._get_param("DeploymentConfig")
    endpoint.deployment = deployment
    retained = self._get_param("RetainAllVariantProperties")
    rollback = (deployment or {}).get("AutoRollbackConfiguration") or {}
    names = [alarm["AlarmName"] for alarm in rollback.get("Alarms", [])]
    alarms = cloudwatch_backends[self.current_account][self.region].alarms

    def finish() -> None:
        ringing = [name for name in names if alarms[name].state_value == "ALARM"]
        endpoint.endpoint_status = "InService"
        if state.endpoint_failure or ringing:
            reason = f"The alarm {', '.join(ringing)} went off during the deployment."
            endpoint.failure_reason = state.endpoint_failure or reason
            return
        counts = {
            each["VariantName"]: each.get("CurrentInstanceCount")
            for each in endpoint.production_variants
        }
        endpoint.failure_reason = ""
        endpoint.endpoint_config_name = config
        endpoint.production_variants = endpoint._process_production_variants(new)
        for variant in endpoint.production_variants if retained else ():
            if (count := counts.get(variant["VariantName"])) and "CurrentInstanceCount" in variant:
                variant["CurrentInstanceCount"] = variant["DesiredInstanceCount"] = count

    _begin(endpoint, "Updating", finish, config)
    state.on_update(name, config)
    return ActionResult({"EndpointArn": endpoint.arn})


def delete_endpoint(self: Any) -> Any:
    """moto's endpoints are gone at once. AWS deregisters their scalable targets, too."""
    name = self._get_param("EndpointName")
    endpoint = self.sagemaker_backend.endpoints[name]
    _begin(endpoint, "Deleting", lambda: self.sagemaker_backend.delete_endpoint(name))
    backend = applicationautoscaling_backends[self.current_account][self.region]
    for targets in backend.targets.values():
        for resource in [each for each in targets if each.startswith(f"endpoint/{name}/")]:
            del targets[resource]
            _forget(backend, resource)
    return EmptyResult()


def register_scalable_target(self: Any) -> Any:
    """moto leaves the number of instances alone; AWS brings it within the limits."""
    response = _register_scalable_target(self)
    resource = self._get_param("ResourceId")
    backend = self.applicationautoscaling_backend
    target = backend.targets[self._get_param("ScalableDimension")][resource]
    if match := resource.split("/"):
        sagemaker = sagemaker_backends[self.current_account][self.region]
        endpoint = sagemaker.endpoints.get(match[1]) if match[0] == "endpoint" else None
        if endpoint is None or endpoint.endpoint_status != "InService":
            return response
        [variant] = [v for v in endpoint.production_variants if v["VariantName"] == match[3]]
        count = variant["CurrentInstanceCount"]
        within = min(max(count, target.min_capacity), target.max_capacity)
        if within != count:
            variant["DesiredInstanceCount"] = within

            def finish() -> None:
                variant["CurrentInstanceCount"] = within
                endpoint.endpoint_status = "InService"

            _begin(endpoint, "Updating", finish)
    return response


def deregister_scalable_target(self: Any) -> Any:
    """moto keeps the policies and the scheduled actions of the target."""
    response = _deregister_scalable_target(self)
    _forget(self.applicationautoscaling_backend, self._get_param("ResourceId"))
    return response


def accept_instance_type(self: Any, instance_type: str) -> None:
    """moto's list of instance types is older than the one of the service's model, a rule."""


SAGEMAKER = {
    function.__name__: function
    for function in (
        create_model, describe_model, create_endpoint_config, describe_endpoint_config,
        create_endpoint, describe_endpoint, update_endpoint, delete_endpoint,
    )
}  # fmt: skip
REPLACEMENTS: list[tuple[Any, str, Any]] = [
    *((SageMakerResponse, name, function) for name, function in SAGEMAKER.items()),
    (ApplicationAutoScalingResponse, "register_scalable_target", register_scalable_target),
    (ApplicationAutoScalingResponse, "deregister_scalable_target", deregister_scalable_target),
    (FakeEndpointConfig, "validate_instance_type", accept_instance_type),
]


def _begin(
    endpoint: Any, status: str, finish: Callable[[], object], config: str | None = None
) -> None:
    endpoint.endpoint_status = status
    endpoint.pending = [corrected_moto.STATE.endpoint_polls, finish, config]


def _advance(endpoint: Any) -> None:
    pending = getattr(endpoint, "pending", None)
    if pending is None:
        return
    if pending[0] > 0:
        pending[0] -= 1
        return
    endpoint.pending = None
    pending[1]()


def _forget(backend: Any, resource: str) -> None:
    backend.policies = {
        key: policy for key, policy in backend.policies.items() if policy.resource_id != resource
    }
    backend.scheduled_actions = [
        action for action in backend.scheduled_actions if action.resource_id != resource
    ]
