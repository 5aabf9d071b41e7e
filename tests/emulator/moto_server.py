"""An AWS account on a local port: moto's server with all corrections of this package.

python -m tests.emulator.moto_server PORT
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import HOST, free_port, process, wait_for


@contextmanager
def aws_server(region: str = "us-east-1", **environment: str) -> Iterator[dict[str, str]]:
    """Start an empty account and yield the environment that points boto3 and commands to it."""
    port = free_port()
    address = f"http://{HOST}:{port}"
    credentials = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, "-m", "tests.emulator.moto_server", str(port)]
    # moto loads AWS's managed policies only on request.
    environment = {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", **environment}
    with process(command, **environment, **credentials) as child:
        wait_for(f"{address}/moto-api/", child)
        yield credentials


if __name__ == "__main__":
    from moto.server import main

    from tests.emulator import (
        corrected_api_gateway,
        corrected_cloudformation,
        corrected_moto,
        iam_enforcement,
        state_route,
    )

    corrected_api_gateway.correct()
    corrected_cloudformation.correct()
    iam_enforcement.correct()
    with corrected_moto.corrected():
        state_route.add()
        main(["-H", HOST, "-p", sys.argv[1]])
