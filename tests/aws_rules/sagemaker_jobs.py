"""Training, transform and tuning jobs in SageMaker."""

import json
import re
from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends

from tests.aws_rules import local_storage
from tests.aws_rules.rules import Refused, Request, rule

_API = "https://docs.aws.amazon.com/sagemaker/latest/APIReference"
_GUIDE = "https://docs.aws.amazon.com/sagemaker/latest/dg"
_CREATE = ("CreateTrainingJob", "CreateTransformJob", "CreateHyperParameterTuningJob")
_TRAIN = ("CreateTrainingJob", "CreateHyperParameterTuningJob")
DAY_S = 24 * 3600


@rule("sagemaker", *_CREATE, source=f"{_API}/API_ResourceConfig.html")
def local_storage_takes_no_key(request: Request) -> None:
    """VolumeKmsKeyId is refused for instance types with local storage."""
    for resources in _resources(request.parameters):
        types = [resources, *(resources.get("InstanceGroups") or [])]
        for each in types:
            if resources.get("VolumeKmsKeyId") and local_storage.has(
                each.get("InstanceType") or ""
            ):
                raise _invalid(
                    f"VolumeKmsKeyId is not supported for instance type {each['InstanceType']}, "
                    "which has local storage"
                )


@rule("sagemaker", *_TRAIN, source=f"{_API}/API_ResourceConfig.html")
def volumes_fit(request: Request) -> None:
    """A volume has at most 16,384 GB, or the size of the instance type's local storage."""
    for resources in _resources(request.parameters):
        size = resources.get("VolumeSizeInGB") or 1
        most = local_storage.capacity_gb(resources.get("InstanceType") or "")
        if size > most:
            raise _invalid(f"VolumeSizeInGB {size} exceeds the {most} GB of the instance type")


@rule("sagemaker", *_TRAIN, source=f"{_API}/API_StoppingCondition.html")
def times_are_in_range(request: Request) -> None:
    """A job runs at most 28 days. Only spot jobs have MaxWaitTimeInSeconds, and it is longer."""
    for job in _definitions(request.parameters):
        stop = job.get("StoppingCondition") or {}
        runtime = stop.get("MaxRuntimeInSeconds", DAY_S)
        wait, spot = stop.get("MaxWaitTimeInSeconds"), job.get("EnableManagedSpotTraining")
        if runtime > 28 * DAY_S:
            raise _invalid(f"MaxRuntimeInSeconds {runtime} exceeds 28 days")
        if spot and (wait is None or wait < runtime):
            raise _invalid("MaxWaitTimeInSeconds must be at least MaxRuntimeInSeconds")
        if wait is not None and not spot:
            raise _invalid("MaxWaitTimeInSeconds requires EnableManagedSpotTraining")


@rule("sagemaker", *_TRAIN, "UpdateTrainingJob", source=f"{_GUIDE}/train-warm-pools.html")
def warm_pools_are_on_demand(request: Request) -> None:
    """A warm pool is kept for up to 60 minutes, not with spot and not by tuning jobs."""
    tuning = request.operation == "CreateHyperParameterTuningJob"
    for job in _definitions(request.parameters):
        keep_s = (job.get("ResourceConfig") or {}).get("KeepAlivePeriodInSeconds")
        if keep_s is None:
            continue
        if keep_s > 3600:
            raise _invalid(f"KeepAlivePeriodInSeconds {keep_s} exceeds 3600")
        if keep_s and (tuning or job.get("EnableManagedSpotTraining")):
            raise _invalid("Warm pools support neither spot nor tuning jobs")


@rule("sagemaker", *_TRAIN, source=f"{_GUIDE}/model-checkpoints.html")
def checkpoints_have_their_own_folder(request: Request) -> None:
    """LocalPath of checkpoints is not a folder that SageMaker reserves."""
    reserved = r"/opt/ml/(input|model|output|code|errors|failure)(/.*)?"
    for job in _definitions(request.parameters):
        path = (job.get("CheckpointConfig") or {}).get("LocalPath") or ""
        if re.fullmatch(reserved, path):
            raise _invalid(f"The checkpoint path {path} is reserved")


@rule("sagemaker", *_TRAIN, source=f"{_API}/API_CreateTrainingJob.html")
def channels_have_data(request: Request) -> None:
    """Channels have different names, and each finds objects in a bucket of the job's region."""
    for job in _definitions(request.parameters):
        channels = job.get("InputDataConfig") or []
        names = [channel["ChannelName"] for channel in channels]
        if len(set(names)) < len(names):
            raise _invalid(f"Channel names must be unique: {', '.join(names)}")
        for channel in channels:
            source = channel["DataSource"].get("S3DataSource")
            if source:
                _require_data(request, job.get("RoleArn") or "", source["S3Uri"])


@rule("sagemaker", "CreateTransformJob", source=f"{_API}/API_CreateTransformJob.html")
def transform_input_exists(request: Request) -> None:
    """A transform job finds its model and its input."""
    models = sagemaker_backends[request.account][request.region]._models
    name = request.parameters["ModelName"]
    if name not in models:
        raise _invalid(f'Could not find model "{name}"')
    source = request.parameters["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    _require_data(request, "", source)


@rule("sagemaker", "CreateTransformJob", source=f"{_API}/API_TransformS3DataSource.html")
def manifests_list_objects(request: Request) -> None:
    """A manifest is a JSON list of a prefix and of keys relative to it, which exist."""
    source = request.parameters["TransformInput"]["DataSource"]["S3DataSource"]
    if source["S3DataType"] != "ManifestFile":
        return
    bucket_name, _, key = source["S3Uri"].removeprefix("s3://").partition("/")
    _, owner = s3_backends.bucket_accounts.get(bucket_name, ("aws", request.account))
    buckets = s3_backends[owner]["aws"].buckets
    try:
        first, *names = json.loads(buckets[bucket_name].keys[key].value)
        prefix = first["prefix"]
    except (ValueError, KeyError, TypeError):
        raise _invalid(f"The manifest {source['S3Uri']} is not a list with a prefix") from None
    target, _, start = prefix.removeprefix("s3://").partition("/")
    missing = [name for name in names if start + name not in buckets[target].keys]
    if missing or not names:
        raise _invalid(f"The manifest {source['S3Uri']} lists no object {missing[:1]}")


@rule("sagemaker", "CreateTransformJob", source=f"{_API}/API_CreateTransformJob.html")
def payloads_fit(request: Request) -> None:
    """MaxConcurrentTransforms x MaxPayloadInMB is at most 100 MB."""
    payload = request.parameters.get("MaxPayloadInMB") or 6
    total = payload * max(1, request.parameters.get("MaxConcurrentTransforms") or 1)
    if total > 100:
        raise _invalid(f"MaxConcurrentTransforms * MaxPayloadInMB is {total} MB, above 100 MB")


@rule("sagemaker", *_TRAIN, source=f"{_GUIDE}/sagemaker-roles.html")
def role_trusts_sagemaker(request: Request) -> None:
    """The execution role exists, and SageMaker may assume it."""
    for job in _definitions(request.parameters):
        role = _role(request, job.get("RoleArn") or "")
        if role is None or "sagemaker.amazonaws.com" not in role.assume_role_policy_document:
            raise _invalid(
                f"Could not assume role {job.get('RoleArn')}. Please ensure that the role exists "
                "and allows principal 'sagemaker.amazonaws.com' to assume the role."
            )


@rule("sagemaker", *_TRAIN, "CreateModel", source=f"{_GUIDE}/train-vpc.html")
def vpc_is_consistent(request: Request) -> None:
    """Subnets and security groups exist and are in one VPC."""
    for job in _definitions(request.parameters):
        vpc = job.get("VpcConfig")
        if not vpc:
            continue
        backend = ec2_backends[request.account][request.region]
        known = {
            each.id: each.vpc_id for zone in backend.subnets.values() for each in zone.values()
        }
        groups: list[Any] = [
            backend.get_security_group_from_id(name) for name in vpc["SecurityGroupIds"]
        ]
        if None in groups or not set(vpc["Subnets"]) <= set(known):
            raise _invalid("The subnets or security groups of VpcConfig do not exist")
        if len({known[name] for name in vpc["Subnets"]} | {each.vpc_id for each in groups}) > 1:
            raise _invalid("The subnets and security groups of VpcConfig are in several VPCs")


@rule(
    "sagemaker",
    "CreateHyperParameterTuningJob",
    source=f"{_GUIDE}/automatic-model-tuning-limits.html",
)
def tuning_stays_within_its_limits(request: Request) -> None:
    """At most 750 jobs, 100 at once, 30 hyperparameters, 30 values of a category."""
    config = request.parameters["HyperParameterTuningJobConfig"]
    limits, ranges = config["ResourceLimits"], config.get("ParameterRanges") or {}
    most, parallel = limits.get("MaxNumberOfTrainingJobs"), limits["MaxParallelTrainingJobs"]
    if most is not None and (parallel > most or most > 750):
        raise _invalid("MaxNumberOfTrainingJobs must be MaxParallelTrainingJobs to 750")
    if parallel > 100:
        raise _invalid("MaxParallelTrainingJobs must be at most 100")
    parameters = [each for kind in ranges.values() for each in kind or []]
    if not 1 <= len(parameters) <= 30:
        raise _invalid("A tuning job searches 1 to 30 hyperparameters")
    if any(len(each.get("Values") or []) > 30 for each in parameters):
        raise _invalid("A categorical hyperparameter has at most 30 values")
    names = {each["Name"] for each in parameters}
    for job in _definitions(request.parameters):
        static = job.get("StaticHyperParameters") or {}
        if shared := names & set(static):
            raise _invalid(f"Both static and tunable: {', '.join(sorted(shared))}")
        if len(names | set(static)) > 99:  # SageMaker adds the objective
            raise _invalid("A tuning job has at most 100 static and tunable hyperparameters")


@rule(
    "sagemaker",
    "CreateHyperParameterTuningJob",
    source=f"{_GUIDE}/automatic-model-tuning-define-ranges.html",
)
def ranges_are_searchable(request: Request) -> None:
    """Logarithmic ranges are positive; lower limits are below upper ones."""
    ranges = request.parameters["HyperParameterTuningJobConfig"].get("ParameterRanges") or {}
    for kind in ("IntegerParameterRanges", "ContinuousParameterRanges"):
        for each in ranges.get(kind) or []:
            low, high = float(each["MinValue"]), float(each["MaxValue"])
            if low >= high:
                raise _invalid(f"{each['Name']}: MinValue must be below MaxValue")
            if each.get("ScalingType") == "Logarithmic" and low <= 0:
                raise _invalid(f"{each['Name']}: a logarithmic range must be above 0")


@rule(
    "sagemaker",
    "CreateHyperParameterTuningJob",
    source=f"{_GUIDE}/automatic-model-tuning-how-it-works.html",
)
def strategies_have_their_rules(request: Request) -> None:
    """Grid searches all combinations of categories; Hyperband stops jobs itself."""
    config = request.parameters["HyperParameterTuningJobConfig"]
    strategy, ranges = config["Strategy"], config.get("ParameterRanges") or {}
    categories = ranges.get("CategoricalParameterRanges") or []
    others = [each for kind, each in ranges.items() if kind != "CategoricalParameterRanges"]
    if strategy == "Grid":
        if any(others):
            raise _invalid("Grid search supports categorical hyperparameters only")
        most = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
        if most is not None and most != prod(len(each["Values"]) for each in categories):
            raise _invalid("MaxNumberOfTrainingJobs must be the number of all combinations")
    if strategy in ("Grid", "Hyperband") and config.get("TrainingJobEarlyStoppingType") == "Auto":
        raise _invalid(f"TrainingJobEarlyStoppingType must be Off with {strategy}")


@rule("sagemaker", "CreateHyperParameterTuningJob", source=f"{_API}/API_MetricDefinition.html")
def objective_is_defined(request: Request) -> None:
    """The objective is one of the metrics of the training image's definition."""
    for job in _definitions(request.parameters):
        metrics = job["AlgorithmSpecification"].get("MetricDefinitions") or []
        config = request.parameters["HyperParameterTuningJobConfig"]
        objective = (config.get("HyperParameterTuningJobObjective") or {}).get("MetricName")
        if objective and metrics and objective not in {each["Name"] for each in metrics}:
            raise _invalid(f"The objective {objective} has no metric definition")


def _definitions(parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the request itself, or the training jobs that a tuning job defines."""
    if "TrainingJobDefinition" in parameters:
        yield parameters["TrainingJobDefinition"]
    elif "TrainingJobDefinitions" in parameters:
        yield from parameters["TrainingJobDefinitions"]
    else:
        yield parameters


def _resources(parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = ("ResourceConfig", "HyperParameterTuningResourceConfig", "TransformResources")
    for definition, name in product(_definitions(parameters), names):
        if definition.get(name):
            yield definition[name]


def _require_data(request: Request, role_arn: str, uri: str) -> None:
    bucket_name, _, prefix = uri.removeprefix("s3://").partition("/")
    _, owner = s3_backends.bucket_accounts.get(bucket_name, ("aws", request.account))
    bucket = s3_backends[owner]["aws"].buckets.get(bucket_name)
    if bucket is not None and bucket.region_name != request.region:
        raise _invalid(f"The bucket {bucket_name} is in {bucket.region_name}")
    if bucket is None or not any(key.startswith(prefix) for key in bucket.keys):
        raise _invalid(f'No S3 objects found under S3 URL "{uri}" given in input data source.')
    if owner != request.account:
        _require_access(request, role_arn, bucket, f"arn:aws:s3:::{bucket_name}", prefix)


def _require_access(request: Request, role_arn: str, bucket: Any, arn: str, prefix: str) -> None:
    """Across accounts, the policies of the role and of the bucket must both allow to read."""
    from tests.emulator.iam_enforcement import Access, permits

    role = _role(request, role_arn)
    own = [json.loads(text) for text in role.policies.values()] if role else []
    their = json.loads(bucket.policy)["Statement"] if bucket.policy else []
    principals = (f"arn:aws:iam::{request.account}:root", request.account, role_arn)
    admitting = [
        {key: value for key, value in each.items() if key != "Principal"}
        for each in their
        if each["Effect"] == "Allow"
        and isinstance(each.get("Principal"), dict)
        and each["Principal"].get("AWS") in principals
    ]
    for access in (
        Access("s3:ListBucket", arn, {"s3:prefix": prefix}),
        Access("s3:GetObject", f"{arn}/{prefix.rstrip('/')}/x"),
    ):
        if not permits(own, access) or not permits([{"Statement": admitting}], access):
            raise _invalid(f"{role_arn} is not allowed to call {access.action} on {arn}/{prefix}")


def _role(request: Request, arn: str) -> Any:
    roles = iam_backends[request.account]["aws"].roles.values()
    return next((role for role in roles if role.arn == arn), None)


def _invalid(message: str) -> Refused:
    return Refused("ValidationException", message)
