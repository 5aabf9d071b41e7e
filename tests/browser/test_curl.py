"""The copied curl command is safe in sh, bash, cmd.exe and PowerShell, whatever it is about."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from chalicelib.urls import Target
from tests.browser.conftest import Watch
from tests.browser.test_page import choose, enter, file, sentences

pytestmark = [pytest.mark.server, pytest.mark.browser]

Visit = Callable[..., Page]
Encode = Callable[..., bytes]

# The page separates URLs at white space.
HOSTILE = [
    "https://dogs.example/dog.jpg?size=1&x=%20;y#top",
    "http://h/$(touch${IFS}canary)",
    "http://h/`touch${IFS}canary`",
    "http://h/';touch${IFS}canary;'",
    'http://h/";touch${IFS}canary;"',
    "http://h/'$(touch${IFS}canary)'",
    "http://h/\\';touch${IFS}canary;\\\"",
    "http://h/&touch${IFS}canary&",
    "http://h/|calc|&calc&&calc||calc",
    'http://h/^&calc^"&calc',
    "http://h/%CD%8F%PATH%/%COMSPEC%%DATE%41",
    "http://h/!!!calc!:s/a/b/",
    "http://h/$env:PATH;$($env:PATH);@(calc);{calc}",
    "http://h/\u201d;calc;\u201c\u2019;calc;\u2018\u201e",  # PowerShell's other quotes
    "http://h/{a,b}[1-9]*?~<in>out",
    "http://h/\u034f\u0341\u03cd",  # their UTF-8 is %CD%8F, %CD%81, %CF%8D
    "http://d\u00f6gs.example/h\u00fcnd.jpg",
    "http://h/\u202e\u200b\u0007\u001b[2Jcanary",
    "http://h/-o/canary",
    "javascript:calc",
    "--output=canary",
    "@canary",
    "http://[::1]/$(calc)",
    "http://\u00e4:\u00e4/",
    "http://h/\U0001f415\ud800x",
    "http://\ud800/",
    "http://h/#'\"\\`$%!&|;<>(){}[]*?~^,@=+",
]
NAMES = [
    "dog.jpg",
    "it's $HOME; a `dog`.png",
    "$(touch canary).png",
    '";touch canary;".png',
    "';touch canary;'.jpg",
    "%CD%&calc&.png",
    "@dog.png",
    "-o canary.png",
    "\u201d;calc;\u201c.png",
    "..\\..\\dog.webp",
]
ARGUMENT = r'"[A-Za-z0-9._~:/?=%@\[\]-]+"'
COMMANDS = re.compile(
    rf"curl {ARGUMENT}"
    rf'|curl {ARGUMENT} -H "Content-Type: image/(?:jpeg|png|webp)" --data-binary {ARGUMENT}'
)


def command(page: Page) -> str:
    expect(page.locator(".card")).to_have_count(1)
    sentences(page)
    text = page.locator(".curl").text_content()
    assert text
    return text


def check_safe(text: str) -> None:
    """Within double quotes, none of these characters means anything to the four shells, except
    % to cmd.exe: it replaces %NAME% if there is such a variable. No name starts with two digits."""
    assert COMMANDS.fullmatch(text), text
    assert all(re.match("[0-7][0-9A-F]", after) for after in text.split("%")[1:])
    assert expanded_by_cmd(text) == text


def expanded_by_cmd(text: str) -> str:
    """Expand variables as an interactive cmd.exe does: unknown ones stay as they are."""
    variables = {"CD": "C:\\", "DATE": "today", "PATH": "C:\\", "COMSPEC": "cmd", "8F": ""}
    return re.sub(
        "%([^%:]+)(:[^%]*)?%",
        lambda match: variables.get(match[1].upper(), match[0]),
        text,
    )


def run(text: str, shell: str, folder: Path) -> list[str]:
    """Run a command with a `curl` that writes down its arguments. Return them."""
    program = folder / "bin" / "curl"
    program.parent.mkdir(exist_ok=True)
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$ARGUMENTS"\n')
    program.chmod(0o755)
    empty, arguments = folder / "empty", folder / f"arguments-{shell}"
    empty.mkdir(exist_ok=True)
    path = f"{program.parent}:{os.environ['PATH']}"
    options = ["-o", "histexpand", "-o", "history"] if shell == "bash" else []
    completed = subprocess.run(
        [shell, *options],
        input=f"{text}\n",
        text=True,
        capture_output=True,
        cwd=empty,
        env={"PATH": path, "ARGUMENTS": str(arguments), "HISTFILE": "/dev/null"},
    )
    assert (completed.returncode, completed.stdout) == (0, ""), completed.stderr
    assert list(empty.iterdir()) == []
    return arguments.read_text().split("\0")[:-1]


def refuse(route: Route) -> None:
    route.fulfill(status=400, json={"type": "invalid-request", "request_id": "id-1"})


def test_urls(visit: Visit, api: str, watch: Watch, tmp_path: Path) -> None:
    page = visit(api)
    page.route("**/predict", refuse)
    for url in HOSTILE:
        with page.expect_request("**/predict") as request:
            enter(page, url)
        sent = json.loads(request.value.post_data or "")["url"]
        text = command(page)
        check_safe(text)
        for shell in ("sh", "bash"):
            [argument] = run(text, shell, tmp_path)
            assert argument.startswith(f"{api}predict?url=")
            [decoded] = parse_qs(urlsplit(argument).query)["url"]
            assert decoded == sent or not sent.isascii()
            assert decoded.isascii()
    assert watch.elsewhere(api) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://d\u00f6gs.example/h\u00fcnd.jpg?x=\u00fc",
        "http://h.example/\u034f\U0001f415",
        "http://h.example/a%20b?q=%CD%8F",
    ],
)
def test_the_url_of_the_command_leads_to_the_same_target(
    visit: Visit, api: str, tmp_path: Path, url: str
) -> None:
    page = visit(api)
    page.route("**/predict", refuse)
    enter(page, url)
    [argument] = run(command(page), "sh", tmp_path)
    [decoded] = parse_qs(urlsplit(argument).query)["url"]
    copied, entered = Target.parse(decoded), Target.parse(url)
    assert (copied.host, copied.port, copied.path) == (entered.host, entered.port, entered.path)


def test_files(visit: Visit, api: str, encode: Encode, tmp_path: Path) -> None:
    page = visit(api)
    formats = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
    for name in NAMES:
        extension = name.rpartition(".")[2]
        format = formats[extension]
        media_type = f"image/{format.lower()}"
        choose(page, file(name, encode("red", format), media_type))
        text = command(page)
        check_safe(text)
        for shell in ("sh", "bash"):
            assert run(text, shell, tmp_path) == [
                f"{api}predict",
                "-H",
                f"Content-Type: {media_type}",
                "--data-binary",
                f"@dog.{extension}",
            ]
