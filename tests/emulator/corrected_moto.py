"""moto 5.2.5, corrected where its answers differ from those of AWS.

Each replacement names the difference. A test sets what goes wrong in the account through `STATE`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from botocore import handlers
from botocore.awsrequest import AWSResponse
from moto.codebuild.responses import CodeBuildResponse
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models.amis import Ami
from moto.iam import models as iam_models
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.iam.responses import IamResponse
from moto.logs.responses import LogsResponse
from moto.sagemaker.exceptions import AWSValidationException, ValidationError
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from tests.aws_rules import rules as aws_rules
from tests.aws_rules import s3 as s3_rules
from tests.emulator import (
    corrected_account,
    corrected_iam,
    iam_enforcement,
    sagemaker_endpoints,
    stack_life,
)

# Members of a training job that moto drops.
DROPPED = ("Environment", "RetryStrategy", "ProfilerConfig")


def _do_nothing(*_: Any) -> None:
    pass


@dataclass
class State:
    """What happens in the account: faults, and what jobs do while they run."""

    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Error code and message by operation, such as RunInstances, which then always fails."""
    endpoint_failure: str = ""
    """Reason why creating or updating an endpoint fails."""
    endpoint_polls: int = 1
    """Times that an endpoint is described as Creating, Updating or Deleting."""
    on_update: Callable[[str, str], None] = _do_nothing
    """Called with the names of an endpoint and of its new config when an update begins."""
    lag: int = 0
    """Times that a call does not find a role or an endpoint config at first."""
    seen: dict[str, int] = field(default_factory=dict)
    training_failure: str = ""
    """Reason why training jobs fail."""
    best_values: dict[str, str] = field(default_factory=dict)
    """Hyperparameters of the best training job of every tuning job."""
    on_training: Callable[[dict[str, Any]], None] = _do_nothing
    """Called with the description of a training job whenever it is described."""
    on_transform: Callable[[dict[str, Any]], None] = _do_nothing
    """Called with the request of a transform job, to write its output."""
    on_build: Callable[[dict[str, Any]], None] = _do_nothing
    """Called with the request of a CodeBuild build, to push its image."""
    build_failure: str = ""
    """Message with which builds fail."""
    root_user: dict[str, int] = field(
        default_factory=lambda: {"AccountMFAEnabled": 1, "AccountAccessKeysPresent": 0}
    )
    stack_hangs: bool = False
    """An executed change set stays in progress."""
    on_stack: Callable[[], None] = _do_nothing
    """Called whenever stacks are described."""
    simulated_decision: str = "allowed"
    """What iam:SimulatePrincipalPolicy says about every action."""
    s3_calls: list[tuple[str, str]] = field(default_factory=list)
    """The operation and the expected owner of each call so far that may name one."""
    quotas: dict[str, float] = field(default_factory=dict)
    """Quotas that differ from those of corrected_account, by name."""
    confirmed: set[str] = field(default_factory=set)
    """Mail addresses that have confirmed their subscriptions."""
    studio_apps: list[dict[str, Any]] = field(default_factory=list)
    """What ListApps returns."""
    actions: set[str] = field(default_factory=set)
    """The IAM actions of all calls so far, such as `s3:PutObject`."""

    def reset(self) -> None:
        vars(self).update(vars(State()))


STATE = State()


@contextmanager
def corrected() -> Iterator[State]:
    """Correct moto within a `with` block."""
    methods: dict[str, Any] = {
        "add_tags": add_tags,
        "create_training_job": create_training_job,
        "describe_training_job": describe_training_job,
        "list_apps": list_apps,
        "list_training_jobs": list_training_jobs,
        "stop_training_job": stop_training_job,
        "update_training_job": update_training_job,
        "create_transform_job": create_transform_job,
        "describe_hyper_parameter_tuning_job": describe_tuning_job,
    }
    replacements: list[tuple[Any, str, Any]] = [
        *((SageMakerResponse, name, method) for name, method in methods.items()),
        *sagemaker_endpoints.REPLACEMENTS,
        (SageMakerRuntimeResponse, "_determine_resource", endpoint_arn),
        (LogsResponse, "_determine_resource", log_arn),
        (IAMPolicyStatement, "is_action_permitted", is_action_permitted),
        (ActionAuthenticatorMixin, "_authenticate_and_authorize_action", authorize),
        (IamResponse, "get_account_summary", get_account_summary),
        (IamResponse, "simulate_principal_policy", simulate_principal_policy),
        (Ami, "block_device_mappings", property(block_device_mappings)),
        *corrected_account.REPLACEMENTS,
        (CodeBuildResponse, "start_build", start_build),
        (CodeBuildResponse, "batch_get_builds", batch_get_builds),
        *corrected_iam.REPLACEMENTS,
        *stack_life.replacements(STATE),
        # sessions that are created from now on register it
        (handlers, "BUILTIN_HANDLERS", [*handlers.BUILTIN_HANDLERS, ("before-call", refuse)]),
    ]
    with ExitStack() as stack:
        for owner, name, replacement in replacements:
            stack.enter_context(patch.object(owner, name, replacement, create=True))
        # moto names the role AWSServiceRoleForspot
        linked = {"spot": "EC2Spot"}
        stack.enter_context(patch.dict(iam_models.SERVICE_NAME_CONVERSION, linked))
        stack.enter_context(aws_rules.enforced())
        STATE.reset()
        yield STATE


def refuse(model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
    """Answer an operation in `STATE.refused` with its error instead of sending it."""
    if model.name not in STATE.refused:
        return None
    code, message = STATE.refused[model.name]
    error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}
    return AWSResponse("", 400, {}, None), error


_original = {
    name: getattr(SageMakerResponse, name)
    for name in (
        "add_tags",
        "create_training_job",
        "create_transform_job",
        "describe_hyper_parameter_tuning_job",
        "list_training_jobs",
    )
}
_is_action_permitted = IAMPolicyStatement.is_action_permitted
_authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action
_get_account_summary = IamResponse.get_account_summary
_start_build = CodeBuildResponse.start_build
_batch_get_builds = CodeBuildResponse.batch_get_builds


def add_tags(self: Any) -> Any:
    """moto keeps both values of a tag that is set twice."""
    keys = [tag["Key"] for tag in self._get_param("Tags")]
    self.sagemaker_backend.delete_tags(self._get_param("ResourceArn"), keys)
    return _original["add_tags"](self)


def assume_role(arn: str) -> None:
    """Refuse a new role as long as IAM spreads it."""
    spread(arn, f"Could not assume role {arn}. Please ensure that the role exists and allows")


def spread(name: str, message: str) -> None:
    """Refuse the first `STATE.lag` calls that refer to a resource, which reads do not see yet."""
    STATE.seen[name] = STATE.seen.get(name, 0) + 1
    if STATE.seen[name] <= STATE.lag:
        raise ValidationError(message=message)


def create_training_job(self: Any) -> Any:
    """moto replaces metric definitions, drops some members and accepts duplicate names."""
    name = self._get_param("TrainingJobName")
    if name in self.sagemaker_backend.training_jobs:
        raise AWSValidationException(f"Training job names must be unique: {name}")
    assume_role(self._get_param("RoleArn"))
    metrics = (self._get_param("AlgorithmSpecification") or {}).get("MetricDefinitions")
    response = _original["create_training_job"](self)
    job = self.sagemaker_backend.training_jobs[name]
    job.algorithm_specification.pop("MetricDefinitions", None)
    if metrics:
        job.algorithm_specification["MetricDefinitions"] = metrics
    job.dropped = {key: value for key in DROPPED if (value := self._get_param(key)) is not None}
    return response


def describe_training_job(self: Any) -> Any:
    """moto's jobs never fail."""
    name = self._get_param("TrainingJobName")
    job = dict(self.sagemaker_backend.describe_training_job(name))
    job.update(getattr(self.sagemaker_backend.training_jobs[name], "dropped", {}))
    STATE.on_training(job)
    if STATE.training_failure:
        job |= {"TrainingJobStatus": "Failed", "FailureReason": STATE.training_failure}
    return ActionResult(job)


def list_training_jobs(self: Any) -> Any:
    """moto has no warm pools."""
    response = _original["list_training_jobs"](self)
    for summary in response.result["TrainingJobSummaries"]:
        job = self.sagemaker_backend.training_jobs[summary["TrainingJobName"]]
        if job.resource_config.get("KeepAlivePeriodInSeconds"):
            summary["WarmPoolStatus"] = {"Status": "Available"}
    return response


def list_apps(self: Any) -> Any:
    """moto has no ListApps."""
    return ActionResult({"Apps": STATE.studio_apps})


def stop_training_job(self: Any) -> Any:
    name = self._get_param("TrainingJobName")
    self.sagemaker_backend.describe_training_job(name)
    self.sagemaker_backend.training_jobs[name].training_job_status = "Stopped"
    return EmptyResult()


def update_training_job(self: Any) -> Any:
    job = self.sagemaker_backend.training_jobs[self._get_param("TrainingJobName")]
    job.resource_config = {**job.resource_config, **(self._get_param("ResourceConfig") or {})}
    if job.resource_config.get("KeepAlivePeriodInSeconds") == 0:
        job.dropped["WarmPoolStatus"] = {"Status": "Terminated"}
    return ActionResult({"TrainingJobArn": job.arn})


def create_transform_job(self: Any) -> Any:
    """moto's jobs write no output."""
    response = _original["create_transform_job"](self)
    STATE.on_transform(
        {
            key: self._get_param(key)
            for key in ("TransformJobName", "ModelName", "TransformInput", "TransformOutput")
        }
    )
    return response


def describe_tuning_job(self: Any) -> Any:
    """moto's best training job always has the same values."""
    response = _original["describe_hyper_parameter_tuning_job"](self)
    best = {**response.result["BestTrainingJob"], "TunedHyperParameters": STATE.best_values}
    response.result["BestTrainingJob"] = best
    return response


def endpoint_arn(self: Any) -> str:
    """moto checks permissions to invoke against `*`; AWS, against the name in lower case."""
    name = self.path.split("/")[2].lower()
    return f"arn:aws:sagemaker:{self.region}:{self.current_account}:endpoint/{name}"


def log_arn(self: Any) -> str:
    """moto checks permissions to log against `*`."""
    group = self._get_param("logGroupName") or "*"
    return f"arn:aws:logs:{self.region}:{self.current_account}:log-group:{group}:log-stream:x"


def is_action_permitted(self: Any, *arguments: Any, **named: Any) -> PermissionResult:
    """moto applies a conditional Deny of a bucket's policy to all calls.

    iam_enforcement.py evaluates its condition.
    """
    statement = self._statement
    if "Principal" in statement and "Condition" in statement and statement["Effect"] == "Deny":
        return PermissionResult.NEUTRAL
    return _is_action_permitted(self, *arguments, **named)


def authorize(self: Any, request_class: type, resource: str = "*") -> None:
    """Record the IAM action of a call."""
    credential = self.headers.get("Authorization", "").partition("Credential=")[2].split("/")
    names = self._get_action()
    name = names if isinstance(names, str) else names[0]
    action = f"{''.join(credential[3:4])}:{name}"
    # moto takes these two names from the request; IAM has others
    action = action.replace("monitoring:", "cloudwatch:").replace("s3:HeadBucket", "s3:ListBucket")
    STATE.actions.add(action)
    if self.service_name == "s3" and name in s3_rules.OWNED:
        STATE.s3_calls.append((name, self.headers.get("x-amz-expected-bucket-owner", "")))
    iam_enforcement.CALL.response = self
    _authorize(self, request_class, resource)


def block_device_mappings(self: Any) -> list[dict[str, Any]]:
    """moto's images all have 15 GB."""
    snapshot = self.ebs_snapshot
    ebs = {"SnapshotId": snapshot.id, "VolumeSize": snapshot.volume.size, "VolumeType": "gp3"}
    return [{"DeviceName": self.root_device_name, "Ebs": ebs}]


def simulate_principal_policy(self: Any) -> ActionResult:
    """moto has no simulation."""
    actions = self._get_param("ActionNames", [])
    results = [
        {"EvalActionName": action, "EvalDecision": STATE.simulated_decision} for action in actions
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def get_account_summary(self: Any) -> Any:
    """moto returns the same root user for every account."""
    response: Any = _get_account_summary(self)
    response.result["SummaryMap"] = {**response.result["SummaryMap"], **STATE.root_user}
    return response


def start_build(self: Any) -> Any:
    """moto's builds do nothing."""
    names = (
        "projectName", "sourceLocationOverride", "environmentVariablesOverride",
        "buildspecOverride",
    )  # fmt: skip
    STATE.on_build({name: self._get_param(name) for name in names})
    return _start_build(self)


def batch_get_builds(self: Any) -> Any:
    """moto's builds never fail."""
    response: Any = _batch_get_builds(self)
    if STATE.build_failure:
        for build in response.result["builds"]:
            build["buildStatus"] = "FAILED"
            build["phases"] = [{"contexts": [{"message": STATE.build_failure}]}]
    return response
