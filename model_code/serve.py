"""The endpoint's web server: `GET /ping` and `POST /invocations` on port 8080.

SageMaker starts the container with the argument `serve`; on any machine `python -m
model_code.serve --model FOLDER` does the same. Source of the contract:
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

import argparse
import asyncio
import io
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from model_code import artifact, inference, memory
from model_code.errors import BrokenArtifact, ImageTooLarge, InvocationError, Overloaded
from model_code.images import MAX_PAYLOAD_BYTES, Photo

PORT = 8080
SAGEMAKER_MODEL_DIR = Path("/opt/ml/model")
MAX_WAITING = 64
"""Invocations that wait for a core. More would wait longer than a client does."""
MAX_WAITING_HEAVY = 8
"""Heavy images that wait, up to 1.5 s each."""
HEAVY_DECODE_BYTES = 40_000_000
"""Decoding memory of a heavy image. 12 megapixels need 12 MB in a JPEG, 48 MB in a PNG."""
WORKERS_PER_INFERENCE = 2
"""While one waits for its inference, the other decodes or writes JSON (docs/performance.md)."""

log = logging.getLogger("model_code")


class Predictor:
    """The four handlers behind a bounded queue, with `WORKERS_PER_INFERENCE` threads for each
    inference that runs in parallel.

    Heavy images are decoded by a thread of their own, one at a time: that bounds memory, and other
    images do not wait for them.
    """

    def __init__(self, model: inference.Model, max_waiting: int = MAX_WAITING) -> None:
        self.model = model
        self._workers = WORKERS_PER_INFERENCE * model.parallel_requests
        self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="predict")
        self._max_pending = self._workers + max_waiting
        self._pending = 0
        self._heavy_thread = ThreadPoolExecutor(1, thread_name_prefix="predict-heavy")
        self._heavy_pending = 0

    def warm_up(self) -> None:
        """Make a real prediction for each thread, so that the first caller waits for nothing."""
        size = self.model.artifact.input.size_px
        picture = io.BytesIO()
        Image.new("RGB", (size, size)).save(picture, "JPEG")
        for done in [
            self._threads.submit(self._answer, picture.getvalue(), "image/jpeg")
            for _ in range(self._workers)
        ]:
            done.result()

    async def answer(self, body: bytes, content_type: str) -> bytes:
        """The JSON answer to one invocation. Raises `InvocationError`."""
        if self._pending >= self._max_pending:
            raise Overloaded("too many invocations wait already")
        self._pending += 1
        try:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._threads, self._answer, body, content_type)
            if isinstance(answer, Photo):
                answer = await self._answer_heavy(answer)
            return answer
        finally:
            self._pending -= 1

    async def _answer_heavy(self, photo: Photo) -> bytes:
        if self._heavy_pending > MAX_WAITING_HEAVY:
            raise Overloaded("too many large images wait already")
        self._heavy_pending += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._heavy_thread, self._predict, photo)
        finally:
            self._heavy_pending -= 1

    def _answer(self, body: bytes, content_type: str) -> bytes | Photo:
        """Answer an invocation, or return its image if that is heavy."""
        data = inference.input_fn(body, content_type)
        if isinstance(data, Photo) and data.decode_bytes >= HEAVY_DECODE_BYTES:
            return data
        return self._predict(data)

    def _predict(self, data: Photo | inference.Describe) -> bytes:
        return inference.output_fn(inference.predict_fn(data, self.model))

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._heavy_thread.shutdown(cancel_futures=True)


def create_app(predictor: Predictor) -> Starlette:
    """The ASGI application in front of `predictor`, which is warm by the time it is up."""

    async def ping(_: Request) -> Response:
        return Response()

    async def invocations(request: Request) -> Response:
        body = await _read(request)
        answer = asyncio.ensure_future(
            predictor.answer(body, request.headers.get("content-type", ""))
        )
        gone = asyncio.ensure_future(request.receive())  # once the body is read: the disconnect
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise ClientDisconnect
            return Response(answer.result(), media_type=inference.JSON)
        finally:
            answer.cancel()  # what still waits for a core need not be computed for nobody
            gone.cancel()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        predictor.close()

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers={InvocationError: _refuse, ClientDisconnect: _gone, 500: _fail},
        lifespan=lifespan,
    )


async def _read(request: Request) -> bytes:
    """The request's body, given up as soon as it is larger than any picture may be."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_PAYLOAD_BYTES:
            raise ImageTooLarge(f"the image has more than {MAX_PAYLOAD_BYTES} bytes")
    return bytes(body)


def _refuse(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, InvocationError) else 500
    return JSONResponse({"error": str(error)}, status_code=status)


def _gone(_: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody is there to read it


def _fail(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the model failed on this picture"}, status_code=500)


def load_predictor(model_dir: Path) -> Predictor:
    """A warm predictor for the model in `model_dir`. Raises `BrokenArtifact`."""
    memory.share_one_arena()
    predictor = Predictor(inference.model_fn(model_dir))
    predictor.warm_up()
    memory.give_back(model_dir / artifact.WEIGHTS_FILE)
    return predictor


def default_model_dir() -> Path:
    """Where SageMaker unpacks a model; outside its containers, the model of this repository."""
    return SAGEMAKER_MODEL_DIR if SAGEMAKER_MODEL_DIR.is_dir() else inference.DEFAULT_MODEL_DIR


def run(app: Callable[..., object], host: str, port: int) -> None:
    """Serve `app` until SIGTERM or SIGINT, then finish what is in flight, for 20 s at most."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,  # longer than proxies keep theirs: they meet no closed connection
        timeout_graceful_shutdown=20,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model_code.serve",
        description="Serve a model under SageMaker's container contract.",
        epilog="example: python -m model_code.serve --model model_code/default --port 8080",
    )
    parser.add_argument("mode", nargs="?", choices=["serve"], help="what SageMaker passes")
    parser.add_argument("--model", type=Path, default=default_model_dir(), help="its folder")
    # SageMaker's router comes from outside the container, so it listens on every address there.
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", PORT))
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        predictor = load_predictor(options.model)
    except BrokenArtifact as error:
        log.error("%s", error)
        return 1
    run(create_app(predictor), options.host, options.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
