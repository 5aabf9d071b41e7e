"""The routes: parse the request, call the service, respond."""

import functools
import os
from collections.abc import Callable
from typing import Any

from chalice.app import CORSConfig, Request, Response

from chalicelib import image_formats, inputs, pages, settings
from chalicelib.causes import cause_with_location
from chalicelib.events import App
from chalicelib.middleware import AnswerResponse, Middleware
from chalicelib.problems import InternalError, InvalidRequest, Problem
from chalicelib.service import Service

if "AWS_CHALICE_CLI_MODE" in os.environ:
    from chalicelib import preflight

    preflight.check()

View = Callable[[], Response | dict[str, Any]]

try:
    config = settings.load(os.environ)
except settings.SettingsError as error:
    raise SystemExit(str(error)) from None  # one line in the log or in the terminal
service = Service(config)
cors = CORSConfig(allow_origin=config.cors_allow_origin) if config.cors_allow_origin else None

app = App(app_name="whatbreed")
app.api.binary_types = list(image_formats.MEDIA_TYPES)
app.register_middleware(Middleware(cors), "http")

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    service.endpoint.connect()  # in the init phase, which has a full vCPU


def route(path: str, method: str, content_type: str = "*/*") -> Callable[[View], View]:
    """Register a view. Chalice would log the messages of its unexpected exceptions."""

    def register(view: View) -> View:
        @functools.wraps(view)
        def guarded() -> Response | dict[str, Any]:
            try:
                return view()
            except Problem:
                raise
            except Exception as error:
                raise InternalError(cause=cause_with_location(error)) from None

        app.route(path, methods=[method], content_types=[content_type], cors=cors)(guarded)
        return guarded

    return register


def current_request() -> Request:
    request = app.current_request
    if request is None:
        raise RuntimeError("there is no current request")
    return request


def body() -> bytes:
    try:
        raw = current_request().raw_body
        return raw.encode() if isinstance(raw, str) else raw
    except ValueError:
        raise InvalidRequest("The body cannot be decoded.") from None


def query() -> inputs.Query:
    return current_request().to_original_event()["multiValueQueryStringParameters"] or {}


# `inputs` checks the type, because `chalice deploy` refuses routes that mix binary and text types
# (chalice/deploy/validate.py).
@route("/predict", "POST")
def predict() -> Response:
    content_type = current_request().headers.get("content-type", inputs.JSON)
    return AnswerResponse(service.predict(inputs.from_body(content_type, body(), query())))


@route("/predict/batch", "POST", inputs.JSON)
def predict_batch() -> Response:
    request = inputs.from_batch(body(), query(), config.batch_max_urls)
    return AnswerResponse(service.predict_batch(request))


@route("/predict", "GET")
def predict_url() -> Response:
    return AnswerResponse(service.predict(inputs.from_query(query())))


@route("/breeds", "GET")
def breeds() -> dict[str, Any]:
    return service.breeds()


@route("/health", "GET")
def health() -> dict[str, Any]:
    return service.health(inputs.deep(query()))


@route("/", "GET")
def page() -> Response:
    return pages.page()


@route("/docs", "GET")
def docs() -> Response:
    return pages.docs()


@route("/openapi.json", "GET")
def openapi() -> Response:
    return pages.openapi()
