"""What STS refuses."""

from moto.iam.models import iam_backends

from tests.aws_rules.rules import Refused, Request, rule


@rule(
    "sts",
    "AssumeRole",
    source="https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html",
)
def the_role_exists(request: Request) -> None:
    """A role that does not exist is refused as one that does not admit the caller."""
    arn = request.parameters["RoleArn"]
    if arn not in {role.arn for role in iam_backends[request.account]["aws"].roles.values()}:
        raise Refused(
            "AccessDenied",
            f"User is not authorized to perform: sts:AssumeRole on resource: {arn}",
            403,
        )


@rule(
    "sts",
    *("AssumeRole", "AssumeRoleWithWebIdentity"),
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-settings.html",
)
def sessions_end_with_the_maximum_of_the_role(request: Request) -> None:
    """A session is not longer than the role's MaxSessionDuration."""
    arn, duration = request.parameters["RoleArn"], request.parameters.get("DurationSeconds", 900)
    for role in iam_backends[request.account]["aws"].roles.values():
        if role.arn == arn and int(duration) > int(role.max_session_duration or 3600):
            message = (
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
            raise Refused("ValidationError", message)
