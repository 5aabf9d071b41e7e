"""The last hour of a stage in the terminal: traffic, problems, latency, answers, instances, cost.

Read from CloudWatch, where the API's log lines, API Gateway, Lambda and SageMaker leave their
figures; the dashboard of stage prod draws the same. A column that is blank was not measured: the
last one or two fill within minutes. Each look costs less than a tenth of a US cent (GetMetricData).
--follow looks again every --interval seconds until Ctrl-C.

example:
  python -m training watch --stage prod
  python -m training watch --stage prod --minutes 360 --follow
  python -m training watch --stage dev --json
"""

import argparse
import json
import shutil
import sys
import time
from datetime import UTC, datetime

from training.cloud import account as accounts
from training.cloud.account import Account, told_in_one_line
from training.errors import SettingsError
from training.watch import advice, picture, screen
from training.watch.drawing import BLOCKS
from training.watch.readings import LONGEST_MIN

SHORTEST_INTERVAL_S = 10
_CLEAR = "\x1b[H\x1b[2J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="stage of .chalice/config.json")
    parser.add_argument("--minutes", type=int, default=60, help="how far back (default 60)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--follow", action="store_true", help="look again and again")
    parser.add_argument(
        "--interval", type=int, default=60, metavar="S", help="seconds between looks (default 60)"
    )
    accounts.add_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    if not 1 <= arguments.minutes <= LONGEST_MIN:
        raise SettingsError(f"--minutes is {arguments.minutes}, not within 1..{LONGEST_MIN}")
    if arguments.interval < SHORTEST_INTERVAL_S:
        raise SettingsError(
            f"--interval is {arguments.interval}, less than {SHORTEST_INTERVAL_S}: "
            "CloudWatch has a value a minute"
        )
    account = accounts.open_account(arguments)
    if not arguments.follow:
        print(_look(account, arguments))
        return
    try:
        while True:
            shown = _look(account, arguments)
            clear = _CLEAR if sys.stdout.isatty() and not arguments.json else ""
            print(clear + shown, flush=True)
            time.sleep(arguments.interval)
    except KeyboardInterrupt:
        print()  # the way to end it, and no failure


def _look(account: Account, arguments: argparse.Namespace) -> str:
    """What one look prints: JSON on one line where it is one of many."""
    width = shutil.get_terminal_size((113, 40)).columns
    columns = screen.MOST_COLUMNS if arguments.json else screen.columns_for(width)
    found = picture.take(account, arguments.stage, datetime.now(UTC), arguments.minutes, columns)
    if arguments.json:
        document = {**found.document(), "next": advice.sentences(found)}
        return json.dumps(document, indent=None if arguments.follow else 2)
    return screen.Screen(width, blocks=_prints(BLOCKS)).draw(found)


def _prints(text: str) -> bool:
    """Whether the terminal's encoding has the characters of `text`."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
