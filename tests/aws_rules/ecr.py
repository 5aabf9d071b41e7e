"""Repositories, images and lifecycle policies in ECR."""

import json
from typing import Any

from moto.ecr.models import ecr_backends

from tests.aws_rules.rules import Refused, Request, rule


@rule(
    "ecr",
    "PutImage",
    source="https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html",
)
def manifest_has_its_media_type(request: Request) -> None:
    """A manifest is JSON, and its mediaType is that of the request if both are present."""
    try:
        manifest = json.loads(request.parameters["imageManifest"])
    except ValueError:
        raise Refused("InvalidParameterException", "The image manifest is not JSON.") from None
    declared = request.parameters.get("imageManifestMediaType")
    media_type = manifest.get("mediaType")
    if declared and media_type and declared != media_type:
        message = f"The manifest has media type {media_type}, not {declared}."
        raise Refused("InvalidParameterException", message)


@rule(
    "ecr",
    "PutLifecyclePolicy",
    source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html",
)
def lifecycle_policy_is_valid(request: Request) -> None:
    """Priorities are unique, `any` comes last, tagged rules name tags, ages have a unit."""
    try:
        rules = json.loads(request.parameters["lifecyclePolicyText"])["rules"]
    except (ValueError, KeyError, TypeError):
        raise _invalid("the text is not a policy") from None
    if not rules or len(rules) > 50:
        raise _invalid("a policy has 1 to 50 rules")
    priorities = [each.get("rulePriority", 0) for each in rules]
    if len(set(priorities)) < len(priorities) or min(priorities) < 1:
        raise _invalid("priorities are unique and at least 1")
    for each in rules:
        _check_selection(each.get("selection", {}), each["rulePriority"] == max(priorities))
        if each.get("action") != {"type": "expire"}:
            raise _invalid("the action is expire")


@rule(
    "ecr",
    "PutLifecyclePolicy",
    source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html",
)
def tags_of_lifecycle_rules_are_valid(request: Request) -> None:
    """Prefixes or patterns, up to four * in each, and none with untagged images or a new count."""
    for each in json.loads(request.parameters["lifecyclePolicyText"])["rules"]:
        selection = each.get("selection", {})
        prefixes, patterns = selection.get("tagPrefixList"), selection.get("tagPatternList")
        if prefixes and patterns:
            raise _invalid("a rule has tagPrefixList or tagPatternList")
        if (prefixes or patterns) and selection.get("tagStatus") != "tagged":
            raise _invalid("only rules for tagged images name tags")
        if any(pattern.count("*") > 4 for pattern in patterns or []):
            raise _invalid("a pattern has at most four wildcards")


@rule(
    "ecr",
    "PutImage",
    source="https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html",
)
def immutable_tags_stay(request: Request) -> None:
    """A tag of a repository with immutable tags names one image forever."""
    parameters = request.parameters
    repository = ecr_backends[request.account][request.region].repositories.get(
        parameters["repositoryName"]
    )
    tag = parameters.get("imageTag")
    if repository is None or repository.image_tag_mutability != "IMMUTABLE" or not tag:
        return
    for image in repository.images:
        if tag in image.image_tags and image.image_manifest != parameters["imageManifest"]:
            raise Refused(
                "ImageTagAlreadyExistsException",
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and "
                "cannot be overwritten because the repository is immutable.",
            )


def _check_selection(selection: dict[str, Any], is_last: bool) -> None:
    status, count = selection.get("tagStatus"), selection.get("countType")
    if status not in ("tagged", "untagged", "any"):
        raise _invalid("tagStatus is tagged, untagged or any")
    if status == "any" and not is_last:
        raise _invalid("a rule for any tag has the highest priority number")
    if status == "tagged" and not (
        selection.get("tagPrefixList") or selection.get("tagPatternList")
    ):
        raise _invalid("a rule for tagged images has tagPrefixList or tagPatternList")
    if count not in ("imageCountMoreThan", "sinceImagePushed"):
        raise _invalid("countType is imageCountMoreThan or sinceImagePushed")
    if (count == "sinceImagePushed") != (selection.get("countUnit") == "days"):
        raise _invalid("countUnit is days with sinceImagePushed, and absent otherwise")
    if not (isinstance(selection.get("countNumber"), int) and selection["countNumber"] >= 1):
        raise _invalid("countNumber is at least 1")


def _invalid(reason: str) -> Refused:
    return Refused("InvalidParameterException", f"Lifecycle policy validation failure: {reason}")
