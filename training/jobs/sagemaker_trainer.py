"""Build the SageMaker SDK's ModelTrainer from settings. Importing `sagemaker` takes seconds."""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws import instance_types, training_image, vpc
from aws.account import Account
from aws.s3_layout import CHECKPOINTS, JOBS
from aws.settings import FitSettings
from cli.errors import SettingsError
from training.jobs import s3_photos, source_code
from training.jobs.runs import stem
from training.jobs.s3_photos import Listing

CHANNEL = "training"
SHARDED_DATA = "/opt/ml/input/data"
"""Parent of all channels in the container."""
SMALLEST_LOCAL_STORAGE_GB = 50


def job_base_name(account: Account, run: str) -> str:
    """Return the start of the names of a run's jobs. Raises SettingsError if it is invalid."""
    name = f"{account.settings.prefix}-{stem(run)}"
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


def data_channels(fit: FitSettings, data: Listing) -> list[Any]:
    """Return the channels with the photos `data`.

    Replicated photos are one channel. Sharded photos are one channel per split, and only split
    train is divided: every instance evaluates on all held-out photos. In the container, the
    channels are the folders of `SHARDED_DATA`, the layout that `--data` takes.
    """
    from sagemaker.core.shapes import Channel

    uris = {CHANNEL: data.uri}
    if fit.distribution == "ShardedByS3Key":
        folders = s3_photos.split_folders(data)
        uris = {split: f"{data.uri}/{folder}" for split, folder in folders.items()}
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
