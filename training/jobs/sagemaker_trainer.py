"""`sagemaker`'s ModelTrainer from our settings. Importing `sagemaker` takes seconds: only here."""

import logging
import os
import re
from pathlib import Path
from typing import Any

from aws import training_image
from aws.account import Account
from aws.errors import AwsError
from aws.s3_layout import CHECKPOINTS, JOBS
from aws.s3_storage import split_uri
from aws.settings import FitSettings
from cli.errors import SettingsError
from training.jobs import source_code
from training.photos import SPLITS

CHANNEL = "training"
SHARDED_DATA = "/opt/ml/input/data"


def job_base_name(account: Account, run: str) -> str:
    """The start of the names of a run's jobs. Raises `SettingsError` for what cannot be a name."""
    name = f"{account.settings.prefix}-{run}"
    if not re.fullmatch(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,41}", name):  # SageMaker's 63 less its stamp
        raise SettingsError(
            f"--run {run!r}: {name!r} must be letters, digits and single hyphens, at most 42"
        )
    return name


def model_trainer(
    account: Account,
    options: FitSettings,
    run: str,
    hyperparameters: dict[str, Any],
    code: Path,
) -> Any:
    """A ModelTrainer for `run` that uploads `code` (see `source_code.pack`) when it starts.

    The checkpoints of a run outlive its jobs: another job of the same run goes on from them.
    """
    from sagemaker.core.training.configs import (  # type: ignore[import-untyped]
        CheckpointConfig,
        Compute,
        MetricDefinition,
        Networking,
        OutputDataConfig,
        SourceCode,
        StoppingCondition,
        Tag,
    )
    from sagemaker.train import ModelTrainer  # type: ignore[import-untyped]
    from sagemaker.train.distributed import Torchrun  # type: ignore[import-untyped]

    cloud = account.settings
    vpc = cloud.vpc_config() or {}
    trainer = ModelTrainer(
        sagemaker_session=sagemaker_session(account),
        role=account.role_arn(cloud.training_role),
        base_job_name=job_base_name(account, run),
        input_s3_key_prefix=f"{cloud.prefix}/{JOBS}",
        training_image=training_image.uri(account, options),
        source_code=SourceCode(
            source_dir=str(code),
            entry_script=source_code.ENTRY_SCRIPT,
            ignore_patterns=[],  # `source_code.pack` has left out what does not belong
            # Without a network pip cannot install: the image must hold everything.
            requirements=None if options.network_isolation else source_code.REQUIREMENTS,
        ),
        distributed=Torchrun(process_count_per_node=options.processes),
        compute=Compute(
            instance_type=options.instance_type,
            instance_count=options.instance_count,
            volume_size_in_gb=options.volume_gb,
            enable_managed_spot_training=options.spot,
            **(
                {"keep_alive_period_in_seconds": options.warm_pool_s} if options.warm_pool_s else {}
            ),
            **({"volume_kms_key_id": cloud.kms_key} if cloud.kms_key else {}),
        ),
        networking=Networking(
            subnets=vpc.get("Subnets"),
            security_group_ids=vpc.get("SecurityGroupIds"),
            enable_network_isolation=options.network_isolation,
            enable_inter_container_traffic_encryption=options.encrypt_traffic
            and options.instance_count > 1,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=options.max_runtime_s,
            **({"max_wait_time_in_seconds": options.max_wait_s} if options.spot else {}),
        ),
        checkpoint_config=CheckpointConfig(s3_uri=account.uri(CHECKPOINTS, run)),
        output_data_config=OutputDataConfig(
            s3_output_path=account.uri(JOBS), kms_key_id=cloud.kms_key or None
        ),
        hyperparameters=hyperparameters,
        tags=[Tag(key=key, value=value) for key, value in cloud.tags.items()],
    )
    return trainer.with_metric_definitions(
        [MetricDefinition(name=name, regex=regex) for name, regex in options.metrics.items()]
    )


def clean_up(trainer: Any) -> None:
    """Remove the folders that the SDK makes for its drivers and leaves to the garbage collector."""
    for name in ("_temp_code_dir", "_tuner_temp_dir"):
        if (folder := getattr(trainer, name, None)) is not None:
            folder.cleanup()


def sagemaker_session(account: Account) -> Any:
    """The SDK's session on our bucket, without its telemetry and its look at IAM."""
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"  # it wants iam:SimulatePrincipalPolicy
    for name in ("sagemaker", "sagemaker.core", "sagemaker.train", "sagemaker.config"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from sagemaker.core.helper.session_helper import Session  # type: ignore[import-untyped]

    session = Session(boto_session=account.session, default_bucket=account.bucket)
    # The bucket was looked at before: the SDK's own look would need s3:ListAllMyBuckets.
    session._default_bucket = account.bucket
    session.sagemaker_config = {
        "SchemaVersion": "1.0",
        "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
    }
    return session


def data_channels(account: Account, options: FitSettings, data: str) -> list[Any]:
    """The channels with the photos at the S3 prefix `data`.

    Replicated, it is one channel. Sharded, there is one a split, and only split train is dealt out:
    every instance judges on all held-out photos. Together they lie at `SHARDED_DATA` in the
    container, in the layout of folders that `--data` takes.
    """
    if options.distribution == "FullyReplicated":
        return [_channel(CHANNEL, data, options.distribution, options.input_mode)]
    there = _splits(account, data)
    return [
        _channel(
            split,
            f"{data.rstrip('/')}/{split}",
            "ShardedByS3Key" if split == "train" else "FullyReplicated",
            options.input_mode,
        )
        for split in SPLITS
        if split in there
    ]


def _channel(name: str, uri: str, distribution: str, input_mode: str) -> Any:
    from sagemaker.core.shapes import (  # type: ignore[import-untyped]
        Channel,
        DataSource,
        S3DataSource,
    )

    source_of_channel = S3DataSource(
        s3_data_type="S3Prefix", s3_uri=uri, s3_data_distribution_type=distribution
    )
    return Channel(
        channel_name=name,
        input_mode=input_mode,
        data_source=DataSource(s3_data_source=source_of_channel),
    )


def check_photos(account: Account, options: FitSettings, data: str) -> None:
    """Raise `AwsError` where no photos lie at `data`, or none that can be sharded."""
    bucket, prefix = split_uri(data)
    s3 = account.client("s3")
    answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix.rstrip("/") + "/", MaxKeys=1000)
    keys = [item["Key"] for item in answer.get("Contents", [])]
    if not keys:
        raise AwsError(f"{data} holds no photos: run `python -m training upload --data FOLDER`")
    index = f"{prefix.rstrip('/')}/index.csv"
    if options.distribution == "ShardedByS3Key" and index in keys:
        raise AwsError(
            f"{data} has an index.csv, which would reach one instance only: to shard, upload "
            "folders train/BREED/ without an index, or use --distribution FullyReplicated"
        )
    if options.distribution == "ShardedByS3Key" and "valid" not in _splits(account, data):
        raise AwsError(
            f"{data} has no valid/BREED/, which every instance must see whole: upload photos in "
            "train/ and valid/, or use --distribution FullyReplicated"
        )


def _splits(account: Account, data: str) -> list[str]:
    """The folders right below the S3 prefix `data`."""
    bucket, prefix = split_uri(data.rstrip("/") + "/")
    answer = account.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
    found = answer.get("CommonPrefixes", [])
    return [one["Prefix"].removeprefix(prefix).rstrip("/") for one in found]
