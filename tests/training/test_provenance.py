from training import provenance


def test_the_command_of_a_run_names_no_folders_of_the_machine() -> None:
    arguments = [
        "/a/training/train.py",
        "--data",
        "/home/me/photos.csv",
        "--output=/b/run",
        "--size",
        "64",
    ]
    expected = "python -m training train --data photos.csv --output=run --size 64"
    assert provenance.command_line(arguments) == expected
    relative = ["/a/training/__main__.py", "train", "--output", "runs/mine"]
    assert provenance.command_line(relative) == "python -m training train --output runs/mine"
