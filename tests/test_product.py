"""The API and its own model, as `make run` starts them, with real images."""

from collections.abc import Iterator

import pytest
import requests

from tests.conftest import ROOT, PhotoCollection
from tests.servers import answer, web_server, whole_product

pytestmark = pytest.mark.server
SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"


@pytest.fixture(scope="module")
def product() -> Iterator[str]:
    with whole_product() as address:
        yield address


def test_the_url_of_the_sample(product: str) -> None:
    with web_server(answer(200, SAMPLE.read_bytes())) as host:
        document = requests.post(
            f"{product}/predict", json={"url": f"{host}/dalmatian.png"}, timeout=20
        ).json()
    assert document["predictions"][0]["breed"] == "Dalmatian"
    assert len(document["predictions"]) == 5
    assert document["is_dog"] is True
    breeds = requests.get(f"{product}/breeds", timeout=20).json()["breeds"]
    assert len(breeds) == len(document["logits"]) == 133
    first = document["predictions"][0]
    assert document["logits"][breeds.index("Dalmatian")] == first["logit"]


@pytest.mark.photos
def test_the_url_of_a_real_photo(product: str, photos: PhotoCollection) -> None:
    """A photo of each of three or more distinctive breeds, by photographers new to the model."""
    labels = {"Dalmatian", "Pug", "Afghan_hound", "Komondor", "Chow_chow"}
    rows = {row["label"]: row for row in photos.split("test") if row["label"] in labels}
    assert len(rows) >= 3
    for label, row in rows.items():
        photo = photos.read(row)
        with web_server(answer(200, photo)) as host:
            by_url = requests.get(f"{product}/predict", params={"url": host}, timeout=20).json()
        assert by_url["predictions"][0]["breed"].lower() == label.replace("_", " ").lower()
        assert by_url["is_dog"] is True
        upload = requests.post(
            f"{product}/predict", photo, headers={"Content-Type": "image/jpeg"}, timeout=20
        ).json()
        assert upload["logits"] == by_url["logits"]


@pytest.mark.photos
def test_a_photo_of_something_else(product: str, photos: PhotoCollection) -> None:
    row = next(row for row in photos.split("other") if "goldfish" in row["file"])
    document = requests.post(
        f"{product}/predict",
        photos.read(row),
        headers={"Content-Type": "image/jpeg"},
        timeout=20,
    ).json()
    assert document["is_dog"] is False
    assert document["dog_probability"] < 0.1
