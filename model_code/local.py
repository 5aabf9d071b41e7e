"""The model server behind SageMaker's Runtime API, so that `chalice local` needs no AWS account.

`POST /endpoints/{name}/invocations` answers what sagemaker-runtime.REGION.amazonaws.com would, the
errors included, so that boto3 raises the same exceptions. Point boto3 here with
`AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=http://127.0.0.1:8080`. Source of the shapes:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

import argparse
import logging
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message

from model_code import inference, serve
from model_code.errors import BrokenArtifact

ENDPOINT_NAME = "whatbreed-local"
VARIANT = "AllTraffic"
ACCOUNT = "000000000000"
REGION = "us-east-1"


def create_app(container: Starlette, endpoint_name: str) -> Starlette:
    """The Runtime API in front of `container`, which stays reachable at /ping and /invocations."""

    async def invoke_endpoint(request: Request) -> Response:
        name = request.path_params["name"]
        if name != endpoint_name:
            return _error(
                400, "ValidationError", f"Endpoint {name} of account {ACCOUNT} not found."
            )
        status, headers, body = await _ask(container, request)
        if status != 200:
            return _model_error(name, status, body.decode(errors="replace"))
        return Response(
            body,
            headers={
                "Content-Type": headers.get("content-type", ""),
                "x-Amzn-Invoked-Production-Variant": VARIANT,
                "x-amzn-RequestId": str(uuid.uuid4()),
            },
        )

    return Starlette(
        routes=[
            Route("/endpoints/{name}/invocations", invoke_endpoint, methods=["POST"]),
            Mount("/", container),
        ],
        lifespan=container.router.lifespan_context,
    )


async def _ask(container: ASGIApp, request: Request) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the container's answer to the same request."""
    status, headers, body = 500, {}, b""

    async def collect(message: Message) -> None:
        nonlocal status, headers, body
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            body += message.get("body", b"")

    scope = {**request.scope, "path": "/invocations", "raw_path": b"/invocations", "root_path": ""}
    await container(scope, request.receive, collect)
    return status, headers, body


def _error(status: int, code: str, message: str, **members: object) -> Response:
    return JSONResponse(
        {"Message": message, **members},
        status_code=status,
        headers={"x-amzn-ErrorType": code, "x-amzn-RequestId": str(uuid.uuid4())},
    )


def _model_error(name: str, status: int, original: str) -> Response:
    """What AWS makes of an answer other than 200: a ModelError, HTTP 424."""
    side, code = (
        ("client", "CLIENT_ERROR_FROM_MODEL")
        if status < 500
        else ("server", "INTERNAL_FAILURE_FROM_MODEL")
    )
    group = f"/aws/sagemaker/Endpoints/{name}"
    return _error(
        424,
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{original}". See {group} '
        f"in account {ACCOUNT} for more information.",
        ErrorCode=code,
        OriginalStatusCode=status,
        OriginalMessage=original,
        LogStreamArn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model_code.local",
        description="Serve a model behind SageMaker's Runtime API on this machine.",
        epilog="example: python -m model_code.local --port 8080 --model model_code/default",
    )
    parser.add_argument("--model", type=Path, default=inference.DEFAULT_MODEL_DIR)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=serve.PORT)
    parser.add_argument("--endpoint-name", default=ENDPOINT_NAME)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        predictor = serve.load_predictor(options.model)
    except BrokenArtifact as error:
        serve.log.error("%s", error)
        return 1
    model = predictor.model.artifact
    address = f"http://{options.host}:{options.port}"
    print(
        f"{model.name} {model.version} is endpoint {options.endpoint_name} at {address}", flush=True
    )
    serve.run(
        create_app(serve.create_app(predictor), options.endpoint_name), options.host, options.port
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
