"""Plots of what was measured, written as SVG by hand: lines, points and a legend need no library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 48
_COLOURS = ("#1b6ca8", "#c8553d", "#3d8361", "#8a5a9e", "#7a7a7a")


@dataclass(frozen=True, slots=True)
class Series:
    """Points joined by a line, or with `band` the area around them; with `is_dots` not joined."""

    name: str
    points: Sequence[tuple[float, float]]
    is_dots: bool = False
    band: Sequence[float] = ()
    colour: int = 0


def chart(title: str, across: str, up: str, series: Sequence[Series], labels: Sequence[str] = ()) -> str:
    """Return a chart as SVG. `labels` name whole numbers 0, 1, ... of the axis across."""
    xs = [x for one in series for x, _ in one.points]
    ys = [y + side * spread for one in series for (_, y), spread in _spreads(one) for side in (-1, 1)]
    low_x, high_x, low_y, high_y = *_padded(min(xs), max(xs), 0.08 if labels else 0.0), *_padded(min(ys), max(ys), 0.06)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (x - low_x) / (high_x - low_x) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (y - low_y) / (high_y - low_y) * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_WIDTH / 2}" y="20" text-anchor="middle" font-size="14">{escape(title)}</text>',
    ]
    for number in range(6):
        y = low_y + (high_y - low_y) * number / 5
        left, height = place(low_x, y)
        parts.append(f'<path d="M{left:.1f} {height:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{_number(y, high_y - low_y)}</text>'
        )
    even = [low_x + (high_x - low_x) * number / 5 for number in range(6)]
    ticks = [(float(x), escape(label)) for x, label in enumerate(labels)]
    for x, text in ticks or [(x, _number(x, high_x - low_x)) for x in even]:
        across_at, _ = place(x, low_y)
        parts.append(f'<text x="{across_at:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>')
    parts.append(f'<text transform="translate(14 {_HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>')
    for number, one in enumerate(series):
        colour = _COLOURS[one.colour % len(_COLOURS)]
        parts += _drawn(one, colour, place)
        y = _TOP + 16 * number
        parts.append(f'<rect x="{_WIDTH - 210}" y="{y - 8}" width="12" height="8" fill="{colour}"/>')
        parts.append(f'<text x="{_WIDTH - 192}" y="{y}">{escape(one.name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _spreads(series: Series) -> list[tuple[tuple[float, float], float]]:
    return list(zip(series.points, series.band or [0.0] * len(series.points), strict=True))


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    room = (high - low) * share or (0.0 if high > low else 1.0)
    return low - room, high + room


def _number(value: float, span: float) -> str:
    return f"{value:.3f}" if span < 0.2 else f"{value:.2f}" if span < 5 else f"{value:,.0f}"


def _drawn(series: Series, colour: str, place: Any) -> list[str]:
    """Return the marks of one series."""
    at = [place(x, y) for x, y in series.points]
    if series.is_dots:
        return [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in at]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
    marks = [f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="2"/>']
    if series.band:
        upper = [place(x, y + spread) for (x, y), spread in _spreads(series)]
        lower = [place(x, y - spread) for (x, y), spread in _spreads(series)]
        outline = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in [*upper, *reversed(lower)]) + "Z"
        marks.insert(0, f'<path d="{outline}" fill="{colour}" fill-opacity="0.2"/>')
    return marks


def draw(results: Mapping[str, Any], folder: str) -> None:
    """Write the plots for whose parts there are results."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    makers = {
        "prequential": ("learning-curve.svg", _learning_curve),
        "accuracy": ("calibration.svg", _calibration),
        "orders": ("orders.svg", _orders),
        "item": ("item.svg", _item),
    }
    for part, (name, make) in makers.items():
        if part in results:
            (out / name).write_text(make(results[part]), encoding="utf-8")


_IN_ORDER = {"time": "by time", "random": "at random"}


def _learning_curve(found: Mapping[str, Any]) -> str:
    series = []
    for colour, (order, learner) in enumerate((o, name) for o in ("time", "random") for name in ("mfchain", "river")):
        curve = found[order][learner].get("curve")
        if curve:
            points = [(2.0 * (step + 1), value) for step, value in enumerate(curve)]
            series.append(Series(f"{learner}, {_IN_ORDER[order]}", points, colour=colour))
    title = "Error so far, each rating predicted before it is learned"
    return chart(title, "thousand ratings", "RMSE in stars", series)


def _calibration(found: Mapping[str, Any]) -> str:
    series = [Series("exactly honest", [(0.05, 0.05), (0.95, 0.95)], colour=4)]
    for colour, (name, scores) in enumerate(found.items()):
        if name in ("0", "time"):
            points = [((step + 1) / 20, share) for step, share in enumerate(scores["mfchain"]["bands"])]
            series.append(Series(f"split {name}", points, colour=0 if colour == 0 else 1))
    title = "Share of ratings below each quantile of their predictions"
    return chart(title, "quantile", "share of ratings", series)


def _orders(results: Mapping[str, Any]) -> str:
    found = results["orders"]
    names = list(found)
    rows = (
        ("one update a rating", "oneUpdateARating", 1),
        ("mfchain, late in an epoch", "late", 2),
        ("mfchain, at rest", "atRest", 0),
    )
    series = []
    for name, key, colour in rows:
        points = [(float(x), found[order][key]["rmse"]) for x, order in enumerate(names)]
        series.append(Series(name, points, is_dots=True, colour=colour))
    return chart("The same 90,000 ratings in six orders", "order", "RMSE in stars", series, names)


def _item(found: Mapping[str, Any]) -> str:
    points = [(float(block), mean) for block, _, mean, _ in found["lines"]]
    band = [1.6448536 * deviation for *_, deviation in found["lines"]]
    title = "What is known of one item's bias while ratings come in"
    return chart(title, "block of 1,000 ratings", "stars above the average", [Series("mean, 90%", points, band=band)])
