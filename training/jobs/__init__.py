"""What speaks to AWS: from a folder of photos to a scaled endpoint. See docs/sagemaker.md."""
