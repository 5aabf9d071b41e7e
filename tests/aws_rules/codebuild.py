"""Projects and builds in CodeBuild."""

import re

import yaml
from moto.iam.models import iam_backends

from tests.aws_rules.rules import Refused, Request, rule

_PROJECT = "https://docs.aws.amazon.com/codebuild/latest/APIReference/API_CreateProject.html"
_VARIABLES = "https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html"
_ENVIRONMENT = (
    "https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ProjectEnvironment.html"
)
_ROLE = "https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html"


@rule("codebuild", "CreateProject", "UpdateProject", "StartBuild", source=_PROJECT)
def timeouts_are_in_range(request: Request) -> None:
    """A build takes 5 to 2,160 minutes, and waits in the queue 5 to 480."""
    for name, most in (("timeoutInMinutes", 2160), ("queuedTimeoutInMinutes", 480)):
        value = request.parameters.get(name) or request.parameters.get(f"{name}Override")
        if value is not None and not 5 <= value <= most:
            raise _invalid(f"Invalid {name}: must be between 5 and {most}")


@rule("codebuild", "CreateProject", "UpdateProject", "StartBuild", source=_VARIABLES)
def variables_are_not_reserved(request: Request) -> None:
    """Names are those of shell variables, not starting with CODEBUILD_; 5,500 characters in all."""
    environment = request.parameters.get("environment") or {}
    variables = request.parameters.get("environmentVariablesOverride") or []
    variables = variables + (environment.get("environmentVariables") or [])
    for variable in variables:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable["name"]):
            raise _invalid(f"Invalid environment variable name: {variable['name']}")
        if variable["name"].startswith("CODEBUILD_"):
            raise _invalid("Environment variables must not start with CODEBUILD_")
    if sum(len(each["name"]) + len(each["value"]) for each in variables) > 5500:
        raise _invalid("Environment variables must have at most 5,500 characters in all")


@rule("codebuild", "CreateProject", "UpdateProject", source=_ENVIRONMENT)
def image_fits_the_machine(request: Request) -> None:
    """ARM_CONTAINER runs aarch64 images of CodeBuild, LINUX_CONTAINER x86_64 ones."""
    environment = request.parameters.get("environment") or {}
    image, machine = environment.get("image", ""), environment.get("type", "")
    if image.startswith("aws/codebuild/") and ("aarch64" in image) != (machine == "ARM_CONTAINER"):
        raise _invalid(f"The image {image} does not run on {machine}")


@rule("codebuild", "CreateProject", "UpdateProject", "StartBuild", source=_PROJECT)
def sources_are_complete(request: Request) -> None:
    """A source in S3 is BUCKET/KEY, a name without a scheme."""
    source = request.parameters.get("source") or {}
    kind = source.get("type") or request.parameters.get("sourceTypeOverride")
    location = source.get("location") or request.parameters.get("sourceLocationOverride") or ""
    if kind == "S3" and not re.fullmatch(r"[a-z0-9.-]{3,63}/.+|arn:[^/]+/.+", location):
        raise _invalid(f"Invalid project source: location {location} must be BUCKET/KEY")


@rule("codebuild", "CreateProject", "UpdateProject", source=_ROLE)
def role_trusts_codebuild(request: Request) -> None:
    """The service role exists, and CodeBuild may assume it."""
    arn = request.parameters.get("serviceRole") or ""
    roles = iam_backends[request.account]["aws"].roles.values()
    trust = next((role.assume_role_policy_document for role in roles if role.arn == arn), "")
    if arn and "codebuild.amazonaws.com" not in trust:
        raise _invalid(f"CodeBuild is not authorized to perform: sts:AssumeRole on {arn}")


_SIZES = {
    "LINUX_CONTAINER": {"SMALL", "MEDIUM", "LARGE", "XLARGE", "2XLARGE"},
    "ARM_CONTAINER": {"SMALL", "MEDIUM", "LARGE", "XLARGE", "2XLARGE"},
    "LINUX_GPU_CONTAINER": {"SMALL", "LARGE"},
}


@rule(
    "codebuild",
    *("CreateProject", "UpdateProject"),
    source="https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-compute-types.html",
)
def machines_have_the_size(request: Request) -> None:
    """The compute type is one that the environment type has."""
    environment = request.parameters.get("environment") or {}
    machine, size = environment.get("type", ""), environment.get("computeType", "")
    sizes = _SIZES.get(machine)
    if environment and sizes and size.removeprefix("BUILD_GENERAL1_") not in sizes:
        raise _invalid(f"Invalid environment: {size} is not available for {machine}")


@rule(
    "codebuild",
    *("CreateProject", "UpdateProject", "StartBuild"),
    source="https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html",
)
def buildspecs_are_yaml(request: Request) -> None:
    """A buildspec is YAML with a version, 0.1 or 0.2, and known phases, which have commands."""
    source = request.parameters.get("source") or {}
    text = source.get("buildspec") or request.parameters.get("buildspecOverride") or ""
    if "\n" not in text:  # the name of a file
        return
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _invalid(f"YAML_FILE_ERROR: {error}") from None
    if str(document.get("version")) not in ("0.1", "0.2"):
        raise _invalid("YAML_FILE_ERROR: invalid buildspec version")
    phases = document.get("phases") or {}
    unknown = set(phases) - {"install", "pre_build", "build", "post_build"}
    if unknown or not all(phase.get("commands") for phase in phases.values()):
        raise _invalid("YAML_FILE_ERROR: a phase is unknown or has no commands")
    for phase in phases.values():
        if not all(isinstance(command, str) for command in phase["commands"]):
            raise _invalid("YAML_FILE_ERROR: Expected Commands to be of string type")


def _invalid(message: str) -> Refused:
    return Refused("InvalidInputException", message)
