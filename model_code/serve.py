"""The endpoint's web server: `GET /ping` and `POST /invocations` on port 8080.

SageMaker starts the container with the argument `serve`. On any other machine, run
`python -m model_code.serve --model FOLDER`.
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

import argparse
import asyncio
import io
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from model_code import artifact, images, inference
from model_code.errors import BrokenArtifact, InvocationError, Overloaded, RequestTimeout
from model_code.http_limits import BODY_TIMEOUT_S, LimitedProtocol
from model_code.images import InputImage
from model_code.runtime import settle_memory

PORT = 8080
SAGEMAKER_MODEL_DIR = Path("/opt/ml/model")
MAX_WAITING = 64
"""Invocations in the queue. With more, the last one waits longer than clients do."""
MAX_WAITING_HEAVY = 8
"""Heavy images in the queue, up to 1.5 s each."""
RETRY_AFTER_S = 1
WORKERS_PER_INFERENCE = 2
"""One decodes or serialises while the other waits for its inference (docs/performance.md)."""

log = logging.getLogger("model_code")


class Predictor:
    """A model behind a bounded queue and a pool of `workers` threads.

    By default there are `WORKERS_PER_INFERENCE` threads per inference that the CPU can run in
    parallel. Heavy images are decoded by one more thread, one at a time: that bounds memory, and
    other images do not wait for them.
    """

    def __init__(
        self, model: inference.Model, workers: int | None = None, max_waiting: int = MAX_WAITING
    ) -> None:
        self.model = model
        self._workers = workers or WORKERS_PER_INFERENCE * model.parallel_requests
        self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="predict")
        self._max_pending = self._workers + max_waiting
        self._pending = 0
        self._heavy_thread = ThreadPoolExecutor(1, thread_name_prefix="predict-heavy")
        self._heavy_pending = 0

    def warm_up(self) -> None:
        """Make one prediction per thread, so that the first request is not slower."""
        size = self.model.artifact.input.size_px
        image = io.BytesIO()
        Image.new("RGB", (size, size)).save(image, "JPEG")
        for prediction in [
            self._threads.submit(self._invoke, image.getvalue(), "image/jpeg", inference.JSON)
            for _ in range(self._workers)
        ]:
            prediction.result()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue. Raises `Overloaded` if there is none.

        Taken before the body is read, it bounds the bodies in memory too.
        """
        if self._pending >= self._max_pending:
            raise Overloaded("Too many invocations are waiting.")
        self._pending += 1
        try:
            yield
        finally:
            self._pending -= 1

    async def invoke(self, body: bytes, content_type: str, accept: str = inference.JSON) -> bytes:
        """Return the JSON response to one invocation. Raises `InvocationError`."""
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._threads, self._invoke, body, content_type, accept)
        if isinstance(result, InputImage):
            return await self._invoke_heavy(result, accept)
        return result

    async def _invoke_heavy(self, image: InputImage, accept: str) -> bytes:
        if self._heavy_pending > MAX_WAITING_HEAVY:
            raise Overloaded("Too many large images are waiting.")
        self._heavy_pending += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._heavy_thread, self._predict, image, accept)
        finally:
            self._heavy_pending -= 1

    def _invoke(self, body: bytes, content_type: str, accept: str) -> bytes | InputImage:
        """Return the response to an invocation, or its image if that is heavy."""
        data = inference.input_fn(body, content_type)
        if isinstance(data, InputImage) and data.heavy:
            return data
        return self._predict(data, accept)

    def _predict(self, data: InputImage | inference.Describe, accept: str) -> bytes:
        return inference.output_fn(inference.predict_fn(data, self.model), accept)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._heavy_thread.shutdown(cancel_futures=True)


def create_app(predictor: Predictor) -> Starlette:
    """Return the ASGI application in front of `predictor`."""

    async def ping(_: Request) -> Response:
        return Response()

    async def invocations(request: Request) -> Response:
        with predictor.place():
            body = await _read(request)
            content_type = request.headers.get("content-type", "")
            accept = request.headers.get("accept", inference.JSON)
            prediction = asyncio.ensure_future(predictor.invoke(body, content_type, accept))
            disconnect = asyncio.ensure_future(request.receive())  # the only message after the body
            try:
                await asyncio.wait({prediction, disconnect}, return_when=asyncio.FIRST_COMPLETED)
                if not prediction.done():
                    raise ClientDisconnect
                return Response(prediction.result(), media_type=inference.JSON)
            finally:
                prediction.cancel()  # if the client disconnected, do not compute its prediction
                disconnect.cancel()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        predictor.close()

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers={
            InvocationError: _on_invocation_error,
            ClientDisconnect: _on_disconnect,
            500: _on_unexpected_error,
        },
        lifespan=lifespan,
    )


async def _read(request: Request) -> bytes:
    """Return the request body. Stop reading as soon as it is too large, or too late."""
    chunks, count = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                chunks.append(chunk)
                count += len(chunk)
                images.check_bytes(count)
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {BODY_TIMEOUT_S:g} s.") from None
    return b"".join(chunks)


def _on_invocation_error(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, InvocationError) else 500
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == Overloaded.status else None
    if status == RequestTimeout.status:
        headers = {"Connection": "close"}  # the rest of the body may still come
    return JSONResponse({"error": str(error)}, status_code=status, headers=headers)


def _on_disconnect(_: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nginx's status for a closed connection; it is never sent


def _on_unexpected_error(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The model failed to process this image."}, status_code=500)


def load_predictor(model_dir: Path) -> Predictor:
    """Load the model in `model_dir` and warm it up. Raises `BrokenArtifact`."""
    predictor = Predictor(inference.model_fn(model_dir))
    predictor.warm_up()
    weights = model_dir / artifact.WEIGHTS_FILE
    predictor.model.latency.add_done_callback(lambda _: settle_memory(weights))
    return predictor


def default_model_dir() -> Path:
    """Return SageMaker's model folder, or outside its containers this repository's model."""
    return SAGEMAKER_MODEL_DIR if SAGEMAKER_MODEL_DIR.is_dir() else inference.DEFAULT_MODEL_DIR


def run(app: Callable[..., object], host: str, port: int) -> None:
    """Serve `app` until SIGTERM or SIGINT, then finish open requests, for at most 20 s."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=LimitedProtocol,
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,  # longer than proxies, so that they never reuse a closed connection
        timeout_graceful_shutdown=20,
    )


def start(options: argparse.Namespace, create: Callable[[Predictor], Starlette]) -> int:
    """Serve what `create` returns for the model in `options`. Return 1 if the model is broken."""
    try:
        predictor = load_predictor(options.model)
    except BrokenArtifact as error:
        log.error("%s", error)
        return 1
    run(create(predictor), options.host, options.port)
    return 0


def add_arguments(parser: argparse.ArgumentParser, model: Path, host: str, port: int) -> None:
    """Add the options of both servers, with their defaults."""
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("--model", type=Path, default=model, help="model folder")
    parser.add_argument("--host", default=host, help="address to listen on")
    parser.add_argument("--port", type=int, default=port, help="port to listen on")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model_code.serve",
        description="Serve a model as a SageMaker inference container.",
        epilog="example: python -m model_code.serve --model model_code/default --port 8080",
    )
    parser.add_argument("mode", nargs="?", default="serve", choices=["serve"], help="for SageMaker")
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", PORT))
    # SageMaker connects from outside the container, hence all addresses.
    add_arguments(parser, default_model_dir(), "0.0.0.0", port)  # noqa: S104
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    return start(options, create_app)


if __name__ == "__main__":
    sys.exit(main())
