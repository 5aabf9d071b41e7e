"""Find the container image of training jobs."""

from aws.account import Account
from aws.settings import FitSettings
from cli.errors import SettingsError


def uri(account: Account, fit: FitSettings) -> str:
    """Return the URI of [fit].image, or of AWS's PyTorch image for the region and instance type.

    Importing sagemaker takes seconds, so only this function does. Raises SettingsError if AWS has
    no image of that version, or if sagemaker is not installed.
    """
    if fit.image:
        return fit.image
    try:
        from sagemaker.core import image_uris  # type: ignore[import-untyped]
    except ImportError:
        raise SettingsError(
            "The package sagemaker, which knows AWS's training images, is not installed. Run this "
            "command with .venv-dev/bin/python, or set [fit] image."
        ) from None
    try:
        return str(
            image_uris.retrieve(
                framework="pytorch-amzn2023",
                version=fit.pytorch,
                image_scope="training",
                instance_type=fit.instance_type,
                region=account.region,
            )
        )
    except ValueError as error:
        raise SettingsError(
            f"AWS has no such training image: {str(error).splitlines()[0]}"
        ) from None
