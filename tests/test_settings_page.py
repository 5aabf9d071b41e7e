"""docs/settings.md is up to date."""

from tests import settings_page


def test_the_page_is_what_make_docs_writes() -> None:
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.render(), (
        "run `make docs`"
    )
