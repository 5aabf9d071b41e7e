"""Under which names CloudWatch knows the parts of a stage."""

from dataclasses import dataclass

from training.cloud import stages


@dataclass(frozen=True, slots=True)
class Place:
    """The names of a stage's parts in the dimensions of its metrics."""

    stage: str
    """API Gateway's stage, which is the dimension `stage` of the API's own metrics too."""
    api: str
    function: str
    alias: str
    """What provisioned concurrency is measured under; empty where a stage has none."""
    endpoint: str


def read(name: str) -> Place:
    """The place of stage `name`. Raises `SettingsError` where there is no such stage."""
    stage = stages.read(name)
    config = stages.config()
    api = stages.properties(name, "RestAPI")
    function = stages.properties(name, "APIHandler")
    provisioned = "ProvisionedConcurrencyConfig" in function
    return Place(
        stage=config["stages"][name].get("api_gateway_stage", "api"),
        # Chalice alone names the API after the app, for every stage the same.
        api=api.get("Name", config["app_name"]),
        function=stage.function,
        alias=f"{stage.function}:{function['AutoPublishAlias']}" if provisioned else "",
        endpoint=stage.endpoint,
    )
