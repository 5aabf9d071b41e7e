"""List all rules with their sources."""

from tests.aws_rules.rules import load

for rule in load():
    sentence = (rule.check.__doc__ or "").strip().partition("\n")[0]
    few = len(rule.operations) <= 20
    operations = ", ".join(rule.operations) if few else f"{len(rule.operations)} operations"
    print(f"{rule.service}: {operations}\n  {sentence}\n  {rule.source}")
