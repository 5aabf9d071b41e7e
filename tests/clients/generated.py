"""Calls the API through the package `whatbreed`, made by openapi-python-client.

Arguments: the API's address, the URL of a picture, a file with a picture. Prints what it got.
"""

import io
import json
import sys
from pathlib import Path

from whatbreed.api.breeds import predict, predict_batch, predict_url
from whatbreed.api.model import breeds, health
from whatbreed.client import Client
from whatbreed.models import Answer, BatchRequest, PredictRequest, Problem
from whatbreed.types import File

address, url, file = sys.argv[1:]


def said(result: object) -> str:
    if isinstance(result, Answer):
        return result.predictions[0].breed
    assert isinstance(result, Problem), result
    return f"{result.status} {result.type_.value}"


with Client(address) as client:
    picture = File(io.BytesIO(Path(file).read_bytes()))
    batch = predict_batch.sync(client=client, body=BatchRequest([url, "dog.jpg"]))
    sys.stdout.write(
        json.dumps(
            {
                "url": said(predict.sync(client=client, body=PredictRequest(url, top_k=2))),
                "picture": said(predict.sync(client=client, body=picture, top_k=1)),
                "get": said(predict_url.sync(client=client, url_query=url)),
                "problem": said(predict.sync(client=client, body=PredictRequest("dog.jpg"))),
                "batch": [said(result) for result in batch.results],
                "breeds": len(breeds.sync(client=client).breeds),
                "health": health.sync(client=client, deep=True).status,
            }
        )
    )
