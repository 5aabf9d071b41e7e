"""Instance types of SageMaker with instance store volumes, which the hardware encrypts.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-store-volumes.html
"""

FAMILIES = frozenset(
    {
        "c5ad", "c5d", "c6gd", "c6id", "c7gd", "c8gd", "f1", "g4ad", "g4dn", "g5", "g6", "g6e",
        "g6f", "g7", "g7e", "gr6", "i3", "i3en", "i4i", "i7ie", "m5ad", "m5d", "m5dn", "m6gd",
        "m6id", "m6idn", "m7gd", "m8gd", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200",
        "p6-b300", "p6e-gb200", "r5ad", "r5d", "r5dn", "r6gd", "r6id", "r6idn", "r7gd", "r8gd",
        "trn1", "trn1n", "trn2", "x2gd", "x2idn", "z1d",
    }
)  # fmt: skip
# In GB. Of the types that jobs of this project use.
_GB = {
    "c5d.large": 50, "m5d.large": 75, "g4dn.xlarge": 125, "g4dn.2xlarge": 225,
    "g4dn.4xlarge": 225, "g4dn.8xlarge": 900, "g4dn.12xlarge": 900, "g4dn.16xlarge": 900,
    "g5.xlarge": 250, "g5.2xlarge": 450, "g5.4xlarge": 600, "g5.8xlarge": 900,
    "g5.12xlarge": 3800, "g5.16xlarge": 1900, "g6.xlarge": 250, "g6.2xlarge": 450,
    "g6.4xlarge": 600, "p3dn.24xlarge": 1800, "p4d.24xlarge": 8000,
}  # fmt: skip
MAX_EBS_GB = 16_384


def has(instance_type: str) -> bool:
    """Return whether a type such as ml.g5.xlarge has local storage."""
    return instance_type.removeprefix("ml.").partition(".")[0] in FAMILIES


def capacity_gb(instance_type: str) -> int:
    """Return the largest volume that may be requested for an instance type."""
    return _GB.get(instance_type.removeprefix("ml."), MAX_EBS_GB)
