"""An AWS account on a port of this machine: moto's server, mended as `corrected_moto` says.

python -m tests.emulator.moto_server PORT
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import HOST, free_port, process, wait_for


@contextmanager
def aws_server() -> Iterator[dict[str, str]]:
    """The environment that leads boto3 and every command to an empty account."""
    port = free_port()
    address = f"http://{HOST}:{port}"
    nobody = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, "-m", "tests.emulator.moto_server", str(port)]
    # AWS's own policies are there only on demand.
    with process(command, MOTO_IAM_LOAD_MANAGED_POLICIES="true", **nobody) as child:
        wait_for(f"{address}/moto-api/", child)
        yield nobody


if __name__ == "__main__":
    from moto.server import main

    from tests.emulator.corrected_moto import mended

    with mended():
        main(["-H", HOST, "-p", sys.argv[1]])
