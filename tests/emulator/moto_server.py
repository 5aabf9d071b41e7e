"""An AWS account on a local port: moto's server with the corrections of `corrected_moto`.

python -m tests.emulator.moto_server PORT
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import HOST, free_port, process, wait_for


@contextmanager
def aws_server() -> Iterator[dict[str, str]]:
    """Start a server; yield the environment that points boto3 and all commands to it."""
    port = free_port()
    address = f"http://{HOST}:{port}"
    environment = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, "-m", "tests.emulator.moto_server", str(port)]
    # moto loads AWS's managed policies only on request.
    with process(command, MOTO_IAM_LOAD_MANAGED_POLICIES="true", **environment) as child:
        wait_for(f"{address}/moto-api/", child)
        yield environment


if __name__ == "__main__":
    from moto.server import main

    from tests.emulator.corrected_moto import corrected

    with corrected():
        main(["-H", HOST, "-p", sys.argv[1]])
