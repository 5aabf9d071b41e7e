import pytest

from training.breed_names import display_name


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Cavalier_king_charles_spaniel", "Cavalier King Charles spaniel"),
        ("Labrador_retriever", "Labrador retriever"),
        ("Nova_scotia_duck_tolling_retriever", "Nova Scotia duck tolling retriever"),
        ("Chinese_shar-pei", "Chinese shar-pei"),
        ("boxer", "Boxer"),
    ],
)
def test_a_label_as_people_write_it(label: str, name: str) -> None:
    assert display_name(label) == name
    assert display_name(label).lower() == label.lower().replace("_", " ")
