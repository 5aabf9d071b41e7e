"""Run all checks and show their results."""

import re
from collections.abc import Callable, Iterator, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from aws.account import explain, is_denied, is_missing
from cli import tables
from ops.deployment import Deployment
from ops.doctor import (
    alerts,
    bucket,
    configuration,
    credentials,
    current_state,
    network,
    policy_sizes,
    quotas,
    roles,
    serving_image,
    volumes,
)
from ops.doctor.line import Line, Status
from ops.errors import NotReady

Check = Callable[[Deployment], Iterator[Line]]
CHECKS: dict[str, Check] = {
    "config.json": configuration.check,
    "policies": policy_sizes.check,
    "volumes": volumes.check,
    "endpoint instances": quotas.endpoint_instances,
    "job instances": quotas.job_instances,
    "Lambda concurrency": quotas.lambda_concurrency,
    "image builds": quotas.builds,
    "EC2 vCPUs": quotas.ec2_vcpus,
    "roles": roles.check,
    "service-linked roles": roles.service_linked,
    "OIDC provider": roles.oidc_provider,
    "bucket": bucket.check,
    "network": network.check,
    "serving image": serving_image.check,
    "endpoint": current_state.endpoint,
    "stack": current_state.stack,
    "budget": alerts.budget,
    "alarms": alerts.alarms,
}


def examine(deployment: Deployment) -> list[Line]:
    """Run every check. Without credentials, only the checks that need none."""
    lines = list(credentials.check(deployment))
    logged_in = all(line.status is not Status.BLOCKS for line in lines)
    for subject, check in CHECKS.items():
        if logged_in or check is configuration.check:
            lines += _run(subject, check, deployment)
    return lines


def _run(subject: str, check: Check, deployment: Deployment) -> Iterator[Line]:
    """Run a check; a permission that is missing or a service that does not answer is a line."""
    try:
        yield from check(deployment)
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and is_denied(error):
            message = str(error.response["Error"].get("Message", ""))
            action = re.search(r"perform: (\S+)", message)
            needed = action[1] if action else error.operation_name
            yield Line(
                Status.UNKNOWN,
                subject,
                f"could not check: needs {needed}",
                "run doctor as an operator (`python -m ops policy --role deploy`)",
            )
        elif isinstance(error, ClientError) and is_missing(error):
            fix = "correct its name in settings.toml"
            yield Line(Status.BLOCKS, subject, explain(error), fix)
        else:
            yield Line(Status.UNKNOWN, subject, f"could not check: {explain(error)}")


def text(lines: Sequence[Line]) -> str:
    """Return the lines as a table, each fix below its line."""
    rows = []
    for line in lines:
        rows.append((line.status.value, line.subject, line.detail))
        if line.fix:
            rows.append(("", "", f"fix: {line.fix}"))
    return tables.render(("status", "subject", "result"), rows)


def summary(lines: Sequence[Line]) -> str:
    """Return the lines that need a look; `up` takes care of the rest."""
    quiet = (Status.OK, Status.TO_DO)
    open_lines = [line for line in lines if line.status not in quiet]
    counted = f"doctor: {len(lines) - len(open_lines)} of {len(lines)} checks need no attention"
    return "\n".join([counted, *([text(open_lines)] if open_lines else [])])


def refuse_if_blocked(lines: Sequence[Line]) -> None:
    """Raise NotReady if a line blocks the deployment."""
    blocking = [line for line in lines if line.status is Status.BLOCKS]
    if blocking:
        first = blocking[0]
        more = f", and {len(blocking) - 1} more" if blocking[1:] else ""
        raise NotReady(f"{first.subject}: {first.detail.rstrip('.')}{more}. See the fixes above.")
