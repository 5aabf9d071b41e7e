"""How STS compares a token of GitHub with the trust policy of a role."""

import base64
import json
from fnmatch import fnmatchcase
from typing import Any

from moto.iam.models import iam_backends

from tests.aws_rules.rules import Refused, Request, rule

ISSUER = "token.actions.githubusercontent.com"


def token(subject: str, audience: str = "sts.amazonaws.com") -> str:
    """Return a token of GitHub Actions, without a signature."""
    claims = {"iss": f"https://{ISSUER}", "aud": audience, "sub": subject}
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*encoded, "signature"])


@rule(
    "sts",
    "AssumeRoleWithWebIdentity",
    source="https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html",
)
def trust_policy_admits_the_token(request: Request) -> None:
    """The token's issuer has a provider with its audience; the trust policy admits its subject."""
    claims = _claims(request.parameters["WebIdentityToken"])
    backend = iam_backends[request.account]["aws"]
    host = claims["iss"].removeprefix("https://")
    providers = [item for item in backend.open_id_providers.values() if item.url == host]
    if not providers:
        message = f"No OpenIDConnect provider found in your account for {claims['iss']}"
        raise Refused("InvalidIdentityToken", message)
    if claims["aud"] not in providers[0].client_id_list:
        raise Refused("InvalidIdentityToken", "Incorrect token audience")
    roles = {role.arn: role for role in backend.roles.values()}
    role = roles.get(request.parameters["RoleArn"])
    statements = json.loads(role.assume_role_policy_document)["Statement"] if role else []
    if not any(_admits(statement, providers[0].arn, claims) for statement in statements):
        message = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
        raise Refused("AccessDenied", message, 403)


def _claims(encoded: str) -> dict[str, Any]:
    try:
        part = encoded.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    except (IndexError, ValueError):
        raise Refused("InvalidIdentityToken", "The ID Token provided is not a valid JWT.") from None
    return claims


def _admits(statement: dict[str, Any], provider: str, claims: dict[str, Any]) -> bool:
    if statement.get("Principal", {}).get("Federated") != provider:
        return False
    if statement["Action"] != "sts:AssumeRoleWithWebIdentity":
        return False
    host = claims["iss"].removeprefix("https://")
    values = {f"{host}:{name}": claim for name, claim in claims.items()}
    for operator, keys in statement.get("Condition", {}).items():
        matches = fnmatchcase if operator == "StringLike" else str.__eq__
        for key, expected in keys.items():
            allowed = expected if isinstance(expected, list) else [expected]
            if not any(matches(str(values.get(key)), item) for item in allowed):
                return False
    return True
