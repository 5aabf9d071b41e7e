"""Check the KMS key against instance types with local disks, which are not encrypted with it."""

from collections.abc import Iterator

from aws.instance_types import has_local_storage
from ops.deployment import Deployment
from ops.doctor.line import Line, Status


def check(deployment: Deployment) -> Iterator[Line]:
    """SageMaker refuses VolumeKmsKeyId for instance types with local NVMe disks."""
    key = deployment.account.settings.kms_key
    if not key:
        yield Line(Status.OK, "KMS key", "none: AWS encrypts with its own keys")
        return
    types = {
        "serving": (deployment.serving.instance_type, Status.BLOCKS),
        "fit": (deployment.fit.instance_type, Status.WARNING),
        "transform": (deployment.transform.instance_type, Status.WARNING),
    }
    if deployment.serving.serverless:
        del types["serving"]
    refused = False
    for table, (instance_type, status) in types.items():
        if has_local_storage(instance_type) and not (
            table == "serving" and deployment.serving.serverless
        ):
            refused = True
            yield Line(
                status,
                "KMS key",
                f"{instance_type} of [{table}] has local disks, for which SageMaker refuses a key",
                f"choose a type without them in [{table}], such as {_WITHOUT[table]}",
            )
    if not refused:
        yield from _exists(deployment, key)


_WITHOUT = {"serving": "ml.c6i.large", "fit": "ml.p3.2xlarge", "transform": "ml.c6i.xlarge"}


def _exists(deployment: Deployment, key: str) -> Iterator[Line]:
    metadata = deployment.account.client("kms").describe_key(KeyId=key)["KeyMetadata"]
    region = metadata["Arn"].split(":")[3]
    if not metadata["Enabled"]:
        yield Line(Status.BLOCKS, "KMS key", f"{key} is disabled", "enable it")
    elif region != deployment.account.region:
        yield Line(Status.BLOCKS, "KMS key", f"{key} is in {region}", "use a key of the region")
    else:
        yield Line(Status.OK, "KMS key", key)
