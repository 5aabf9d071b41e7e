"""The API in AWS: `python -m ops api COMMAND`."""

from cli.commands import Entry, Group

SECTIONS = {
    "Commands": {
        "release": Entry("ops.api.release", "release the API to a stage, or roll back", True, True),
        "remove": Entry("ops.api.remove", "remove the API of a stage", True),
        "bundle": Entry("ops.api.bundle", "package the Lambda bundle reproducibly"),
        "smoke-test": Entry("ops.api.smoke_test", "test a deployed API"),
    },
}  # fmt: skip
group = Group("api", SECTIONS, "Release, roll back and remove the API of a stage.")
