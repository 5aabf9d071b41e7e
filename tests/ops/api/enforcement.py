"""IAM for moto's server: who is asked, for which action, on what, under which conditions.

moto compares the actions of a policy, and for most services neither resources nor conditions. Here
a request becomes what AWS asks IAM for, after
https://docs.aws.amazon.com/service-authorization/latest/reference/, and a policy is compared.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote

RECORD = "ENFORCEMENT_RECORD"
"""The environment variable with the file that every call which was let through is noted in."""

_S3_ACTIONS = {"HeadObject": "GetObject", "HeadBucket": "ListBucket", "ListObjects": "ListBucket"}


@dataclass(frozen=True)
class Asked:
    """What a call needs: an action on a resource, and the keys that conditions compare."""

    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict)


def permits(documents: Sequence[dict[str, Any]], asked: Asked) -> bool:
    """Whether policies allow the call: one statement does, and none denies it."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _list(document["Statement"])
        if _concerns(statement, asked)
    }
    return effects == {"Allow"}


def _concerns(statement: dict[str, Any], asked: Asked) -> bool:
    actions = [one.lower() for one in _list(statement["Action"])]
    if not any(fnmatchcase(asked.action.lower(), one) for one in actions):
        return False
    if not any(fnmatchcase(asked.resource, one) for one in _list(statement["Resource"])):
        return False
    compare = {"StringEquals": str.__eq__, "StringLike": fnmatchcase}
    return all(
        key in asked.context
        and any(compare[operator](asked.context[key], v) for v in _list(wanted))
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def enforce() -> None:
    """Let moto ask this module, within this process."""
    from moto.iam.access_control import IAMPolicy, IAMRequestBase

    def check(self: Any, resource: str) -> None:
        if self._action == "sts:GetCallerIdentity":
            return
        documents = [IAMPolicy(one)._policy_json for one in self._access_key.collect_policies()]
        for asked in asked_for(self, resource):
            if not permits(documents, asked):
                self._raise_access_denied()
            if os.environ.get(RECORD):
                with Path(os.environ[RECORD]).open("a", encoding="utf-8") as file:
                    line = [self._access_key.arn, asked.action, asked.resource, asked.context]
                    file.write(json.dumps(line) + "\n")

    # moto signs a GET as if its query were its body, and refuses what Lambda and API Gateway get.
    IAMRequestBase.check_signature = lambda self: None  # type: ignore[method-assign]
    IAMRequestBase.check_action_permitted = check  # type: ignore[method-assign]


def asked_for(request: Any, resource: str) -> Iterator[Asked]:
    """What AWS asks IAM for when `request` comes in; `resource` is what moto knows of it."""
    service, operation = request._action.split(":")
    here = f"{request._region}:{request.account_id}"
    values = {key: value[0] for key, value in request._data.items() if isinstance(value, list)}
    with_body = service in ("lambda", "logs") and request._body
    body = json.loads(request._body) if with_body and request._body[:1] in (b"{", "{") else {}
    match service:
        case "s3":
            action = f"s3:{_S3_ACTIONS.get(operation, operation)}"
            yield Asked(action, resource)
            bucket, _, key = resource.partition(":::")[2].partition("/")
            if action == "s3:GetObject" and not _exists(request, bucket, key):
                # What is not there is only told to who may list: 404, and 403 to all others.
                yield Asked("s3:ListBucket", f"arn:aws:s3:::{bucket}")
        case "apigateway":
            path = request._path.partition("?")[0]
            yield Asked(
                f"apigateway:{request._method}", f"arn:aws:apigateway:{request._region}::{path}"
            )
        case "lambda":
            yield from _lambda(operation, unquote(request._path), body, here)
        case "logs":
            group = body.get("logGroupName", "")
            yield Asked(request._action, f"arn:aws:logs:{here}:log-group:{group}:log-stream:")
        case "iam":
            yield from _iam(request, operation, values)
        case "cloudformation":
            yield from _cloudformation(request, operation, values, here)
        case _:
            yield Asked(request._action, "*")


def _exists(request: Any, bucket: str, key: str) -> bool:
    from moto.s3.models import s3_backends

    buckets = s3_backends[request.account_id]["aws"].buckets
    return bucket in buckets and key in buckets[bucket].keys


def _lambda(operation: str, path: str, body: dict[str, Any], here: str) -> Iterator[Asked]:
    found = re.search(r"/functions/([^/?]+)|:function:([\w-]+)", path)
    name = body.get("FunctionName") or (found and (found[1] or found[2])) or "*"
    context = {"lambda:Principal": body["Principal"]} if "Principal" in body else {}
    yield Asked(f"lambda:{operation}", f"arn:aws:lambda:{here}:function:{name}", context)
    if "Role" in body:
        yield Asked("iam:PassRole", body["Role"], {"iam:PassedToService": "lambda.amazonaws.com"})


def _iam(request: Any, operation: str, values: dict[str, str]) -> Iterator[Asked]:
    account = f"arn:aws:iam::{request.account_id}"
    resource, context = "*", {}
    if "RoleName" in values:
        resource = f"{account}:role/{values['RoleName']}"
        boundary = values.get("PermissionsBoundary")
        if operation != "CreateRole":
            roles = request.backend.roles.values()
            found = [one for one in roles if one.name == values["RoleName"]]
            boundary = found[0].permissions_boundary_arn if found else None
        if boundary:
            context = {"iam:PermissionsBoundary": boundary}
    elif "PolicyArn" in values:
        resource = values["PolicyArn"]
    elif "UserName" in values:
        resource = f"{account}:user/{values['UserName']}"
    yield Asked(f"iam:{operation}", resource, context)


def _cloudformation(
    request: Any, operation: str, values: dict[str, str], here: str
) -> Iterator[Asked]:
    from moto.cloudformation.models import cloudformation_backends

    changes = cloudformation_backends[request.account_id][request._region].change_sets
    change = changes.get(values.get("ChangeSetName", ""))
    name = values.get("StackName") or (change.stack_name if change else "")
    if not name.startswith("arn:"):
        name = f"arn:aws:cloudformation:{here}:stack/{name}/id"
    context = (
        {"cloudformation:TemplateUrl": values["TemplateURL"]} if "TemplateURL" in values else {}
    )
    yield Asked(f"cloudformation:{operation}", name, context)
