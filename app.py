"""The routes: parse, call, answer."""

import os
from typing import Any

from chalice.app import Chalice, CORSConfig, Request, Response

from chalicelib import inputs, pages, settings
from chalicelib.middleware import Middleware
from chalicelib.service import Service

if "AWS_CHALICE_CLI_MODE" in os.environ:  # Chalice's command line, never Lambda
    from chalicelib import preflight

    preflight.check()

ANY = ["*/*"]  # a GET has no body whose type could be wrong

config = settings.load(os.environ)
service = Service(config)
cors = CORSConfig(allow_origin=config.cors_allow_origin) if config.cors_allow_origin else None

app = Chalice(app_name="whatbreed")
app.api.binary_types = list(inputs.IMAGE_MEDIA_TYPES)
app.register_middleware(Middleware(cors), "http")

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    service.endpoint.connect()  # now, in the init phase: it has the whole processor


def current() -> Request:
    request = app.current_request
    if request is None:
        raise RuntimeError("Chalice calls views only within a request")
    return request


def body() -> bytes:
    raw = current().raw_body
    return raw.encode() if isinstance(raw, str) else raw


def query() -> inputs.Query:
    return current().to_original_event()["multiValueQueryStringParameters"] or {}


# Any type, and `inputs` refuses the wrong ones: `chalice deploy` takes no route whose content types
# are partly binary (chalice/deploy/validate.py).
@app.route("/predict", methods=["POST"], content_types=ANY, cors=cors)
def predict() -> dict[str, Any]:
    content_type = current().headers.get("content-type", inputs.JSON)
    return service.predict(inputs.from_body(content_type, body(), query()))


@app.route("/predict/batch", methods=["POST"], content_types=[inputs.JSON], cors=cors)
def predict_batch() -> dict[str, Any]:
    return service.predict_batch(inputs.from_batch(body(), query(), config.batch_max_urls))


@app.route("/predict", methods=["GET"], content_types=ANY, cors=cors)
def predict_url() -> dict[str, Any]:
    return service.predict(inputs.from_query(query()))


@app.route("/breeds", methods=["GET"], content_types=ANY, cors=cors)
def breeds() -> dict[str, Any]:
    return service.breeds()


@app.route("/health", methods=["GET"], content_types=ANY, cors=cors)
def health() -> dict[str, Any]:
    return service.health(inputs.deep(query()))


@app.route("/", methods=["GET"], content_types=ANY, cors=cors)
def page() -> Response:
    return pages.page()


@app.route("/docs", methods=["GET"], content_types=ANY, cors=cors)
def docs() -> Response:
    return pages.docs()


@app.route("/openapi.json", methods=["GET"], content_types=ANY, cors=cors)
def openapi() -> Response:
    return pages.openapi()
