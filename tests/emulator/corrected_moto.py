"""moto 5.2.5, mended where its SageMaker answers differently from AWS, or not at all.

Each mend names the difference. `mended()` undoes them all at its end.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.codebuild.responses import CodeBuildResponse
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.iam.responses import IamResponse
from moto.logs.responses import LogsResponse
from moto.sagemaker import models
from moto.sagemaker.exceptions import AWSValidationException, ValidationError
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse as Runtime

Response = SageMakerResponse

# Newer types that moto's list lacks.
INSTANCE_TYPES = frozenset({"ml.c6i.large", "ml.c6i.xlarge", "ml.c7g.large", "ml.g5.xlarge"})
# What moto forgets of a training job.
FORGOTTEN = ("Environment", "RetryStrategy", "ProfilerConfig")


class State:
    """What a test may set: how the next deployment or job goes, and what a job leaves."""

    def __init__(self) -> None:
        self.endpoint_failure = ""
        """Reason for which creating or updating an endpoint fails, until it is emptied."""
        self.on_transform: Callable[[dict[str, Any]], None] = lambda job: None
        """Called with the request of a transform job: it may write the output."""
        self.tuning_children: dict[str, list[dict[str, Any]]] = {}
        self.refused: dict[str, tuple[str, str]] = {}
        """Code and message of the error that an operation returns: `refused["ListRoles"] = …`."""
        self.actions: set[str] = set()
        """The IAM actions of all calls, such as `s3:PutObject`."""
        self.on_build: Callable[[dict[str, Any]], None] = lambda request: None
        """Called with the request of a CodeBuild build, which it may fulfil."""
        self.build_failure = ""
        """Message with which builds fail."""
        self.root_user = {"AccountMFAEnabled": 1, "AccountAccessKeysPresent": 0}


STATE = State()


@contextmanager
def mended() -> Iterator[State]:
    """Mend moto for the length of a `with` block."""
    STATE.__init__()  # type: ignore[misc]
    mends: dict[str, Any] = {
        "add_tags": add_tags,
        "create_training_job": create_training_job,
        "describe_training_job": describe_training_job,
        "list_training_jobs": list_training_jobs,
        "stop_training_job": stop_training_job,
        "update_training_job": update_training_job,
        "create_model": create_model,
        "describe_model": describe_model,
        "create_endpoint": create_endpoint,
        "describe_endpoint": describe_endpoint,
        "update_endpoint": update_endpoint,
        "create_endpoint_config": create_endpoint_config,
        "describe_endpoint_config": describe_endpoint_config,
        "create_transform_job": create_transform_job,
        "stop_transform_job": stop_transform_job,
        "stop_hyper_parameter_tuning_job": stop_tuning_job,
        "list_training_jobs_for_hyper_parameter_tuning_job": list_tuning_children,
    }
    patches = [patch.object(Response, name, mend, create=True) for name, mend in mends.items()]
    patches.append(
        patch.object(models.FakeEndpointConfig, "validate_instance_type", validate_instance_type)
    )
    patches.append(patch.object(Runtime, "_determine_resource", invoked_arn, create=True))
    patches.append(patch.object(LogsResponse, "_determine_resource", log_arn, create=True))
    patches.append(patch.object(IAMPolicyStatement, "is_action_permitted", permitted))
    patches.append(patch.object(IamResponse, "get_account_summary", get_account_summary))
    patches.append(patch.object(CodeBuildResponse, "start_build", start_build))
    patches.append(patch.object(CodeBuildResponse, "batch_get_builds", batch_get_builds))
    patches.append(patch.object(BaseResponse, "call_action", call_action))
    patches.append(
        patch.object(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", authorize)
    )
    for one in patches:
        one.start()
    try:
        yield STATE
    finally:
        for one in reversed(patches):
            one.stop()


_original = {
    name: getattr(Response, name)
    for name in (
        "add_tags",
        "create_endpoint",
        "create_endpoint_config",
        "create_model",
        "create_training_job",
        "create_transform_job",
        "list_training_jobs",
    )
}
_permitted = IAMPolicyStatement.is_action_permitted
_call_action = BaseResponse.call_action
_authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action
_get_account_summary = IamResponse.get_account_summary
_start_build = CodeBuildResponse.start_build
_batch_get_builds = CodeBuildResponse.batch_get_builds
_validate_instance_type = models.FakeEndpointConfig.validate_instance_type


def add_tags(self: Any) -> Any:
    """moto keeps both values of a key that is set twice."""
    keys = [tag["Key"] for tag in self._get_param("Tags")]
    self.sagemaker_backend.delete_tags(self._get_param("ResourceArn"), keys)
    return _original["add_tags"](self)


def create_training_job(self: Any) -> Any:
    """moto replaces metric definitions, forgets some members and accepts a name twice."""
    name = self._get_param("TrainingJobName")
    if name in self.sagemaker_backend.training_jobs:
        raise AWSValidationException(f"Training job names must be unique: {name}")
    metrics = (self._get_param("AlgorithmSpecification") or {}).get("MetricDefinitions")
    answer = _original["create_training_job"](self)
    job = self.sagemaker_backend.training_jobs[name]
    job.algorithm_specification.pop("MetricDefinitions", None)
    if metrics:
        job.algorithm_specification["MetricDefinitions"] = metrics
    job.remembered = {
        key: value for key in FORGOTTEN if (value := self._get_param(key)) is not None
    }
    return answer


def describe_training_job(self: Any) -> Any:
    name = self._get_param("TrainingJobName")
    job = dict(self.sagemaker_backend.describe_training_job(name))
    job.update(getattr(self.sagemaker_backend.training_jobs[name], "remembered", {}))
    return ActionResult(job)


def list_training_jobs(self: Any) -> Any:
    """moto knows no warm pools."""
    answer = _original["list_training_jobs"](self)
    for summary in answer.result["TrainingJobSummaries"]:
        job = self.sagemaker_backend.training_jobs[summary["TrainingJobName"]]
        if job.resource_config.get("KeepAlivePeriodInSeconds"):
            summary["WarmPoolStatus"] = {"Status": "Available"}
    return answer


def stop_training_job(self: Any) -> Any:
    name = self._get_param("TrainingJobName")
    self.sagemaker_backend.describe_training_job(name)
    self.sagemaker_backend.training_jobs[name].training_job_status = "Stopped"
    return EmptyResult()


def update_training_job(self: Any) -> Any:
    job = self.sagemaker_backend.training_jobs[self._get_param("TrainingJobName")]
    job.resource_config = {**job.resource_config, **(self._get_param("ResourceConfig") or {})}
    if job.resource_config.get("KeepAlivePeriodInSeconds") == 0:
        job.remembered["WarmPoolStatus"] = {"Status": "Terminated"}
    return ActionResult({"TrainingJobArn": job.arn})


def create_model(self: Any) -> Any:
    """moto forgets network isolation and replaces a model of the same name."""
    name = self._get_param("ModelName")
    if name in self.sagemaker_backend._models:
        raise AWSValidationException(f"Cannot create already existing model {name}")
    answer = _original["create_model"](self)
    self.sagemaker_backend._models[name].isolated = bool(self._get_param("EnableNetworkIsolation"))
    return answer


def describe_model(self: Any) -> Any:
    name = self._get_param("ModelName")
    found = dict(self.sagemaker_backend.describe_model(name).response_object)
    found["EnableNetworkIsolation"] = getattr(
        self.sagemaker_backend._models[name], "isolated", False
    )
    if not found.get("VpcConfig"):
        found.pop("VpcConfig", None)
    return ActionResult(found)


def create_endpoint_config(self: Any) -> Any:
    name = self._get_param("EndpointConfigName")
    if name in self.sagemaker_backend.endpoint_configs:
        raise AWSValidationException(f"Cannot create already existing endpoint config {name}")
    return _original["create_endpoint_config"](self)


def describe_endpoint_config(self: Any) -> Any:
    """moto answers with an empty DataCaptureConfig where there is none."""
    name = self._get_param("EndpointConfigName")
    found = dict(self.sagemaker_backend.describe_endpoint_config(name))
    if not found.get("DataCaptureConfig"):
        found.pop("DataCaptureConfig", None)
    return ActionResult(found)


def create_endpoint(self: Any) -> Any:
    """moto replaces an endpoint of the same name and never fails."""
    name = self._get_param("EndpointName")
    if name in self.sagemaker_backend.endpoints:
        raise AWSValidationException("Cannot create already existing endpoint")
    answer = _original["create_endpoint"](self)
    endpoint = self.sagemaker_backend.endpoints[name]
    endpoint.failure_reason = STATE.endpoint_failure
    if STATE.endpoint_failure:
        endpoint.endpoint_status = "Failed"
    return answer


def describe_endpoint(self: Any) -> Any:
    name = self._get_param("EndpointName")
    found = dict(self.sagemaker_backend.describe_endpoint(name))
    endpoint = self.sagemaker_backend.endpoints[name]
    if getattr(endpoint, "failure_reason", ""):
        found["FailureReason"] = endpoint.failure_reason
    if deployment := getattr(endpoint, "deployment", None):
        found["LastDeploymentConfig"] = deployment
    if not found.get("DataCaptureConfig"):
        found.pop("DataCaptureConfig", None)
    return ActionResult(found)


def update_endpoint(self: Any) -> Any:
    """moto has no UpdateEndpoint. A failing one leaves the old configuration in service."""
    backend = self.sagemaker_backend
    name, config = self._get_param("EndpointName"), self._get_param("EndpointConfigName")
    backend.describe_endpoint(name)
    wanted = backend.describe_endpoint_config(config)
    endpoint = backend.endpoints[name]
    alarms = (self._get_param("DeploymentConfig") or {}).get("AutoRollbackConfiguration", {})
    _require_alarms(self, [alarm["AlarmName"] for alarm in alarms.get("Alarms", [])])
    endpoint.deployment = self._get_param("DeploymentConfig")
    endpoint.retained = bool(self._get_param("RetainAllVariantProperties"))
    if STATE.endpoint_failure:
        endpoint.failure_reason = STATE.endpoint_failure
        return ActionResult({"EndpointArn": endpoint.arn})
    counts = {
        variant["VariantName"]: variant.get("CurrentInstanceCount")
        for variant in endpoint.production_variants
    }
    endpoint.failure_reason = ""
    endpoint.endpoint_config_name = config
    endpoint.production_variants = endpoint._process_production_variants(
        wanted["ProductionVariants"]
    )
    if endpoint.retained:
        for variant in endpoint.production_variants:
            if counts.get(variant["VariantName"]):
                variant["CurrentInstanceCount"] = counts[variant["VariantName"]]
                variant["DesiredInstanceCount"] = counts[variant["VariantName"]]
    return ActionResult({"EndpointArn": endpoint.arn})


def _require_alarms(self: Any, names: list[str]) -> None:
    from moto.cloudwatch.models import cloudwatch_backends

    known = cloudwatch_backends[self.current_account][self.region].alarms
    for name in names:
        if name not in known:
            raise ValidationError(message=f"Could not find alarm {name}")


def validate_instance_type(self: Any, instance_type: str) -> None:
    if instance_type not in INSTANCE_TYPES:
        _validate_instance_type(self, instance_type)


def create_transform_job(self: Any) -> Any:
    """moto's jobs leave no output."""
    answer = _original["create_transform_job"](self)
    STATE.on_transform(
        {
            key: self._get_param(key)
            for key in ("TransformJobName", "ModelName", "TransformInput", "TransformOutput")
        }
    )
    return answer


def stop_transform_job(self: Any) -> Any:
    name = self._get_param("TransformJobName")
    self.sagemaker_backend.transform_jobs[name].transform_job_status = "Stopped"
    return EmptyResult()


def stop_tuning_job(self: Any) -> Any:
    name = self._get_param("HyperParameterTuningJobName")
    job = self.sagemaker_backend.hyper_parameter_tuning_jobs[name]
    job.hyper_parameter_tuning_job_status = "Stopped"
    return EmptyResult()


def list_tuning_children(self: Any) -> Any:
    name = self._get_param("HyperParameterTuningJobName")
    return ActionResult({"TrainingJobSummaries": STATE.tuning_children.get(name, [])})


def invoked_arn(self: Any) -> str:
    """moto checks permissions to invoke against any resource; AWS, the name in lower case."""
    name = self.path.split("/")[2].lower()
    return f"arn:aws:sagemaker:{self.region}:{self.current_account}:endpoint/{name}"


def log_arn(self: Any) -> str:
    """moto checks permissions to log against any resource."""
    group = self._get_param("logGroupName") or "*"
    return f"arn:aws:logs:{self.region}:{self.current_account}:log-group:{group}:log-stream:x"


def permitted(self: Any, *arguments: Any, **named: Any) -> PermissionResult:
    """moto refuses every call to a bucket that refuses calls without TLS. Ours have it."""
    condition = self._statement.get("Condition", {})
    if condition == {"Bool": {"aws:SecureTransport": "false"}}:
        return PermissionResult.NEUTRAL
    return _permitted(self, *arguments, **named)


class Refusal(ServiceException):
    """An error that a test has set for an operation."""


def call_action(self: Any) -> Any:
    action = self._get_action()
    if action not in STATE.refused:
        return _call_action(self)
    with warnings.catch_warnings(action="ignore"):  # about codes that are not in botocore's model
        return self.serialized(ActionResult(Refusal(*STATE.refused[action])))


def authorize(self: Any, request_class: type, resource: str = "*") -> None:
    """Record the IAM action of a call."""
    service = self.headers.get("Authorization", "").partition("Credential=")[2].split("/")[3:4]
    action = self._get_action()
    STATE.actions.add(f"{''.join(service)}:{action if isinstance(action, str) else action[0]}")
    _authorize(self, request_class, resource)


def get_account_summary(self: Any) -> Any:
    """moto returns the same root user for every account."""
    response = _get_account_summary(self)
    response.result["SummaryMap"] = {**response.result["SummaryMap"], **STATE.root_user}
    return response


def start_build(self: Any) -> Any:
    """moto's builds do nothing."""
    STATE.on_build(
        {
            key: self._get_param(key)
            for key in ("projectName", "sourceLocationOverride", "environmentVariablesOverride")
        }
    )
    return _start_build(self)


def batch_get_builds(self: Any) -> Any:
    """moto's builds never fail."""
    response = _batch_get_builds(self)
    if STATE.build_failure:
        for build in response.result["builds"]:
            build["buildStatus"] = "FAILED"
            build["phases"] = [{"contexts": [{"message": STATE.build_failure}]}]
    return response
