"""IAM enforcement for moto's server, after /moto-api/reset-auth turns it on.

moto compares the actions of policies, but for most services neither resources nor conditions. This
module derives from each request the permissions AWS would require, and evaluates the policies.
Source:
https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

import json
import operator
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from moto.apigateway.models import apigateway_backends
from moto.iam.access_control import IAMPolicy, IAMRequestBase
from moto.s3.models import s3_backends

from tests.emulator import iam_resources
from tests.emulator.iam_resources import Access as Access  # also for tests

LOG = "IAM_ENFORCEMENT_LOG"
"""Environment variable: the file that permitted actions are appended to."""

_S3_ACTIONS = {
    "HeadObject": "GetObject",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListBuckets": "ListAllMyBuckets",
}


CALL = threading.local()
"""Its `response` is moto's object for the call of this thread."""


def permits(documents: Sequence[dict[str, Any]], access: Access) -> bool:
    """Return whether a statement of the policies allows the access and none denies it."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in as_list(document["Statement"])
        if _matches(statement, access)
    }
    return effects == {"Allow"}


def _matches(statement: dict[str, Any], access: Access) -> bool:
    action = access.action.lower()
    if not any(fnmatchcase(action, name.lower()) for name in as_list(statement["Action"])):
        return False
    if not any(fnmatchcase(access.resource, arn) for arn in as_list(statement["Resource"])):
        return False
    return all(
        _meets(name, access.context.get(key), as_list(values))
        for name, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _meets(condition: str, value: str | None, expected: list[str]) -> bool:
    if condition == "Null":
        return (value is None) == (expected == ["true"])
    if condition == "ArnNotEquals":
        return value not in expected
    compare: dict[str, Callable[[str, str], bool]] = {
        "Bool": operator.eq,
        "StringEquals": operator.eq,
        "StringLike": fnmatchcase,
    }
    return value is not None and any(compare[condition](value, item) for item in expected)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def correct() -> None:
    """Replace moto's check for the lifetime of the process."""
    # moto signs a GET as if its query were its body, and rejects Lambda's and API Gateway's.
    IAMRequestBase.check_signature = lambda self: None  # type: ignore[method-assign]
    IAMRequestBase.check_action_permitted = check_action_permitted  # type: ignore[method-assign]


def check_action_permitted(self: Any, resource: str) -> None:
    if self._action == "sts:GetCallerIdentity":
        return
    if self._action == "sts:AssumeRole" and iam_resources.admits(
        CALL.response, self._access_key.arn
    ):
        return  # a trust policy that names the caller is enough within an account
    policies = self._access_key.collect_policies()
    documents = [IAMPolicy(policy)._policy_json for policy in policies]
    for access in required_access(self, resource):
        # Only a Deny of the bucket's policy matters: our buckets allow nothing to their account.
        if not permits(documents + _bucket_policy(self, access.resource), access):
            self._raise_access_denied()
        if os.environ.get(LOG):
            with Path(os.environ[LOG]).open("a", encoding="utf-8") as file:
                line = [self._access_key.arn, access.action, access.resource, access.context]
                file.write(json.dumps(line) + "\n")


def required_access(request: Any, resource: str) -> Iterator[Access]:
    """Yield what AWS would require for `request`; `resource` is moto's guess."""
    service, operation = request._action.split(":")
    scope = f"{request._region}:{request.account_id}"
    values = {key: value[0] for key, value in request._data.items() if isinstance(value, list)}
    with_body = service in ("lambda", "logs") and request._body
    body = json.loads(request._body) if with_body and request._body[:1] in (b"{", "{") else {}
    match service:
        case "s3":
            action = f"s3:{_S3_ACTIONS.get(operation, operation)}"
            yield Access(action, resource, _s3_context(request))
            bucket, _, key = resource.partition(":::")[2].partition("/")
            if action == "s3:GetObject" and not _exists(request, bucket, key):
                # S3 returns 404 only to callers that may list, and 403 to others.
                yield Access("s3:ListBucket", f"arn:aws:s3:::{bucket}")
        case "apigateway":
            path = request._path.partition("?")[0]
            arn = f"arn:aws:apigateway:{request._region}::{path}"
            yield Access(f"apigateway:{request._method}", arn, _api_tags(request, path))
        case "lambda":
            yield from _lambda(operation, unquote(request._path), body, scope)
        case "logs":
            group = body.get("logGroupName", "")
            yield Access(request._action, f"arn:aws:logs:{scope}:log-group:{group}:log-stream:")
        case "iam":
            yield from _iam(request, operation, values)
        case "cloudformation":
            yield from _cloudformation(request, operation, values, scope)
        case _:
            yield from iam_resources.required_access(service, CALL.response)


def _s3_context(request: Any) -> dict[str, str]:
    principal = re.sub(
        r":sts:(.*):assumed-role/([^/]*)/.*", r":iam:\1:role/\2", request._access_key.arn
    )
    context = {"aws:PrincipalArn": principal, "aws:SecureTransport": "true"}
    if value := request._headers.get("If-None-Match"):
        context["s3:if-none-match"] = value
    return context


def _bucket_policy(request: Any, resource: str) -> list[dict[str, Any]]:
    buckets = s3_backends[request.account_id]["aws"].buckets
    bucket = buckets.get(resource.removeprefix("arn:aws:s3:::").partition("/")[0])
    return [json.loads(bucket.policy)] if bucket and bucket.policy else []


def _api_tags(request: Any, path: str) -> dict[str, str]:
    """The tags of a REST API, which its resources inherit in conditions."""
    apis = apigateway_backends[request.account_id][request._region].apis
    _, kind, name, *_ = [*path.split("/"), "", ""]
    tags = (apis[name].tags or {}) if kind == "restapis" and name in apis else {}
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def _exists(request: Any, bucket: str, key: str) -> bool:
    buckets = s3_backends[request.account_id]["aws"].buckets
    return bucket in buckets and key in buckets[bucket].keys


def _lambda(operation: str, path: str, body: dict[str, Any], scope: str) -> Iterator[Access]:
    match = re.search(r"/functions/([^/?]+)|:function:([\w-]+)", path)
    name = body.get("FunctionName") or (match and (match[1] or match[2])) or "*"
    context = {"lambda:Principal": body["Principal"]} if "Principal" in body else {}
    yield Access(f"lambda:{operation}", f"arn:aws:lambda:{scope}:function:{name}", context)
    if "Role" in body:
        yield Access("iam:PassRole", body["Role"], {"iam:PassedToService": "lambda.amazonaws.com"})


def _iam(request: Any, operation: str, values: dict[str, str]) -> Iterator[Access]:
    account = f"arn:aws:iam::{request.account_id}"
    resource, context = "*", {}
    if "RoleName" in values:
        resource = f"{account}:role/{values['RoleName']}"
        boundary = values.get("PermissionsBoundary")
        if operation != "CreateRole":
            roles = {role.name: role for role in request.backend.roles.values()}
            role = roles.get(values["RoleName"])
            boundary = role.permissions_boundary_arn if role else None
            resource = role.arn if role else resource
        if boundary:
            context = {"iam:PermissionsBoundary": boundary}
    elif "PolicyArn" in values:
        resource = values["PolicyArn"]
    elif "UserName" in values:
        resource = f"{account}:user/{values['UserName']}"
    elif "OpenIDConnectProviderArn" in values:
        resource = values["OpenIDConnectProviderArn"]
    yield Access(f"iam:{operation}", resource, context)


def _cloudformation(
    request: Any, operation: str, values: dict[str, str], scope: str
) -> Iterator[Access]:
    """Yield the access to the stack, and to the change set that is named by its ARN.

    It is not documented whether the stack is enough if both are named.
    """
    context = (
        {"cloudformation:TemplateUrl": values["TemplateURL"]} if "TemplateURL" in values else {}
    )
    change_set, name = values.get("ChangeSetName", ""), values.get("StackName", "")
    if change_set.startswith("arn:"):
        yield Access(f"cloudformation:{operation}", change_set, context)
    if name and not name.startswith("arn:"):
        name = f"arn:aws:cloudformation:{scope}:stack/{name}/id"
    if name:
        yield Access(f"cloudformation:{operation}", name, context)
