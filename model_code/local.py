"""The model server behind a local copy of SageMaker's Runtime API, for `chalice local`.

`POST /endpoints/{name}/invocations` responds like SageMaker, including errors, so that boto3 raises
the same exceptions. Set `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=http://127.0.0.1:8080` to use it.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

import argparse
import logging
import sys
import uuid
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message

from model_code import inference, serve

ENDPOINT_NAME = "whatbreed-local"
VARIANT = "AllTraffic"
ACCOUNT = "000000000000"
REGION = "us-east-1"


def create_app(container: Starlette, endpoint_name: str) -> Starlette:
    """Add the Runtime API to `container`, whose own routes stay available."""

    async def invoke_endpoint(request: Request) -> Response:
        name = request.path_params["name"]
        if name != endpoint_name:
            return _error(
                400, "ValidationError", f"Endpoint {name} of account {ACCOUNT} not found."
            )
        status, headers, body = await _forward(request, container)
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


async def _forward(request: Request, container: ASGIApp) -> tuple[int, dict[str, str], bytes]:
    """Send the request to the container. Return the status, headers and body of its response."""
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
    """Return what AWS returns if the container responds with an error: a ModelError, HTTP 424."""
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
        description="Serve a model with a local copy of SageMaker's Runtime API.",
        epilog="example: python -m model_code.local --port 8080 --model model_code/default",
    )
    serve.add_arguments(parser, inference.DEFAULT_MODEL_DIR, "127.0.0.1", serve.PORT)
    parser.add_argument("--endpoint-name", default=ENDPOINT_NAME, help="name of the endpoint")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    def create(predictor: serve.Predictor) -> Starlette:
        model, address = predictor.model.artifact, f"http://{options.host}:{options.port}"
        name = options.endpoint_name
        print(f"Endpoint {name}: {model.name} {model.version} at {address}", flush=True)
        return create_app(serve.create_app(predictor), name)

    return serve.start(options, create)


if __name__ == "__main__":
    sys.exit(main())
