"""Check service roles, service-linked roles and the identity provider of the pipeline."""

from collections.abc import Iterator
from functools import partial

from aws.account import Account, or_none
from ops.deployment import Deployment
from ops.doctor.line import Line, Status
from ops.iam import api_roles, github_oidc
from ops.iam.policy import SERVICE_ROLES

SCALING_ROLE = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
SPOT_ROLE = "AWSServiceRoleForEC2Spot"
_NEEDED = ("serving", "codebuild")


def check(deployment: Deployment) -> Iterator[Line]:
    """Check that the roles of the endpoint, the image builds and the API exist."""
    account, stage = deployment.account, deployment.stage
    names = [SERVICE_ROLES[name].name(account) for name in _NEEDED]
    names.append(api_roles.function_role(stage))
    if deployment.has_stack:
        names.append(api_roles.release_role(stage))
    for name in names:
        if _exists(account, name):
            yield Line(Status.OK, "role", name)
        else:
            fix = f"an administrator runs `python -m ops up --stage {stage.name} --part setup`"
            yield Line(Status.TO_DO, "role", f"{name} does not exist", fix)


def service_linked(deployment: Deployment) -> Iterator[Line]:
    """Check the roles that AWS's services create for themselves."""
    account = deployment.account
    if not deployment.serving.serverless:
        if _exists(account, SCALING_ROLE):
            yield Line(Status.OK, "service-linked role", SCALING_ROLE)
        else:
            detail = f"{SCALING_ROLE} does not exist; AWS creates it with the first scaling"
            yield Line(Status.TO_DO, "service-linked role", detail)
    if deployment.ec2.spot:
        if _exists(account, SPOT_ROLE):
            yield Line(Status.OK, "service-linked role", SPOT_ROLE)
        else:
            yield Line(
                Status.WARNING,
                "service-linked role",
                f"{SPOT_ROLE} does not exist: `training ec2` cannot request spot instances",
                "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
            )


def oidc_provider(deployment: Deployment) -> Iterator[Line]:
    """Check the identity provider of GitHub, which only the pipeline needs."""
    account = deployment.account
    arn = f"arn:{account.partition}:iam::{account.id}:oidc-provider/{github_oidc.ISSUER}"
    client = account.client("iam")
    provider = or_none(partial(client.get_open_id_connect_provider, OpenIDConnectProviderArn=arn))
    if provider is None:
        detail = f"{github_oidc.ISSUER} does not exist; only the GitHub pipeline needs it"
        fix = "python -m ops policy --role pipeline --repository OWNER@ID/NAME@ID --apply"
        yield Line(Status.TO_DO, "OIDC provider", detail, fix)
    elif github_oidc.AUDIENCE not in provider["ClientIDList"]:
        yield Line(
            Status.WARNING,
            "OIDC provider",
            f"{github_oidc.ISSUER} does not admit the audience {github_oidc.AUDIENCE}",
            "aws iam add-client-id-to-open-id-connect-provider "
            f"--open-id-connect-provider-arn {arn} --client-id {github_oidc.AUDIENCE}",
        )
    else:
        yield Line(Status.OK, "OIDC provider", github_oidc.ISSUER)


def _exists(account: Account, role: str) -> bool:
    return or_none(lambda: account.client("iam").get_role(RoleName=role)) is not None
