"""Facts that the name of an instance type contains."""

import re

from cli.errors import SettingsError

_VCPUS = {"medium": 1, "large": 2, "xlarge": 4}


def architecture(instance_type: str) -> str:
    """Return `arm64` for Graviton (a g after the generation: ml.c7g.large), else `amd64`."""
    return "arm64" if re.match(r"(ml\.)?[a-z]+\d+g[a-z]*\.", instance_type) else "amd64"


def vcpus(instance_type: str) -> int:
    """Return the vCPUs of a type by its size: 2 for ml.c6i.large, 16 for ml.c6i.4xlarge.

    This holds for all families that serve models. Raise SettingsError for an unknown size.
    """
    size = instance_type.rpartition(".")[2]
    if match := re.fullmatch(r"(\d+)xlarge", size):
        return 4 * int(match[1])
    if size not in _VCPUS:
        raise SettingsError(f'"{instance_type}" is not an instance type such as ml.c6i.large.')
    return _VCPUS[size]


def has_local_storage(instance_type: str) -> bool:
    """Return whether a type has local NVMe disks, for which SageMaker refuses a KMS key.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
    """
    family = instance_type.removeprefix("ml.").partition(".")[0]
    return bool(
        re.fullmatch(r"g4dn|g4ad|g5|g6e?|gr6|p3dn|p4de?|p5\w*|p6\w*|trn\d\w*|i\d\w*", family)
        or re.fullmatch(r"[a-z]+\d+[a-z]*d[a-z]*", family)
    )
