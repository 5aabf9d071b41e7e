"""What SageMaker's environment variables define: output folders, and the hosts of a job.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-train-storage.html
"""

import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

_MASTER_PORT = "29500"  # torchrun's default


def model_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder that SageMaker uploads as model.tar.gz, or None outside of a job."""
    folder = environment.get("SM_MODEL_DIR")
    return Path(folder) if folder else None


def run_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the default folder of a run; in a job the one that survives a spot interruption.

    SageMaker copies /opt/ml/checkpoints to S3 as it changes, and back when the job restarts.
    """
    model = model_folder(environment)
    return Path("runs/default") if model is None else model.parent / "checkpoints"


def set_distributed_variables(environment: MutableMapping[str, str]) -> None:
    """Set RANK and the other variables of torch.distributed if no torchrun has set them.

    SageMaker's plain launcher starts one process per instance and sets only SM_HOSTS and
    SM_CURRENT_HOST. Without this, every instance would train the same model alone.
    """
    hosts = sorted(json.loads(environment.get("SM_HOSTS", "[]")))
    if "RANK" in environment or len(hosts) < 2:
        return
    environment.update(
        RANK=str(hosts.index(environment["SM_CURRENT_HOST"])),
        WORLD_SIZE=str(len(hosts)),
        LOCAL_RANK="0",
        LOCAL_WORLD_SIZE="1",
        MASTER_ADDR=hosts[0],
        MASTER_PORT=environment.get("MASTER_PORT", _MASTER_PORT),
    )
    if interface := environment.get("SM_NETWORK_INTERFACE_NAME"):
        environment.setdefault("GLOO_SOCKET_IFNAME", interface)
        environment.setdefault("NCCL_SOCKET_IFNAME", interface)
