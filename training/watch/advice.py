"""What to look at next: where something is missing, and where something is wrong."""

from training.watch.picture import Picture

DRIFT = 0.03
"""Mean probabilities move by less from hour to hour without a reason."""
ENOUGH = 100
"""Of fewer calls the mean is chance."""
TOO_MANY = 0.05
"""Part of the requests that ends with a problem of ours."""
OURS = ("internal-error", "endpoint-failed", "endpoint-unavailable", "endpoint-timeout")


def sentences(picture: Picture) -> list[str]:
    """What is worth doing, what hides the rest first; nothing where all is well."""
    return [*_endpoint(picture), *_traffic(picture), *_limits(picture), *_drift(picture)]


def _endpoint(picture: Picture) -> list[str]:
    fleet, stage = picture.fleet, picture.stage
    if fleet is None:
        return [
            f"There is no endpoint {picture.place.endpoint} in {picture.region}: "
            f"`python -m training deploy --stage {stage}` makes it. Or is it another --region?"
        ]
    if fleet.status != "InService":
        return [
            f"The endpoint is {fleet.status}: `aws sagemaker describe-endpoint --endpoint-name "
            f"{fleet.name}` says why; its log is /aws/sagemaker/Endpoints/{fleet.name}."
        ]
    if fleet.instances < fleet.desired:
        return [f"{fleet.desired - fleet.instances} more instances are on their way."]
    return []


def _traffic(picture: Picture) -> list[str]:
    total, stage = picture.readings.total, picture.stage
    group = f"/aws/lambda/{picture.place.function}"
    if total("requests"):
        if picture.readings.whole["dog_mean"] is None and total("model_calls"):
            return ["The model was called, but no picture was answered: see the problems above."]
        if not total("model_calls"):
            return [
                "No request reached the model: only pages and health checks came, or all failed "
                "before it; the problems above say which."
            ]
        return []
    if total("function_calls"):
        return [
            f"The function ran but left no metrics: is there a log group {group}, with JSON lines "
            f"in it? If not, `make deploy STAGE={stage}` makes it and the permission to write it."
        ]
    if total("gateway_requests"):
        return [
            "API Gateway refused every request before a function ran: missing API keys (403) or "
            'the rate of the usage plan (429); see "API keys" in docs/operations.md.'
        ]
    return [
        "Nobody asked in this time. If somebody did: was the stage deployed "
        f"(`make deploy STAGE={stage}`), and to {picture.region}? Metrics take a minute or two "
        "to appear."
    ]


def _limits(picture: Picture) -> list[str]:
    total, found = picture.readings.total, []
    requests = total("requests")
    if throttled := total("function_throttles"):
        found.append(
            f"{throttled:,.0f} requests found no function free: raise reserved_concurrency "
            f"({picture.front.concurrency}) in .chalice/config.json, and the endpoint with it."
        )
    failed = sum(total(f"problem {kind}") for kind in OURS)
    if requests and failed / requests > TOO_MANY:
        found.append(
            f"{failed / requests:.0%} of the requests failed on our side: `cause` in the log "
            f"/aws/lambda/{picture.place.function} says why."
        )
    fleet = picture.fleet
    if fleet is None or fleet.target_per_minute is None:
        return found
    each = [one for one in picture.per_minute("model_calls_each")[-3:] if one is not None]
    full = fleet.max_instances is not None and fleet.instances >= fleet.max_instances
    if full and each and min(each) > fleet.target_per_minute:
        found.append(
            f"All {fleet.max_instances} instances run above their target: raise max_instances "
            f"with `python -m training scale --stage {picture.stage}`."
        )
    return found


def _drift(picture: Picture) -> list[str]:
    found: list[str] = []
    if picture.readings.total("model_calls") < ENOUGH:
        return found
    for key, what in (("dog_mean", "dog probability"), ("top_mean", "top-1 probability")):
        now, before = picture.readings.whole[key], picture.readings.before[key]
        if now is None or before is None or abs(now - before) < DRIFT:
            continue
        direction = "fell" if now < before else "rose"
        found.append(
            f"The {what} {direction} from {before:.3f} (the day before) to {now:.3f}: other "
            "photos than before, or another model? `model_version` and `top_breed` are in the log."
        )
    return found
