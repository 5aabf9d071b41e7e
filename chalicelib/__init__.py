"""What runs in Lambda: from a client's request to SageMaker's endpoint and back."""
