"""Build the SageMaker SDK's ModelTrainer from settings. Importing `sagemaker` takes seconds."""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws import instance_types, s3_storage, training_image, vpc
from aws.account import Account
from aws.errors import AwsError
from aws.s3_layout import CHECKPOINTS, DATA, JOBS
from aws.s3_storage import split_uri
from aws.settings import FitSettings
from cli.errors import SettingsError
from training.folder_layout import split_of
from training.jobs import source_code

CHANNEL = "training"
SHARDED_DATA = "/opt/ml/input/data"
"""Parent of all channels in the container."""
SMALLEST_LOCAL_STORAGE_GB = 50


def job_base_name(account: Account, run: str) -> str:
    """Return the start of the names of a run's jobs. Raises SettingsError if it is invalid."""
    name = f"{account.settings.prefix}-{run}"
    # SageMaker allows 63 characters, the SDK's timestamp included.
    if not re.fullmatch(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,41}", name):
        raise SettingsError(
            f'--run "{run}": "{name}" must be at most 42 letters, digits and single hyphens.'
        )
    return name


@contextmanager
def model_trainer(
    account: Account, fit: FitSettings, run: str, hyperparameters: Mapping[str, Any]
) -> Iterator[Any]:
    """Yield a ModelTrainer for `run`, whose packed code is deleted at the end.

    The checkpoints of a run outlive its jobs: another job of the same run resumes from them.
    """
    from sagemaker.core.shapes import MetricDefinition  # type: ignore[import-untyped]
    from sagemaker.train.distributed import Torchrun  # type: ignore[import-untyped]

    cloud = account.settings
    network = cloud.vpc_config() or {}
    with TemporaryDirectory() as code:
        source_code.pack(Path(code))
        trainer = _model_trainer_class()(
            sagemaker_session=sagemaker_session(account),
            role=account.role_arn(cloud.training_role),
            base_job_name=job_base_name(account, run),
            input_s3_key_prefix=f"{cloud.prefix}/{JOBS}",
            training_image=training_image.uri(account, fit),
            source_code={
                "source_dir": code,
                "entry_script": source_code.ENTRY_SCRIPT,
                "ignore_patterns": [],  # `source_code.pack` has filtered already
                # pip needs a network; without one the image must contain all packages.
                "requirements": None if fit.network_isolation else source_code.REQUIREMENTS,
            },
            distributed=Torchrun(process_count_per_node=fit.processes),
            compute={
                "instance_type": fit.instance_type,
                "instance_count": fit.instance_count,
                "enable_managed_spot_training": fit.spot,
                **({"keep_alive_period_in_seconds": fit.warm_pool_s} if fit.warm_pool_s else {}),
                **_volume(fit, cloud.kms_key),
            },
            networking={
                "subnets": network.get("Subnets"),
                "security_group_ids": network.get("SecurityGroupIds"),
                "enable_network_isolation": fit.network_isolation,
                "enable_inter_container_traffic_encryption": fit.encrypt_traffic
                and fit.instance_count > 1,
            },
            stopping_condition={
                "max_runtime_in_seconds": fit.max_runtime_s,
                **({"max_wait_time_in_seconds": fit.max_wait_s} if fit.spot else {}),
            },
            checkpoint_config={"s3_uri": account.uri(CHECKPOINTS, run)},
            output_data_config={
                "s3_output_path": account.uri(JOBS),
                "kms_key_id": cloud.kms_key or None,
            },
            hyperparameters=hyperparameters,
            environment={"PIP_INDEX_URL": fit.pip_index_url} if fit.pip_index_url else {},
            tags=[{"key": key, "value": value} for key, value in cloud.tags.items()],
        )
        try:
            yield trainer.with_metric_definitions(
                [MetricDefinition(name=name, regex=regex) for name, regex in fit.metrics.items()]
            )
        finally:
            # The SDK leaves these folders to the garbage collector.
            for name in ("_temp_code_dir", "_tuner_temp_dir"):
                if (folder := getattr(trainer, name, None)) is not None:
                    folder.cleanup()


def _model_trainer_class() -> Any:
    from sagemaker.train import ModelTrainer  # type: ignore[import-untyped]

    class Trainer(ModelTrainer):  # type: ignore[misc]
        """A ModelTrainer that always uploads to the key prefix that it was given.

        The SDK's own asks iam:SimulatePrincipalPolicy, if the caller may, whether the role can
        write to the whole bucket. Ours cannot, and the SDK then uploads to another prefix.
        """

        def _resolve_staging_bucket(self) -> tuple[str, None]:
            return self.sagemaker_session.default_bucket(), None

    return Trainer


def _volume(fit: FitSettings, key: str) -> dict[str, Any]:
    """Return the disk of an instance. SageMaker refuses a key for local storage.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
    """
    if instance_types.has_local_storage(fit.instance_type):
        # SageMaker mounts all of the local storage, and refuses a request that is larger than it.
        return {"volume_size_in_gb": min(fit.volume_gb, SMALLEST_LOCAL_STORAGE_GB)}
    return {"volume_size_in_gb": fit.volume_gb, **({"volume_kms_key_id": key} if key else {})}


def sagemaker_session(account: Account) -> Any:
    """Return an SDK session on the account's bucket, without telemetry and role validation."""
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"  # needs iam:SimulatePrincipalPolicy
    for name in ("sagemaker", "sagemaker.core", "sagemaker.train", "sagemaker.config"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from sagemaker.core.helper.session_helper import Session  # type: ignore[import-untyped]

    session = Session(boto_session=account.session, default_bucket=account.bucket)
    # The bucket was checked before; the SDK's own check needs s3:ListAllMyBuckets.
    session._default_bucket = account.bucket
    session.sagemaker_config = {
        "SchemaVersion": "1.0",
        "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
    }
    return session


def data_channels(account: Account, fit: FitSettings, data: str) -> list[Any]:
    """Return the channels with the photos at the S3 prefix `data`.

    Replicated photos are one channel. Sharded photos are one channel per split, and only split
    train is divided: every instance evaluates on all held-out photos. In the container, the
    channels are the folders of `SHARDED_DATA`, the layout that `--data` takes.
    """
    from sagemaker.core.shapes import Channel

    uris = {CHANNEL: data}
    if fit.distribution == "ShardedByS3Key":
        names = _names_at(account, data)
        uris = {
            split: f"{data.rstrip('/')}/{name.rstrip('/')}"
            for name in sorted(names)
            if name.endswith("/") and (split := split_of(name.rstrip("/")))
        }
    return [
        Channel(
            channel_name=name,
            input_mode=fit.input_mode,
            data_source={
                "s3_data_source": {
                    "s3_data_type": "S3Prefix",
                    "s3_uri": uri,
                    "s3_data_distribution_type": (
                        "ShardedByS3Key" if name == "train" else "FullyReplicated"
                    ),
                }
            },
        )
        for name, uri in uris.items()
    ]


def check_network(account: Account, fit: FitSettings) -> None:
    """Raise AwsError if jobs in a VPC could not install packages or reach each other."""
    if account.settings.subnets:
        vpc.check_packages(account, fit)
        vpc.check_groups(account, fit)


def photos_uri(account: Account, fit: FitSettings) -> str:
    """Return the S3 prefix of [fit].data, or that which `upload` writes to.

    Raises AwsError if it has no photos, or they cannot be sharded.
    """
    s3_storage.require(account)
    data = fit.data or account.uri(DATA)
    names = _names_at(account, data)
    if not names:
        raise AwsError(f"No photos at {data}: run `python -m training upload --data FOLDER`.")
    sharded = fit.distribution == "ShardedByS3Key"
    if sharded and "index.csv" in names:
        raise AwsError(
            f"{data} has an index.csv, which would reach one instance only. To shard, upload "
            "folders train/BREED/ without an index, or use --distribution FullyReplicated."
        )
    splits = {split_of(name.rstrip("/")) for name in names if name.endswith("/")}
    if sharded and "valid" not in splits:
        raise AwsError(
            f"{data} has no valid/BREED/, which every instance evaluates on: upload photos in "
            "train/ and valid/, or use --distribution FullyReplicated."
        )
    return data


def _names_at(account: Account, data: str) -> set[str]:
    """Return the names directly below the S3 prefix `data`; those of folders end in a slash."""
    bucket, prefix = split_uri(data.rstrip("/") + "/")
    page = account.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
    keys = [item["Key"] for item in page.get("Contents", [])]
    folders = [item["Prefix"] for item in page.get("CommonPrefixes", [])]
    return {key.removeprefix(prefix) for key in (*keys, *folders)}
