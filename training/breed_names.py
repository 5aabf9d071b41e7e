"""Display names of breeds: labels with spaces and the capitals of proper nouns."""

# The words within the labels of the 133 breeds that name a place, a people or a person.
PROPER_NOUNS = frozenset(
    ["bay", "bernard", "bordeaux", "charles", "dane", "dinmont", "english", "eskimo", "flandres"]
    + ["imaal", "king", "malinois", "pyrenees", "russell", "russian", "scotia", "staffordshire"]
    + ["swiss", "tervuren", "vendeen", "welsh"]
)


def display_name(label: str) -> str:
    """Turn `Cavalier_king_charles_spaniel` into `Cavalier King Charles spaniel`."""
    first, *rest = label.replace("_", " ").split(" ")
    words = [word.capitalize() if word in PROPER_NOUNS else word for word in rest]
    return " ".join([first[:1].upper() + first[1:], *words])
