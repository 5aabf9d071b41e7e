"""Training, tuning and classification as jobs in AWS. See docs/sagemaker.md."""
