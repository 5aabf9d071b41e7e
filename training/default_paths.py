"""Where a run reads and writes: a laptop's folders, or those of a SageMaker job.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-train-storage.html
"""

import os
from collections.abc import Mapping
from pathlib import Path


def data_channel(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The job's channel with the photos, named `training` or `train`; None outside of a job."""
    found = environment.get("SM_CHANNEL_TRAINING") or environment.get("SM_CHANNEL_TRAIN")
    return Path(found) if found else None


def model_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """What SageMaker uploads as model.tar.gz at the end of the job; None outside of a job."""
    found = environment.get("SM_MODEL_DIR")
    return Path(found) if found else None


def run_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The run's folder: in a job the one whose content outlives a spot interruption.

    SageMaker copies /opt/ml/checkpoints to S3 while it changes, and back when the job restarts.
    """
    model = model_folder(environment)
    return Path("runs/default") if model is None else model.parent / "checkpoints"
