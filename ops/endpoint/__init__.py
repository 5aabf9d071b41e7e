"""The model endpoint: `python -m ops endpoint COMMAND`."""

from cli.commands import Entry, Group

SECTIONS = {
    "Commands": {
        "image": Entry("ops.endpoint.serving_image", "build and push the serving image", True, True),
        "deploy": Entry("ops.endpoint.deploy", "serve a model on a stage, or roll back", True, True),
        "scale": Entry("ops.endpoint.scaling", "set autoscaling limits and target", True, True),
        "teardown": Entry("ops.endpoint.teardown", "remove what a stage costs", True),
    },
}  # fmt: skip
group = Group("endpoint", SECTIONS, "Deploy, scale and remove the model endpoint of a stage.")
