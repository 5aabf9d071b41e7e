"""The container image of training jobs."""

from aws.account import Account
from aws.settings import FitSettings
from cli.errors import SettingsError


def uri(account: Account, options: FitSettings) -> str:
    """Return the image of the settings, or AWS's for the region and the instance type.

    Importing `sagemaker` takes seconds, so only this function does.
    """
    if options.image:
        return options.image
    from sagemaker.core import image_uris  # type: ignore[import-untyped]

    try:
        return str(
            image_uris.retrieve(
                framework="pytorch-amzn2023",
                version=options.pytorch,
                image_scope="training",
                instance_type=options.instance_type,
                region=account.region,
            )
        )
    except ValueError as error:
        raise SettingsError(f"no training image: {str(error).splitlines()[0]}") from None
