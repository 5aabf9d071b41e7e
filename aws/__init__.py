"""The AWS account as a library: session, settings, stages, S3, polling, IAM documents."""
