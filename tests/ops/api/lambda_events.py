"""Events of API Gateway, and the packaged function that handles them."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

# No site-packages (-S) and no environment of this Python (-I), only the two folders.
_PROGRAM = """
import json, sys
bundle, packages, event = sys.argv[1:]
sys.path[:0] = [bundle, packages]
import app
json.dump(app.app(json.loads(event), None), sys.stderr)
"""


class Handle(Protocol):
    """Handle an event with the packaged function. The response has the log lines as `log`."""

    def __call__(
        self, event: dict[str, Any], runtime_address: str, **environment: str
    ) -> dict[str, Any]: ...


def event(
    method: str, path: str, body: bytes | None = None, content_type: str = "image/png"
) -> dict[str, Any]:
    """An event of API Gateway's REST API in Lambda proxy integration, with a body in base64."""
    context = {"resourcePath": path, "httpMethod": method, "stage": "prod"}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Accept": "*/*", "Content-Type": content_type},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {**context, "requestId": "id-of-aws"},
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


def handler(task: Path, packages: Path) -> Handle:
    """Return the handler of an unpacked bundle; `packages` are what Lambda's Python brings."""

    def handle(event: dict[str, Any], runtime_address: str, **environment: str) -> dict[str, Any]:
        process = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(task), str(packages)]
            + [json.dumps(event)],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": os.environ["PATH"],
                "ENDPOINT_NAME": "whatbreed-local",
                "AWS_LAMBDA_FUNCTION_NAME": "whatbreed-dev",
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime_address,
                **environment,
            },
        )
        assert process.returncode == 0, process.stderr
        response: dict[str, Any] = json.loads(process.stderr)
        response["log"] = [json.loads(line) for line in process.stdout.splitlines()]
        return response

    return handle
