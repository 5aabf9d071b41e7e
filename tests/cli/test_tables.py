"""Tables for the terminal."""

from cli.tables import render


def test_numbers_are_aligned_to_the_right() -> None:
    text = render(["name", "time", "cost"], [["a", "10:05", "$1.20"], ["long name", "2:05", "-"]])
    assert text.splitlines() == [
        "name        time   cost",
        "a          10:05  $1.20",
        "long name   2:05      -",
    ]


def test_without_rows() -> None:
    assert render(["name", "time"], []) == "name  time"
