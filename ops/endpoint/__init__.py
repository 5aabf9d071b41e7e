"""The model endpoint: `python -m ops endpoint COMMAND`."""

from cli.commands import Entry, Group

SECTIONS = {
    "Commands": {
        "image": Entry("ops.endpoint.serving_image", "build the serving image", True, True),
        "deploy": Entry("ops.endpoint.deploy", "serve a model, or roll back", True, True),
        "describe": Entry(
            "ops.endpoint.describe", "show what runs, and where its model came from", True
        ),
        "scale": Entry("ops.endpoint.scaling", "set autoscaling limits and target", True, True),
        "teardown": Entry("ops.endpoint.teardown", "remove everything that costs money", True),
    },
}
group = Group("endpoint", SECTIONS, "Deploy, scale and remove the model endpoint of a stage.")
