"""What AWS documents and moto does not enforce: one module per service, one function per rule.

`python -m tests.aws_rules` lists the rules with their sources.
"""
