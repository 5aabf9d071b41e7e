"""The REST API of a stage that Chalice deploys, found by its tag.

API Gateway generates the ids of APIs. The tag is what IAM can compare instead, so that the pipeline
of a stage reaches no other API.
"""

import json
from typing import Any

from aws import stages
from aws.account import Account
from aws.stages import Stage

TAG = "api"
"""Key of the tag; its value is the name of the stage's function."""


def ensure(account: Account, stage: Stage) -> str:
    """Return the id of the stage's API. Create it without routes if it is missing, and tag it."""
    gateway, tags = account.client("apigateway"), account.settings.tags | {TAG: stage.function}
    api = find(account, stage)
    if not api:
        config = stages.Config.read()
        own = config.stages[stage.name].api_gateway_endpoint_type
        types = [own or config.api_gateway_endpoint_type or "EDGE"]  # Chalice's default
        api = gateway.create_rest_api(
            name=config.app_name, tags=tags, endpointConfiguration={"types": types}
        )
    elif TAG not in api.get("tags", {}):
        arn = f"arn:{account.partition}:apigateway:{account.region}::/restapis/{api['id']}"
        gateway.tag_resource(resourceArn=arn, tags=tags)
    return str(api["id"])


def find(account: Account, stage: Stage) -> dict[str, Any]:
    """Return the API with the stage's tag, or the one that plain `chalice deploy` created."""
    gateway = account.client("apigateway")
    pages = gateway.get_paginator("get_rest_apis").paginate()
    untagged = []
    for api in (api for page in pages for api in page["items"]):
        tag = api.get("tags", {}).get(TAG)
        if tag == stage.function:
            return dict(api)
        if tag is None and api["name"] == stages.Config.read().app_name:
            untagged.append(api)
    for api in untagged:
        resources = gateway.get_resources(restApiId=api["id"], limit=500, embed=["methods"])
        if f":function:{stage.function}/" in json.dumps(resources["items"]):
            return dict(api)
    return {}
