"""How many requests a second one instance can take: measured open loop. See docs/scaling.md."""
