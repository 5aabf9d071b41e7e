"""The model server behind a local copy of SageMaker's Runtime API, for `chalice local`.

`POST /endpoints/{name}/invocations` responds like SageMaker, including errors, so that boto3 raises
the same exceptions. Set `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=http://127.0.0.1:8080` to use it.
`model_code.faults` lists the errors that it also produces on request.
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

from model_code import faults, inference, serve
from model_code.faults import FAULTS, Fault

ENDPOINT_NAME = "whatbreed-local"
VARIANT = "AllTraffic"
ACCOUNT = "000000000000"
REGION = "us-east-1"


def create_app(
    container: Starlette,
    endpoint_name: str,
    *,
    fault: Fault | None = None,
    payload_bytes: int = faults.REAL_TIME_PAYLOAD_BYTES,
) -> Starlette:
    """Add the Runtime API to `container`, whose own routes stay available.

    With a `fault`, every invocation fails. Payloads have at most `payload_bytes`.
    """

    async def invoke_endpoint(request: Request) -> Response:
        name = request.path_params["name"]
        if name != endpoint_name:
            return _error(
                400, "ValidationError", f"Endpoint {name} of account {ACCOUNT} not found."
            )
        attributes = request.headers.get(faults.ATTRIBUTES_HEADER, "")
        try:
            failure = fault or faults.requested(attributes)
        except KeyError as error:
            return _error(400, "ValidationError", f"Unknown fault {error}: {', '.join(FAULTS)}.")
        length = request.headers.get("content-length", "")
        if failure is None and length.isdigit() and int(length) > payload_bytes:
            failure = faults.payload_too_large(payload_bytes)
        if failure is not None:
            async for _ in request.stream():  # or the client fails while it sends the body
                pass
            return _fail(name, failure)
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


def _fail(name: str, fault: Fault) -> Response:
    if fault.container_status is not None:
        return _model_error(name, fault.container_status, fault.message or "")
    return _error(fault.status, fault.code, fault.message)


def _error(status: int, code: str, message: str | None, **members: object) -> Response:
    return JSONResponse(
        {"Message": message, **members},
        status_code=status,
        headers={"x-amzn-ErrorType": code, "x-amzn-RequestId": str(uuid.uuid4())},
    )


def _model_error(name: str, status: int, original: str) -> Response:
    """Return what AWS returns if the container responds with an error: a ModelError, HTTP 424."""
    side, code = (
        ("client", "CLIENT_ERROR_FROM_MODEL")
        if 400 <= status < 500
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
    names = "; ".join(f"{name}: {fault.description}" for name, fault in FAULTS.items())
    parser.add_argument("--fault", choices=FAULTS, help=f"fail every invocation. {names}")
    parser.add_argument("--serverless", action="store_true", help="accept 4 MB instead of 6 MB")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    def create(predictor: serve.Predictor) -> Starlette:
        model, address = predictor.model.artifact, f"http://{options.host}:{options.port}"
        name = options.endpoint_name
        print(f"Endpoint {name}: {model.name} {model.version} at {address}", flush=True)
        return create_app(
            serve.create_app(predictor),
            name,
            fault=FAULTS.get(options.fault),
            payload_bytes=(
                faults.SERVERLESS_PAYLOAD_BYTES
                if options.serverless
                else faults.REAL_TIME_PAYLOAD_BYTES
            ),
        )

    return serve.start(options, create)


if __name__ == "__main__":
    sys.exit(main())
