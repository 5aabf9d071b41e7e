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
