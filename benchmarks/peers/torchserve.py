"""The serving stack of AWS's PyTorch inference container, without Docker.

    .venv-bench/bin/python -m benchmarks.peers.torchserve resnet50 FOLDER PORT

This is the container's own entry point, sagemaker-pytorch-inference, with paths below FOLDER
instead of /opt/ml. It starts TorchServe: Java and SAGEMAKER_MODEL_SERVER_WORKERS Python workers.
FOLDER/model gets the content of model.tar.gz: model.pth and code/inference.py.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from benchmarks.processes import free_port

HANDLERS = Path(__file__).parent
TRAINING = HANDLERS.parents[1] / "training"
NETWORKS = ("resnet50", "efficientnet_lite2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    folder = options.folder.resolve()
    prepare(folder, options.network)
    serve(folder, options.port)


def prepare(folder: Path, network: str) -> None:
    """Create the content of model.tar.gz, unless it exists."""
    code = folder / "model" / "code"
    code.mkdir(parents=True, exist_ok=True)
    shutil.copy(HANDLERS / f"{network}.py", code / "inference.py")
    shutil.copy(TRAINING / "torchvision_ops.py", code)  # the handler imports it
    weights = folder / "model" / "model.pth"
    if not weights.exists():
        import torch

        sys.path.insert(0, str(code))
        import inference  # type: ignore[import-not-found]

        torch.manual_seed(0)
        torch.save(inference.create().state_dict(), weights)


def serve(folder: Path, port: int) -> None:
    """Run the container's entry point. It does not return."""
    # the entry point looks up `torchserve` and its workers `python` on the path
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ.update(
        SAGEMAKER_BASE_DIR=str(folder),
        SAGEMAKER_BIND_TO_PORT=str(port),
        SAGEMAKER_PROGRAM="inference.py",
        SAGEMAKER_SUBMIT_DIRECTORY=str(folder / "model" / "code"),
        LOG_LOCATION=str(folder / "logs"),
        METRICS_LOCATION=str(folder / "logs"),
    )
    os.chdir(folder)  # the model store is below the working directory

    from sagemaker_pytorch_serving_container import (  # type: ignore[import-not-found]
        serving,
        torchserve,
    )

    container_properties = torchserve._generate_ts_config_properties
    metrics, grpc_inference, grpc_management = (free_port() for _ in range(3))

    def properties(handler: str) -> str:
        """The container's own configuration, on loopback and free ports."""
        return str(container_properties(handler)).replace("0.0.0.0", "127.0.0.1") + (  # noqa: S104
            f"\nmetrics_address=http://127.0.0.1:{metrics}"
            f"\ngrpc_inference_port={grpc_inference}\ngrpc_management_port={grpc_management}\n"
        )

    torchserve.TS_CONFIG_FILE = str(folder / "ts.properties")  # /etc needs root
    torchserve._generate_ts_config_properties = properties
    serving.main()


if __name__ == "__main__":
    main()
