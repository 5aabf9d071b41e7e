"""The code of the SageMaker endpoint: image bytes in, scores out."""
