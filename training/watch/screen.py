"""A picture of a stage, drawn for a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.watch import advice
from training.watch.drawing import BLOCKS, PLAIN, bar, sparkline
from training.watch.picture import Picture
from training.watch.readings import Column
from training.watch.spending import Item

LABEL = 15
TEXT = 34
"""Characters to the left and to the right of the sparklines."""
MOST_COLUMNS = 60
FEWEST_COLUMNS = 15
LATENCIES = {
    "gateway": "at the gateway",
    "function": "function",
    "total": "API",
    "fetch": "  fetch",
    "inference": "  inference",
    "model": "    model",
}
"""From the outside in: each is a part of one above it, by two blanks for each step."""
MICROSECONDS = ("model",)


def columns_for(width: int) -> int:
    """How many columns fit beside labels and figures, on a terminal of `width` characters."""
    return max(FEWEST_COLUMNS, min(MOST_COLUMNS, width - LABEL - TEXT - 4))


@dataclass(frozen=True, slots=True)
class Screen:
    """Draws pictures as wide as `width` characters; `blocks`: the terminal can print them."""

    width: int = 113
    blocks: bool = True

    def draw(self, picture: Picture) -> str:
        """The whole picture."""
        parts = [
            [self._title(picture), ""],
            self._traffic(picture),
            self._problems(picture),
            self._latency(picture),
            self._model(picture),
            self._functions(picture),
            self._instances(picture),
            self._cost(picture),
            self._advice(picture),
        ]
        return "\n".join(line.rstrip() for part in parts for line in part)

    def _title(self, picture: Picture) -> str:
        window = picture.readings.window
        minutes = window.period_s // 60
        return (
            f"{picture.place.function}, {picture.region}: {window.start:%H:%M} to "
            f"{window.end:%H:%M} UTC, a column is {minutes} min"
        )

    def _traffic(self, picture: Picture) -> Iterator[str]:
        total, window = picture.readings.total, picture.readings.window
        rates = _scaled(picture.readings.columns["requests"], 1 / window.period_s)
        mean, peak = total("requests") / window.seconds, max(_known(rates), default=0.0)
        text = f"{mean:.3g}/s, at most {peak:.3g}/s" if total("requests") else "none"
        yield self._row("requests", rates, text)
        if at_gateway := total("gateway_requests"):
            refused = max(at_gateway - total("function_calls"), 0.0)
            yield self._note(
                f"API Gateway: {at_gateway:,.0f}, {total('gateway_4xx'):,.0f} ended with 4xx, "
                f"{total('gateway_5xx'):,.0f} with 5xx"
            )
            if refused:
                yield self._note(f"{refused:,.0f} did not reach a function: key, rate, throttles")
        if pictures := total("batch_pictures"):
            failed = total("batch_failed")
            yield self._note(f"{pictures:,.0f} pictures in batches, {failed:,.0f} failed")

    def _problems(self, picture: Picture) -> Iterator[str]:
        counts, total = picture.problems(), picture.readings.total("problems")
        share = picture.share("problems", "requests")
        text = "none" if not total else f"{total:,.0f}, {share or 0:.1%} of the requests"
        # A metric of problems is written only where there was one: no value beside requests is 0.
        columns = picture.readings.columns
        pairs = zip(columns["problems"], columns["requests"], strict=True)
        drawn = [0.0 if one is None and asked else one for one, asked in pairs]
        yield self._row("problems", drawn, text)
        highest = max((count for _, count in counts), default=0.0)
        for kind, count in counts:
            yield self._note(f"{kind:<23}{bar(count, highest, 24, self._ramp)} {count:,.0f}")
        yield ""

    def _latency(self, picture: Picture) -> Iterator[str]:
        whole = picture.readings.whole
        if all(whole[f"{key}_p99"] is None for key in LATENCIES):
            yield self._row("latency", [None] * self._columns(picture), "not measured")
            yield ""
            return
        drawn = f"{'drawn: p99':<{self._columns(picture)}}"
        yield f"{'latency':{LABEL}}  {drawn}  {_pair('p50', 'p99')}"
        for key, label in LATENCIES.items():
            scale = 1e-3 if key in MICROSECONDS else 1.0
            p99 = _scaled(picture.readings.columns[f"{key}_p99"], scale)
            figures = [whole[f"{key}_{stat}"] for stat in ("p50", "p99")]
            yield self._row(label, p99, _pair(*(_ms(one, scale) for one in figures)))
        yield ""

    def _model(self, picture: Picture) -> Iterator[str]:
        if picture.readings.whole["dog_mean"] is None:
            yield self._row("the answers", [None] * self._columns(picture), "not measured")
            yield ""
            return
        yield (
            f"{'the answers':{LABEL}}  {'drawn: mean, of 1':<{self._columns(picture)}}  "
            f"{'mean':>7}{'p10':>8}{'day before':>13}"
        )
        for key, label in (("dog", "dog probability"), ("top", "top-1 prob.")):
            found = picture.readings
            figures = (found.whole[f"{key}_mean"], found.whole[f"{key}_p10"])
            before = found.before[f"{key}_mean"]
            text = "".join(
                f"{_part(one):>{w}}" for one, w in zip((*figures, before), (7, 8, 13), strict=True)
            )
            yield self._row(label, found.columns[f"{key}_mean"], text, top=1.0)
        yield ""

    def _functions(self, picture: Picture) -> Iterator[str]:
        total, front = picture.readings.total, picture.front
        columns = picture.readings.columns
        text = f"at most {total('functions'):,.0f} of {front.concurrency:,} at once"
        yield self._row("functions", columns["functions"], text)
        told = [
            f"{total('function_throttles'):,.0f} throttled",
            f"{total('function_errors'):,.0f} errors",
        ]
        if "spilled" in picture.readings.whole:
            told.append(f"provisioned {total('warm'):,.0f} of {front.provisioned}")
            told.append(f"{total('spilled'):,.0f} spilled")
        yield self._note(", ".join(told))

    def _instances(self, picture: Picture) -> Iterator[str]:
        fleet = picture.fleet
        if fleet is None:
            yield self._row("instances", picture.instances, "no endpoint")
            yield ""
            return
        if fleet.instance_type is None:
            yield self._row("model calls", picture.per_minute("model_calls"), "serverless")
            yield ""
            return
        text = f"{fleet.instances} x {fleet.instance_type}"
        if fleet.max_instances is not None:
            text += f" ({fleet.min_instances} to {fleet.max_instances})"
        yield self._row("instances", picture.instances, text)
        each = picture.per_minute("model_calls_each")
        known = _known(each)
        mean = picture.readings.total("model_calls_each") / (picture.readings.window.seconds / 60)
        text = f"{mean:,.0f}/min, at most {max(known, default=0):,.0f}"
        target = fleet.target_per_minute
        yield self._row("calls each", each, text)
        if target is None:
            yield self._note("not scaled: `python -m training scale`")
        else:
            peak = max(known, default=0.0) / target
            yield self._note(f"at most {peak:.1%} of the scaling target of {target:,.0f} a minute")
        errors = picture.readings.total("model_4xx"), picture.readings.total("model_5xx")
        if any(errors):
            yield self._note(f"{errors[0]:,.0f} calls ended with 4xx, {errors[1]:,.0f} with 5xx")
        yield ""

    def _cost(self, picture: Picture) -> Iterator[str]:
        spent = picture.spending
        yield (
            f"{'cost, estimated':{LABEL}}  ${spent.usd:,.4f} in this time, "
            f"${spent.usd_per_month:,.2f} a month like this"
        )
        highest = max((item.usd or 0.0 for item in spent.items), default=0.0)
        for item in spent.items:
            usd = "no price" if item.usd is None else f"${item.usd:,.4f}"
            amount = f"{item.quantity:,.0f}" if item.unit == "request" else _amount(item)
            room = self.width - LABEL - TEXT - 31
            drawn = ""
            if room > 4 and item.usd and item.usd * room > highest:
                drawn = "  " + bar(item.usd, highest, min(room, 24), self._ramp)
            yield self._note(f"{item.name:<37}{amount:>15}  {usd:>9}{drawn}")
        yield self._note(f"prices: {spent.region}, {spent.as_of}; no free tiers, transfer, logs")

    def _advice(self, picture: Picture) -> Iterator[str]:
        for sentence in advice.sentences(picture):
            yield ""
            yield from textwrap.wrap(
                sentence,
                self.width,
                initial_indent="next: ",
                subsequent_indent="      ",
                break_on_hyphens=False,
            )

    def _row(
        self, label: str, columns: Sequence[Column], text: str, top: float | None = None
    ) -> str:
        return f"{label:{LABEL}}  {sparkline(columns, top, self._ramp)}  {text}"

    def _note(self, text: str) -> str:
        return f"{'':{LABEL}}  {text}"

    def _columns(self, picture: Picture) -> int:
        return picture.readings.window.count

    @property
    def _ramp(self) -> str:
        return BLOCKS if self.blocks else PLAIN


def _known(columns: Sequence[Column]) -> list[float]:
    return [one for one in columns if one is not None]


def _scaled(columns: Sequence[Column], factor: float) -> list[Column]:
    return [None if one is None else one * factor for one in columns]


def _ms(value: Column, scale: float) -> str:
    if value is None:
        return "-"
    return f"{value * scale:,.1f}" if value * scale < 100 else f"{value * scale:,.0f}"


def _amount(item: Item) -> str:
    unit = "hours" if item.unit == "hour" else item.unit
    return f"{item.quantity:,.2f} {unit}"


def _part(value: Column) -> str:
    return "-" if value is None else f"{value:.3f}"


def _pair(first: str, second: str) -> str:
    unit = "" if first in ("p50", "-") else " ms"
    return f"{first:>8}{second:>10}{unit}"
