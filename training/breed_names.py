"""What people read in place of a label: `Cavalier_king_charles_spaniel` and its proper capitals."""

# The words within the labels of the 133 breeds that name a place, a people or a person.
PROPER_NOUNS = frozenset(
    ["bay", "bernard", "bordeaux", "charles", "dane", "dinmont", "english", "eskimo", "flandres"]
    + ["imaal", "king", "malinois", "pyrenees", "russell", "russian", "scotia", "staffordshire"]
    + ["swiss", "tervuren", "vendeen", "welsh"]
)


def display_name(label: str) -> str:
    """`label` with spaces for underscores and capitals where they belong; nothing else changes."""
    first, *rest = label.replace("_", " ").split(" ")
    words = [word.capitalize() if word in PROPER_NOUNS else word for word in rest]
    return " ".join([first[:1].upper() + first[1:], *words])
