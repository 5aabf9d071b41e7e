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


@rule("lambda", *_CONFIGURE, source=QUOTAS)
def memory_time_and_name(request: Request) -> None:
    """A function has up to 10,240 MB, 900 seconds, and a name of up to 64 characters."""
    parameters = request.parameters
    storage = (parameters.get("EphemeralStorage") or {}).get("Size", 512)
    if int(parameters.get("MemorySize") or 128) > 10_240 or storage > 10_240:
        raise Refused("ValidationException", "Member must have value less than or equal to 10240")
    if int(parameters.get("Timeout") or 3) > 900:
        raise Refused("ValidationException", "Member must have value less than or equal to 900")
    if len(parameters["FunctionName"].rpartition(":")[2]) > 64:
        raise Refused("ValidationException", "Member must have length less than or equal to 64")


@rule("lambda", *_CONFIGURE, source=QUOTAS)
def five_layers(request: Request) -> None:
    """A function has at most 5 layers."""
    if len(request.parameters.get("Layers") or []) > 5:
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
    """An alias splits traffic between two published versions at most."""
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
