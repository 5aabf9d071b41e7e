"""Checks of the AWS account for cost, exposure and misconfiguration."""
