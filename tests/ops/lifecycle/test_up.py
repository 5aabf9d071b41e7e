"""`up` in an account of moto in this process: each step, its order, interruption and repetition."""

from tests.emulator.fixtures import Command


def test_scratch(aws, image, command: Command, change_settings) -> None:
    change_settings("alerts", email="me@example.com")
    change_settings("serving", instance_count=1)
    o = command("ops", "doctor", "--stage", "dev")
    open("/tmp/w/doc.log", "a").write(o.out + o.err + "\n=====\n")
    o = command("ops", "up", "--stage", "prod", "--dry-run")
    open("/tmp/w/doc.log", "a").write(o.out + o.err + "\n=====\n")
    o = command("ops", "up", "--stage", "dev", "--yes", "--part", "setup", "--part", "model")
    open("/tmp/w/doc.log", "a").write(o.out + o.err + "\n=====\n")
    o = command("ops", "up", "--stage", "dev", "--yes", "--part", "setup", "--part", "model")
    open("/tmp/w/doc.log", "a").write(o.out + o.err + "\n=====\n")
    o = command("ops", "down", "--stage", "dev", "--yes", "--data")
    open("/tmp/w/doc.log", "a").write(o.out + o.err + "\n=====\n")
    o = command("ops", "down", "--stage", "dev", "--yes", "--data")
    open("/tmp/w/doc.log", "a").write(o.out + o.err + "\n=====\n")
    assert 0
