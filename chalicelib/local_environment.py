"""The environment of an API that runs on this machine: boto3 calls the local model server only."""

import os
from collections.abc import Mapping

MODEL_URL = "http://127.0.0.1:8080"
"""The default address of `python -m model_code.local`."""
URL_VARIABLES = ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "AWS_ENDPOINT_URL")
_FOREIGN_PREFIXES = ("AWS_", "BOTO", "PYTHON")


def local_environment(environment: Mapping[str, str], model_url: str) -> dict[str, str]:
    """Return `environment` without variables that would redirect or break local processes.

    Profiles, endpoint URLs, proxies and module paths of a developer's shell are for other programs.
    """
    return {
        **{name: value for name, value in environment.items() if not _is_foreign(name.upper())},
        URL_VARIABLES[0]: model_url,
        # boto3 signs local requests too, which requires a key and a region.
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        # ~/.aws can contain the same settings as the variables.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "*",  # macOS has proxies that no variable sets
    }


def _is_foreign(name: str) -> bool:
    return name.startswith(_FOREIGN_PREFIXES) or name.endswith("_PROXY")
