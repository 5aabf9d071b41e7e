"""What runs inside the SageMaker endpoint's container: from the bytes of a picture to scores."""
