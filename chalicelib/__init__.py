"""The API that runs in Lambda: HTTP requests in, SageMaker invocations out."""
