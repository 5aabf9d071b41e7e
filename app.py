"""The routes: parse the request, call the service, respond."""

import os
from typing import Any

from chalice.app import Request, Response

from chalicelib import image_formats, inputs, middleware, pages, settings
from chalicelib.chalice_app import App
from chalicelib.middleware import AnswerResponse
from chalicelib.problems import InvalidRequest
from chalicelib.service import Service

on_command_line = "AWS_CHALICE_CLI_MODE" in os.environ
if on_command_line:
    from chalicelib import chunked_bodies, preflight

    preflight.check()
    chunked_bodies.support()

ANY_TYPE = ["*/*"]

try:
    config = settings.load(os.environ)
except settings.SettingsError as error:
    raise SystemExit(str(error)) from None  # one line in the log or in the terminal
service = Service(config)
if on_command_line:
    service.endpoint.explain = preflight.explain
cors = middleware.cors(config.cors_allow_origin)

app = App(app_name="whatbreed")
app.api.binary_types = [*image_formats.MEDIA_TYPES, *inputs.UPLOAD_TYPES]
app.register_middleware(middleware.Middleware(cors), "http")

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    service.endpoint.connect()  # in the init phase, which has a full vCPU


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
@app.route("/predict", methods=["POST"], content_types=ANY_TYPE, cors=cors)
def predict() -> Response:
    content_type = current_request().headers.get("content-type", inputs.JSON)
    return AnswerResponse(service.predict(inputs.from_body(content_type, body(), query())))


@app.route("/predict/batch", methods=["POST"], content_types=[inputs.JSON], cors=cors)
def predict_batch() -> Response:
    request = inputs.from_batch(body(), query(), config.batch_max_urls)
    return AnswerResponse(service.predict_batch(request))


@app.route("/predict", methods=["GET", "HEAD"], content_types=ANY_TYPE, cors=cors)
def predict_url() -> Response:
    return AnswerResponse(service.predict(inputs.from_query(query())))


@app.route("/breeds", methods=["GET", "HEAD"], content_types=ANY_TYPE, cors=cors)
def breeds() -> dict[str, Any]:
    return service.breeds()


@app.route("/health", methods=["GET", "HEAD"], content_types=ANY_TYPE, cors=cors)
def health() -> dict[str, Any]:
    return service.health(inputs.deep(query()))


@app.route("/", methods=["GET", "HEAD"], content_types=ANY_TYPE, cors=cors)
def page() -> Response:
    return pages.page(pages.address(current_request()), query().get("url", [""])[0])


@app.route("/page.json", methods=["GET", "HEAD"], content_types=ANY_TYPE, cors=cors)
def page_data() -> Response:
    return pages.page_data()


@app.route("/preview.jpg", methods=["GET", "HEAD"], content_types=ANY_TYPE, cors=cors)
def preview() -> Response:
    return pages.preview()


@app.route("/docs", methods=["GET", "HEAD"], content_types=ANY_TYPE, cors=cors)
def docs() -> Response:
    return pages.docs()


@app.route("/openapi.json", methods=["GET", "HEAD"], content_types=ANY_TYPE, cors=cors)
def openapi() -> Response:
    return pages.openapi()
