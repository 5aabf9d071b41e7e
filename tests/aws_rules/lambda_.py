"""What Lambda refuses: limits of functions, concurrency, versions and aliases."""

import base64
import io
import json
import re
import zipfile

from moto.awslambda.models import lambda_backends

from tests.aws_rules.rules import Refused, Request, rule

API = "https://docs.aws.amazon.com/lambda/latest/api/API_"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg"
QUOTAS = f"{GUIDE}/gettingstarted-limits.html"
CONCURRENCY = f"{GUIDE}/configuration-concurrency.html"
ZIPPED, UNZIPPED = 50 * 1024**2, 250 * 1024**2
ACCOUNT_CONCURRENCY, UNRESERVED = 1_000, 100
_CONFIGURE = ("CreateFunction", "UpdateFunctionConfiguration")
_RESERVED_KEYS = re.compile(
    "_HANDLER|_X_AMZN_TRACE_ID|AWS_(DEFAULT_REGION|REGION|EXECUTION_ENV|ACCESS_KEY|ACCESS_KEY_ID"
    "|SECRET_ACCESS_KEY|SESSION_TOKEN|LAMBDA_(FUNCTION_NAME|FUNCTION_MEMORY_SIZE|FUNCTION_VERSION"
    "|INITIALIZATION_TYPE|LOG_GROUP_NAME|LOG_STREAM_NAME|RUNTIME_API))|LAMBDA_(TASK_ROOT|RUNTIME_DIR)"
)


def _invalid(message: str) -> Refused:
    return Refused("InvalidParameterValueException", message)


def _validation(value: object, member: str, constraint: str) -> Refused:
    return Refused(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
        f"Member must {constraint}",
    )


@rule("lambda", *_CONFIGURE, source=QUOTAS)
def memory_and_timeout(request: Request) -> None:
    """A function has 128 to 10,240 MB of memory and runs for 1 to 900 seconds."""
    for member, low, high in (("MemorySize", 128, 10_240), ("Timeout", 1, 900)):
        value = request.parameters.get(member)
        if value is not None and not low <= int(value) <= high:
            name = member[0].lower() + member[1:]
            raise _validation(value, name, f"have value between {low} and {high}")
    storage = (request.parameters.get("EphemeralStorage") or {}).get("Size", 512)
    if not 512 <= storage <= 10_240:
        raise _validation(storage, "ephemeralStorage.size", "have value between 512 and 10240")


@rule("lambda", *_CONFIGURE, source=f"{GUIDE}/configuration-envvars.html")
def environment(request: Request) -> None:
    """Variables have 4 KB in total, names of letters, digits and _, and none of Lambda's own."""
    variables = (request.parameters.get("Environment") or {}).get("Variables") or {}
    if len(json.dumps(variables, separators=(",", ":")).encode()) > 4_096:
        raise _invalid("The environment variables you have provided exceeded the 4KB limit.")
    for name in variables:
        if _RESERVED_KEYS.fullmatch(name):
            raise _invalid(
                "Lambda was unable to configure your environment variables because the environment "
                f"variables you have provided contains reserved keys: {name}"
            )
        if not re.fullmatch("[a-zA-Z][a-zA-Z0-9_]+", name):
            raise _validation(name, "environment.variables", "match [a-zA-Z]([a-zA-Z0-9_])+")


@rule("lambda", *_CONFIGURE, source=f"{API}CreateFunction.html")
def configuration_matches(request: Request) -> None:
    """Names, descriptions, handlers and roles have Lambda's patterns; at most 5 layers."""
    parameters = request.parameters
    patterns = {
        "FunctionName": r"(arn:[\w-]+:lambda:[\w-]+:\d{12}:function:)?[a-zA-Z0-9_-]{1,64}",
        "Description": r"(?s).{0,256}",
        "Handler": r"\S{1,128}",
        "Role": r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z0-9_+=,.@/-]+",
    }
    for member, pattern in patterns.items():
        value = parameters.get(member)
        if value is not None and not re.fullmatch(pattern, value):
            raise _validation(value, member[0].lower() + member[1:], f"match {pattern}")
    if len(parameters.get("Layers") or []) > 5:
        raise _invalid("Cannot reference more than 5 layers.")


@rule("lambda", "CreateFunction", "UpdateFunctionCode", source=QUOTAS)
def bundle_fits(request: Request) -> None:
    """A bundle has at most 50 MB if it is uploaded directly, and 250 MB unpacked."""
    code = request.parameters.get("Code") or request.parameters
    archive = code.get("ZipFile")
    if not archive:
        return
    content = archive if isinstance(archive, bytes) else base64.b64decode(archive)
    if len(content) > ZIPPED:
        raise Refused(
            "RequestEntityTooLargeException", "Request must be smaller than 70167211", 413
        )
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    size = sum(item.file_size for item in zipfile.ZipFile(io.BytesIO(content)).infolist())
    if size > UNZIPPED:
        raise _invalid(f"Unzipped size must be smaller than {UNZIPPED} bytes")


@rule("lambda", "PutFunctionConcurrency", source=CONCURRENCY)
def reserved_concurrency(request: Request) -> None:
    """An account keeps 100 executions unreserved; a function keeps what it has provisioned."""
    name = request.parameters["FunctionName"]
    reserved = int(request.parameters["ReservedConcurrentExecutions"])
    backend = lambda_backends[request.account][request.region]
    others = sum(
        int(function.reserved_concurrency or 0)
        for function in backend.list_functions()
        if function.function_name != name
    )
    if ACCOUNT_CONCURRENCY - others - reserved < UNRESERVED:
        raise _invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED}]."
        )


def check_provisioned(needed: int, reserved: int | str | None) -> None:
    """Raise Refused if versions of a function provision more than it reserves.

    moto has no PutProvisionedConcurrencyConfig; CloudFormation calls it for an alias.
    """
    if reserved is not None and needed > int(reserved):
        raise _invalid(
            f"Requested Provisioned Concurrency ({needed}) should not be greater than the "
            f"reservedConcurrentExecution ({reserved}) for function"
        )


@rule("lambda", "CreateAlias", "UpdateAlias", source=f"{API}CreateAlias.html")
def alias_is_valid(request: Request) -> None:
    """An alias is not a number; it splits traffic between two published versions."""
    name = request.parameters["Name"]
    if not re.fullmatch(r"(?!^[0-9]+$)[a-zA-Z0-9_-]{1,128}", name):
        raise _validation(name, "name", "match (?!^[0-9]+$)([a-zA-Z0-9-_]+)")
    weights = (request.parameters.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    version = request.parameters.get("FunctionVersion")
    if len(weights) > 1:
        raise _invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    for other, weight in weights.items():
        if not 0 <= float(weight) <= 1:
            raise _invalid(f"Invalid value for routing weight: {weight}")
        if "$LATEST" in (other, version):
            raise _invalid("$LATEST is not supported for an alias pointing to more than 1 version")
        if other == version:
            raise _invalid("The additional version must differ from the function version")


@rule("lambda", "AddPermission", source=f"{API}AddPermission.html")
def permission_is_valid(request: Request) -> None:
    """A statement's id has up to 100 letters, digits, - and _; its action is one of Lambda's."""
    for member, pattern in (
        ("StatementId", r"[a-zA-Z0-9_-]{1,100}"),
        ("Action", r"lambda:[*]|lambda:[a-zA-Z]+|[*]"),
    ):
        value = request.parameters[member]
        if not re.fullmatch(pattern, value):
            raise _validation(value, member[0].lower() + member[1:], f"match {pattern}")
