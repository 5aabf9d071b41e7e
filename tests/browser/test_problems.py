"""Every problem as a sentence that a person understands."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from chalicelib.problems import Problem
from tests.browser.conftest import Watch
from tests.browser.test_page import ask, choose, file, sentences

pytestmark = [pytest.mark.server, pytest.mark.browser]

Visit = Callable[..., Page]
PROBLEMS = {kind.type: kind for kind in Problem.__subclasses__()}
OF_THE_BROWSER = {"offline", "unreadable-file"}
OF_API_GATEWAY = {"api-key-required", "too-many-requests", "quota-exceeded"}


@pytest.mark.parametrize(
    ("address", "says", "detail"),
    [
        ("{pictures}nothing", "I could not get that picture.", "answered with 404"),
        ("{pictures}text", "That is no picture that I can read.", "not a JPEG, PNG or WebP"),
        ("no-such-host.invalid/dog.jpg", "I could not get that picture.", "host is not known"),
        ("ftp://example.com/dog.jpg", "I may not open that address.", "Only http and https"),
        ("https://me:secret@example.com/", "I may not open that address.", "a password"),
        ("http://", "That is no address of a picture.", "must be absolute"),
    ],
)
def test_of_an_address(
    visit: Visit, api: str, pictures: str, watch: Watch, address: str, says: str, detail: str
) -> None:
    page = visit(api)
    ask(page, address.format(pictures=pictures))
    [said] = sentences(page)
    assert said.startswith(says)
    expect(page.locator(".more")).to_contain_text(detail)
    expect(page.get_by_role("status")).to_have_text(said)
    assert watch.elsewhere(api) == []  # what the API refused, the page does not open either
    assert only_statuses(watch) == []


def only_statuses(watch: Watch) -> list[str]:
    """The console without the line that Chromium itself writes for each status from 400 up."""
    return [text for text in watch.console if not text.startswith("Failed to load resource")]


def test_of_files(visit: Visit, api: str, encode: Callable[..., bytes]) -> None:
    page = visit(api)
    choose(
        page,
        file("damaged.png", encode("red")[:60]),
        file("text.pdf", b"%PDF", "application/pdf"),
        file("huge.jpg", bytes(9_000_000), "image/jpeg"),
        file("good.png", encode("red")),
    )
    damaged, text, huge, good = sentences(page)
    assert damaged.startswith("That is no picture that I can read.")
    assert text == huge == "That file is no picture that this browser can read."
    assert good == "Very likely a Red setter."


@pytest.mark.parametrize("kind", PROBLEMS)
def test_each_kind_has_its_sentence(visit: Visit, api: str, watch: Watch, kind: str) -> None:
    problem = PROBLEMS[kind]
    page = visit(api)

    def handle(route: Route) -> None:
        document = problem("The detail of it.").document("id-1")
        route.fulfill(status=problem.status, json=document)

    page.route("**/predict", handle)
    ask(page, "https://example.com/dog.jpg")
    [said] = sentences(page)
    # The method is the page's own doing; no visitor can get it wrong.
    assert (said == problem.title) == (kind == "method-not-allowed")
    assert re.fullmatch(r"[A-Z][^_{}<>]+[.?]", said) or kind == "method-not-allowed"
    expect(page.locator(".more")).to_have_text("The detail of it.")
    retry = page.get_by_role("button", name="Try again")
    expect(retry).to_have_count(1 if problem.status in (424, 429) or problem.status >= 500 else 0)
    page.get_by_text("For programs").click()
    expect(page.locator(".json")).to_contain_text('"request_id": "id-1"')
    assert only_statuses(watch) == []


def test_no_two_kinds_have_the_same_sentence(visit: Visit, api: str) -> None:
    script = visit(api).locator("script").inner_text()
    table = re.search(r"const SENTENCES = \{(.*?)\n\};", script, re.DOTALL)
    assert table is not None
    found = dict(re.findall(r'^  "([a-z-]+)": "(.+)",$', table[1], re.MULTILINE))
    of_the_api = set(PROBLEMS) - {"method-not-allowed"}
    assert set(found) == of_the_api | OF_THE_BROWSER | OF_API_GATEWAY
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"status": 429, "json": {"message": "Too Many Requests"}}, "Many ask at the same time"),
        ({"status": 413, "json": {"message": "Request Too Long"}}, "That picture is too large"),
        ({"status": 504, "json": {"message": "Timeout"}}, "The model took too long."),
        ({"status": 403, "json": {"message": "Forbidden"}}, "Something went wrong on our side."),
        ({"status": 502, "body": "<html>"}, "Something went wrong on our side."),
        ({"status": 200, "body": "<html>"}, "Something went wrong on our side."),
        (None, "I cannot reach the service. Are you online?"),
    ],
)
def test_what_answers_in_place_of_the_api(
    visit: Visit, api: str, pictures: str, watch: Watch, answer: dict[str, Any] | None, says: str
) -> None:
    """API Gateway's own answers, a proxy's, and none at all."""
    page = visit(api)
    page.route("**/predict", lambda route: route.fulfill(**answer) if answer else route.abort())
    ask(page, f"{pictures}red")
    assert sentences(page)[0].startswith(says)
    assert only_statuses(watch) == []
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("h2")).to_have_text("Very likely a Red setter.")


def test_a_deployment_that_asks_for_a_key(
    visit: Visit, api: str, pictures: str, watch: Watch
) -> None:
    """As prod's API Gateway does (.chalice/resources-prod.json)."""
    page = visit(api)

    def handle(route: Route) -> None:
        if route.request.headers.get("x-api-key") == "the-key":
            route.continue_()
        else:
            document = {"type": "api-key-required", "status": 403, "request_id": "id-1"}
            route.fulfill(status=403, json=document)

    page.route("**/predict", handle)
    key = page.get_by_label("API key")
    expect(key).to_be_hidden()
    ask(page, f"{pictures}red")
    assert sentences(page)[0].startswith("This service answers only those who have a key.")
    key.fill("the-key")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("h2")).to_have_text("Very likely a Red setter.")
    assert only_statuses(watch) == []


def test_what_strangers_say_is_text(visit: Visit, api: str, watch: Watch) -> None:
    evil = '<img src=x onerror="console.log(1)">'
    page = visit(api)
    problem = {"type": "odd", "title": evil, "detail": evil, "request_id": evil}
    page.route("**/predict", lambda route: route.fulfill(status=400, json=problem))
    ask(page, f"https://example.com/{evil}".replace(" ", ""))
    assert sentences(page) == [evil]
    expect(page.locator(".more")).to_have_text(evil)
    assert page.locator(".card img").count() == 1  # the card's own
    assert only_statuses(watch) == []
