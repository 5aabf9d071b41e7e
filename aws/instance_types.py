"""Facts that the name of an instance type contains."""

import re

from cli.errors import SettingsError

# The families of
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-volumes.html
# Except for those named here, the d in c5d, m5ad or r6idn stands for such a disk.
_LOCAL_STORAGE = re.compile(
    r"(f\d|g4ad|g4dn|g5|g6[ef]?|g7e?|gr6f?|i\d\w*|p3dn|p4de?|p5(en?)?|p6.*|trn\d.*|x1e?|[a-z]+\d[a-z]*d[a-z]*)"
)
_VCPUS = {"medium": 1, "large": 2, "xlarge": 4}


def architecture(instance_type: str) -> str:
    """Return `arm64` for Graviton (a g after the generation: ml.c7g.large), else `amd64`."""
    arm = re.match(r"(ml\.)?([a-z]+\d+g[a-z]*|a1|p6e-gb\d+)\.", instance_type)
    return "arm64" if arm else "amd64"


def has_gpu(instance_type: str) -> bool:
    """Return whether a type has NVIDIA GPUs."""
    return bool(re.match(r"(ml\.)?(p|g|gr)\d", instance_type))


def has_local_storage(instance_type: str) -> bool:
    """Return whether a type has NVMe disks, which its hardware encrypts.

    SageMaker mounts them instead of EBS volumes and refuses a KMS key for them.
    """
    return bool(_LOCAL_STORAGE.fullmatch(instance_type.removeprefix("ml.").partition(".")[0]))


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
