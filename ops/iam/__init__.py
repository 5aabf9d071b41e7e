"""The IAM policies and roles of operators, releases and AWS services."""
