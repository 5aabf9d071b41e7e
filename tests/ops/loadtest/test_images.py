"""Tests of the images that a load test sends."""

from pathlib import Path

import PIL.Image

from ops.loadtest import images


def test_a_folder_is_searched_and_the_sample_is_the_default(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "b.JPG", "JPEG")
    (tmp_path / "c.txt").write_text("not an image")
    payloads = images.read([tmp_path])
    assert [image.media_type for image in payloads] == ["image/png", "image/jpeg"]
    [sample] = images.read([])
    assert sample.media_type == "image/jpeg"
    assert 5_000 < len(sample.body) < 200_000
