"""List all rules with their sources."""

from tests.aws_rules.rules import load

for rule in load():
    sentence = (rule.check.__doc__ or "").strip().partition("\n")[0]
    print(f"{rule.service}: {', '.join(rule.operations)}\n  {sentence}\n  {rule.source}")
