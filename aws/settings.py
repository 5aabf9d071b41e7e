"""The tables of settings.toml that describe AWS resources."""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from aws.naming import KEY, REPOSITORY, ROLE, ROLE_NAME, BaseImage, Bucket, RetentionDays, Tags
from aws.stages import Config
from cli.settings import Names, Section

_METRIC_NAME = Annotated[str, Field(min_length=1, max_length=255)]
_METRIC_REGEX = Annotated[str, Field(min_length=1, max_length=500)]
DAY_S = 24 * 3600


class AwsSettings(Section):
    """The table [aws]: the account, the names in it, and the network."""

    TABLE = "aws"

    region: str = ""
    """AWS region. Empty: AWS_DEFAULT_REGION, AWS_REGION or the profile's region."""
    bucket: Bucket = ""
    """S3 bucket for data, jobs and models. Empty: whatbreed-ACCOUNT-REGION."""
    # 38: SageMaker's 63 for a name, less `-transform-` and a timestamp.
    prefix: str = Field("whatbreed", pattern=r"^[a-zA-Z0-9](-?[a-zA-Z0-9]){0,31}$", max_length=38)
    """Prefix of all keys in the bucket and of all job names."""
    training_role: str = Field("whatbreed-training", pattern=ROLE)
    """Role of training and tuning jobs: a name or an ARN."""
    serving_role: str = Field("whatbreed-serving", pattern=ROLE)
    """Role of the endpoint and of Batch Transform: a name or an ARN."""
    subnets: Names = Field([], max_length=16)
    """Subnets of all jobs and endpoints. Empty: no VPC."""
    security_groups: Names = Field([], max_length=5)
    """Security groups of all jobs and endpoints; required with subnets."""
    kms_key: str = Field("", pattern=KEY)
    """ARN of the KMS key for the bucket, volumes and output, not an alias. Empty: keys of S3 and
    SageMaker. Local storage of instance types such as ml.g5.xlarge is encrypted by its hardware."""
    log_retention_days: RetentionDays = 90
    """Days that the logs of jobs, builds and endpoints are kept."""
    poll_s: float = Field(10.0, ge=0)
    """Seconds between two polls of a job, an endpoint, a build or a stack."""
    # AWS allows 50; models get five more, with where they came from.
    tags: Tags = Field({"project": "whatbreed"}, max_length=45)
    """Tags of every resource, for cost allocation."""

    @model_validator(mode="after")
    def _check_vpc(self) -> Self:
        if bool(self.subnets) != bool(self.security_groups):
            raise ValueError("subnets and security_groups must be set together")
        return self

    def tag_list(self) -> list[dict[str, str]]:
        """Return the tags as a list of Key and Value, as most AWS calls take them."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    def vpc_config(self) -> dict[str, list[str]] | None:
        """Return SageMaker's VpcConfig, or None if jobs run outside a VPC."""
        if not self.subnets:
            return None
        return {"Subnets": self.subnets, "SecurityGroupIds": self.security_groups}


class FitSettings(Section):
    """The table [fit]: the instances of training and tuning jobs."""

    TABLE = "fit"

    data: str = Field("", pattern=r"^(s3://[^/]+/?.*)?$")
    """S3 prefix of the photos, also of another account. Empty: the destination of `upload`."""
    data_key: str = Field("", pattern=KEY)
    """ARN of the other account's KMS key, if its photos are encrypted with one."""
    image: str = Field("", max_length=255)
    """Container image. Empty: AWS's PyTorch training image of the version below."""
    pytorch: str = "2.13"
    """Version of AWS's PyTorch training image. pip replaces a torch that is not the pinned one."""
    instance_type: str = Field("ml.g5.xlarge", pattern=r"^ml\.")
    """Instance type."""
    instance_count: int = Field(1, ge=1)
    """Number of instances. torchrun joins them into one training."""
    processes: int = Field(0, ge=0)
    """Processes per instance. 0: one per GPU, or one without GPUs."""
    volume_gb: int = Field(50, ge=1, le=16_384)
    """Disk per instance in GB. Instance types with local storage use all of that instead."""
    distribution: Literal["FullyReplicated", "ShardedByS3Key"] = "FullyReplicated"
    """Photos per instance: all of them (FullyReplicated) or a shard (ShardedByS3Key)."""
    input_mode: Literal["File", "FastFile"] = "File"
    """File copies the photos before training starts, FastFile streams them."""
    spot: bool = True
    """Use managed spot instances: up to 90 % cheaper, may be interrupted and then resume."""
    max_runtime_s: int = Field(14400, ge=1, le=28 * DAY_S)
    """Maximum training time in seconds."""
    max_wait_s: int = Field(28800, ge=1)
    """Maximum time of a spot job in seconds, including the wait for instances."""
    warm_pool_s: int = Field(0, ge=0, le=3600)
    """Seconds to keep the instances for the next job (a warm pool). Not with spot."""
    pip_index_url: str = Field("", pattern=r"^(https?://.+)?$")
    """Index from which jobs install packages, such as a mirror in the VPC. Empty: PyPI."""
    network_isolation: bool = False
    """Cut the container off the network. The image must then contain all packages."""
    encrypt_traffic: bool = True
    """Encrypt traffic between the instances of a job. Slows multi-instance training down."""
    metrics: dict[_METRIC_NAME, _METRIC_REGEX] = Field(
        {
            "train:loss": r"train_loss[ =]+([0-9.eE+-]+)",
            "valid:loss": r"valid_loss[ =]+([0-9.eE+-]+)",
            "train:images_per_s": r"images_per_s[ =]+([0-9.eE+-]+)",
            "valid:top1": r"valid_top1[ =]+([0-9.eE+-]+)",
        },
        max_length=40,
    )
    """Metrics that SageMaker extracts from the log: regular expressions with one group."""

    @model_validator(mode="after")
    def _check_spot(self) -> Self:
        if self.spot and self.warm_pool_s:
            raise ValueError("with spot, warm_pool_s must be 0")
        if self.spot and self.max_wait_s < self.max_runtime_s:
            raise ValueError(
                f"max_wait_s {self.max_wait_s} includes the training, so it must be at least "
                f"max_runtime_s {self.max_runtime_s}"
            )
        return self


class TuningJobSettings(Section):
    """The table [tuning_job]: the budget of SageMaker's hyperparameter tuning."""

    TABLE = "tuning_job"

    objective: str = "valid:top1"
    """Metric to maximize, one of fit.metrics."""
    max_jobs: int = Field(20, ge=1, le=750)
    """Total number of training jobs. Grid runs one per combination instead."""
    parallel_jobs: int = Field(2, ge=1, le=100)
    """Concurrent training jobs. Fewer give the Bayesian search more to learn from."""
    strategy: Literal["Bayesian", "Random", "Hyperband", "Grid"] = "Bayesian"
    """Search strategy."""
    early_stopping: bool = True
    """Stop jobs early that are unlikely to win. Only Bayesian and Random support it."""

    @model_validator(mode="after")
    def _check_jobs(self) -> Self:
        if self.parallel_jobs > self.max_jobs and self.strategy != "Grid":
            raise ValueError(
                f"parallel_jobs {self.parallel_jobs} is above max_jobs {self.max_jobs}"
            )
        return self


class TransformSettings(Section):
    """The table [transform]: the instances of a Batch Transform job."""

    TABLE = "transform"

    instance_type: str = Field("ml.c6i.xlarge", pattern=r"^ml\.")
    """Instance type."""
    instance_count: int = Field(1, ge=1)
    """Number of instances, which share the photos."""
    # 16 photos of at most 6 MB: SageMaker allows 100 MB in flight.
    concurrency: int = Field(8, ge=1, le=16)
    """Photos in flight per instance."""


class Ec2Settings(Section):
    """The table [ec2]: a single EC2 instance that trains and terminates itself."""

    TABLE = "ec2"

    instance_type: str = Field("g5.xlarge", pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")
    """EC2 instance type, without the prefix ml."""
    system: Literal["amazon-linux", "ubuntu"] = "amazon-linux"
    """Operating system: Amazon Linux 2023 or Ubuntu 24.04. GPU types take the deep learning AMI."""
    machine_image: str = ""
    """AMI id or SSM parameter of another image of that system. Empty: AWS's latest."""
    role: str = Field("whatbreed-ec2", pattern=rf"^{ROLE_NAME}$")
    """Role and instance profile, created with least privilege by `ec2`."""
    spot: bool = True
    """Use a spot instance: cheaper, may be interrupted. `ec2 --resume RUN` continues."""
    volume_gb: int = Field(100, ge=8, le=65_536)
    """Disk in GB, at least the image's: 75 for AWS's deep learning AMI."""
    max_hours: int = Field(8, ge=1)
    """Hours after which the instance terminates itself in any case."""


def _stage_names() -> Collection[str]:
    return Config.read().stages


class ServingSettings(Section):
    """The table [serving]: the endpoint and the rollout of a new model."""

    TABLE = "serving"
    stage_names = _stage_names

    repository: str = Field("whatbreed-serving", min_length=2, max_length=256, pattern=REPOSITORY)
    """ECR repository of the serving image."""
    base_image: BaseImage = ""
    """Base of that image, preferably NAME@sha256:DIGEST. Empty: the tag in the Dockerfile."""
    instance_type: str = Field("ml.c6i.large", pattern=r"^ml\.")
    """Instance type. Graviton types (ml.c7g…) take the arm64 image, tested in emulation only."""
    instance_count: int = Field(1, ge=1)
    """Instances at the first deployment. Autoscaling decides afterwards."""
    serverless: bool = False
    """Use serverless inference: no cost at rest, cold starts of seconds."""
    serverless_memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 3072
    """Memory of a serverless endpoint in MB."""
    serverless_concurrency: int = Field(5, ge=1, le=200)
    """Maximum concurrent invocations of a serverless endpoint."""
    capture_percent: int = Field(0, ge=0, le=100)
    """Percentage of invocations whose image and response are stored in S3."""
    rollout: Literal["canary", "rolling", "at-once"] = "canary"
    """How traffic moves to a new version."""
    rollout_percent: int = Field(25, ge=5, le=50)
    """Percentage of the capacity in the canary, or in each rolling step."""
    rollout_wait_s: int = Field(300, ge=0, le=3600)
    """Seconds to watch the alarms before shifting the rest of the traffic."""
    # A full queue of 64 requests adds 0.7 s at 100 per second: load must not look like a slow model
    alarm_latency_ms: int = Field(1000, ge=1)
    """Alarm, and roll back, if the model's p99 latency exceeds this many milliseconds."""
    alarm_errors: int = Field(5, ge=1)
    """Alarm, and roll back, above this many invocations per minute with a 5xx status."""
    alarm_topic: str = Field("", pattern=r"^(arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+)?$")
    """ARN of the SNS topic that the endpoint's alarms notify. Empty: the alarm topic of the API's
    stack, if there is one."""


class Schedule(BaseModel):
    """A scheduled change of the scaling limits. `cron` has the six fields of AWS, in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-zA-Z0-9-]+$", max_length=256)
    cron: str
    min: int = Field(ge=1)
    max: int = Field(ge=1)

    @field_validator("cron")
    @classmethod
    def _six_fields(cls, value: str) -> str:
        fields = value.split()
        if len(fields) != 6:
            raise ValueError('cron needs six fields, for example "0 22 * * ? *"')
        if (fields[2] == "?") == (fields[4] == "?"):
            raise ValueError(
                f'cron "{value}" must have a ? as its third field, day of month, or as its fifth, '
                "day of week, and not as both"
            )
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class ScalingSettings(Section):
    """The table [scaling]: how many instances serve the endpoint, and when."""

    TABLE = "scaling"
    stage_names = _stage_names

    min_instances: int = Field(1, ge=1)
    """Minimum number of instances."""
    max_instances: int = Field(4, ge=1)
    """Maximum number of instances."""
    target_per_minute: float = Field(3000.0, gt=0)
    """Target: mean invocations PER MINUTE and instance, not concurrent requests. 3000 are 50
    requests per second. Rule: requests per second of one instance (`ops loadtest`) x 0.5 x 60."""
    scale_in_cooldown_s: int = Field(300, ge=0)
    """Seconds between removals of instances. Remove slowly: a new instance takes minutes."""
    scale_out_cooldown_s: int = Field(60, ge=0)
    """Seconds between additions of instances."""
    disable_scale_in: bool = False
    """Never remove instances automatically."""
    schedules: list[Schedule] = Field([], max_length=200)  # AWS's quota per endpoint
    """Other limits by time (UTC): {name = "night", cron = "0 22 * * ? *", min = 1, max = 2}."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError(
                f"min_instances {self.min_instances} is above max_instances {self.max_instances}"
            )
        names = [schedule.name for schedule in self.schedules]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f'two schedules are named "{twice[0]}": AWS keeps only the last')
        return self


class AlertSettings(Section):
    """The table [alerts]: who is notified of alarms and of the bill."""

    TABLE = "alerts"

    email: str = Field("", pattern=r"^$|^[^@\s]{1,64}@[^@\s]+\.[^@\s]+$", max_length=100)
    """E-mail address that `up` subscribes to the budget and to the alarms. Empty: no one."""
    monthly_usd: float = Field(150.0, gt=0)
    """Monthly budget of the account in US dollars. Mails are sent at 80 % and 100 % of it, and when
    the forecast exceeds it."""
