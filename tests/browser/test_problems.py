"""The page has a sentence for every problem."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from chalicelib.problems import Problem
from tests.browser.conftest import Watch
from tests.browser.test_page import choose, enter, sentences

pytestmark = [pytest.mark.server, pytest.mark.browser]

Visit = Callable[..., Page]
PROBLEMS = {kind.type: kind for kind in Problem.__subclasses__()}
BROWSER_PROBLEMS = {"offline", "unreadable-file"}
API_GATEWAY_PROBLEMS = {"api-key-required", "too-many-requests", "quota-exceeded"}


@pytest.mark.parametrize(
    ("url", "sentence", "detail"),
    [
        ("{images}nothing", "The image could not be downloaded.", "responded with status 404"),
        ("{images}text", "That is not a readable image.", "leads to a web page"),
        ("no-such-host.invalid/dog.jpg", "The image could not be downloaded.", "does not exist"),
        ("ftp://example.com/dog.jpg", "That URL is not allowed.", "Only http and https"),
        ("https://me:secret@example.com/", "That URL is not allowed.", "a password"),
        ("http://", "That is not an image URL.", "has no host name"),
    ],
)
def test_problems_of_a_url(
    visit: Visit, api: str, images: str, watch: Watch, url: str, sentence: str, detail: str
) -> None:
    page = visit(api)
    enter(page, url.format(images=images))
    [heading] = sentences(page)
    assert heading.startswith(sentence)
    expect(page.locator(".detail")).to_contain_text(detail)
    expect(page.get_by_role("status")).to_have_text(heading)
    assert watch.elsewhere(api) == []  # the page does not open what the API refused
    assert only_statuses(watch) == []


def only_statuses(watch: Watch) -> list[str]:
    """Return the console without Chromium's own lines for statuses from 400."""
    return [text for text in watch.console if not text.startswith("Failed to load resource")]


def test_problems_of_files(
    visit: Visit, api: str, encode: Callable[..., bytes], tmp_path: Path
) -> None:
    files = {
        "damaged.png": encode("red")[:60],
        "text.pdf": b"%PDF",
        "huge.jpg": bytes(9_000_000),
        "good.png": encode("red"),
    }
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    page = visit(api)
    choose(page, *[tmp_path / name for name in files])
    damaged, text, huge, good = sentences(page)
    assert damaged.startswith("That is not a readable image.")
    assert text == huge == "This browser cannot read that file as an image."
    assert good == "Very likely a Red setter."


@pytest.mark.parametrize("kind", PROBLEMS)
def test_each_problem_has_a_sentence(visit: Visit, api: str, watch: Watch, kind: str) -> None:
    problem = PROBLEMS[kind]
    page = visit(api)

    def handle(route: Route) -> None:
        document = {**problem("The detail of it.").document, "request_id": "id-1"}
        route.fulfill(status=problem.status, json=document)

    page.route("**/predict", handle)
    enter(page, "https://example.com/dog.jpg")
    [heading] = sentences(page)
    # The page chooses the method, so a visitor cannot get it wrong.
    assert (heading == problem.title) == (kind == "method-not-allowed")
    assert re.fullmatch(r"[A-Z][^_{}<>]+[.?]", heading) or kind == "method-not-allowed"
    expect(page.locator(".detail")).to_have_text("The detail of it.")
    retry = page.get_by_role("button", name="Try again")
    expect(retry).to_have_count(1 if problem.status in (424, 429) or problem.status >= 500 else 0)
    page.get_by_text("For developers").click()
    expect(page.locator(".json")).to_contain_text('"request_id": "id-1"')
    assert only_statuses(watch) == []


def test_no_two_problems_have_the_same_sentence(visit: Visit, api: str) -> None:
    script = visit(api).locator("script").inner_text()
    table = re.search(r"const SENTENCES = \{(.*?)\n\};", script, re.DOTALL)
    assert table is not None
    table_rows = dict(re.findall(r'^  "([a-z-]+)": "(.+)",$', table[1], re.MULTILINE))
    of_the_api = set(PROBLEMS) - {"method-not-allowed"}
    assert set(table_rows) == of_the_api | BROWSER_PROBLEMS | API_GATEWAY_PROBLEMS
    assert len(set(table_rows.values())) == len(table_rows)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"status": 429, "json": {"message": "Too Many Requests"}}, "The service is busy."),
        ({"status": 413, "json": {"message": "Request Too Long"}}, "The image is too large."),
        ({"status": 504, "json": {"message": "Timeout"}}, "The model took too long."),
        ({"status": 403, "json": {"message": "Forbidden"}}, "Something went wrong on our side."),
        ({"status": 502, "body": "<html>"}, "Something went wrong on our side."),
        ({"status": 200, "body": "<html>"}, "Something went wrong on our side."),
        (None, "The service cannot be reached. Are you online?"),
    ],
)
def test_responses_that_are_not_from_the_api(
    visit: Visit, api: str, images: str, watch: Watch, answer: dict[str, Any] | None, sentence: str
) -> None:
    """From API Gateway, from a proxy, or none."""
    page = visit(api)
    page.route("**/predict", lambda route: route.fulfill(**answer) if answer else route.abort())
    enter(page, f"{images}red")
    assert sentences(page)[0].startswith(sentence)
    assert only_statuses(watch) == []
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".card h2")).to_have_text("Very likely a Red setter.")


def test_a_deployment_with_api_keys(visit: Visit, api: str, images: str, watch: Watch) -> None:
    """As in prod (.chalice/resources-prod.json)."""
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
    enter(page, f"{images}red")
    assert sentences(page)[0].startswith("This service requires an API key.")
    key.fill("the-key")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".card h2")).to_have_text("Very likely a Red setter.")
    assert only_statuses(watch) == []


def test_untrusted_text_is_not_parsed_as_html(visit: Visit, api: str, watch: Watch) -> None:
    evil = '<img src=x onerror="console.log(1)">'
    page = visit(api)
    problem = {"type": "odd", "title": evil, "detail": evil, "request_id": evil}
    page.route("**/predict", lambda route: route.fulfill(status=400, json=problem))
    enter(page, f"https://example.com/{evil}".replace(" ", ""))
    assert sentences(page) == [evil]
    expect(page.locator(".detail")).to_have_text(evil)
    assert page.locator(".card img").count() == 1  # the card's own
    assert only_statuses(watch) == []
