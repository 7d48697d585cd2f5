"""The features: which matter, how the answer depends on them, how they spread, and what was done to them."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from models.cells import iso_date
from models.features import Feature
from models.figures import Dependence, Distribution, Figures, Importance
from trainer.report.axes import Axis, Tick
from trainer.report.bars import Marks, Row, bars, marks
from trainer.report.page import brief, figure, folded, grid, quoted, section
from trainer.report.plot import Plot
from trainer.report.svg import drawing, rect, sign

SHOWN, MOST_CATEGORIES = 15, 12
MINI_WIDTH, MINI_HEIGHT = 190.0, 46.0


def importance(figures: Figures, features: Sequence[Feature]) -> str:
    """By how much the log-loss rises without each feature."""
    weighed = figures.importance
    said = (
        f"Permutation importance: the rise of the log-loss, in nats, of {figures.rows:,} test rows when a feature is "
        f"shuffled; the mean of {figures.permutations} permutations with its 95 % interval over the rows. Correlated "
        "features replace each other, so each appears less important."
    )
    if len(weighed) < len(features):
        said += f" Of {len(features)} features the most important by a first estimate were measured."
    shown, rest = bars_of(weighed[:SHOWN]), weighed[SHOWN:]
    return section(
        "Feature importance",
        said,
        shown + folded(f"{len(rest)} more", bars_of(rest) if rest else ""),
        anchor="importance",
    )


def bars_of(weighed: Sequence[Importance]) -> str:
    rows = [
        Row(one.feature, one.mean, f"{one.mean:.4f}", one.interval, "bar" if one.interval[0] > 0 else "under")
        for one in weighed
    ]
    leading = ", ".join(f"{brief(one.feature)} {one.mean:.3f}" for one in weighed[:3])
    return bars(rows, f"Permutation importance in nats: {leading}", width=480.0, left=150.0, cls="large")


def dependence(figures: Figures) -> str:
    """How the mean answer changes with the features that matter most."""
    if not figures.dependence:
        return ""
    spread = {one.feature: one for one in figures.distributions}
    pictures = (figure(brief(one.feature), depends(one, spread[one.feature])) for one in figures.dependence)
    said = (
        f"The mean probability over {figures.dependence_rows:,} test rows when one feature is set to the same value in "
        "all of them, for the most important features. The grey histogram is the distribution of the training rows; "
        "where it is empty the network extrapolates. Correlated features are varied independently, so the curves "
        "describe the network and not cause and effect."
    )
    return section("Partial dependence", said, grid(*pictures), anchor="dependence")


def depends(one: Dependence, spread: Distribution) -> str:
    """The curves of a number, or the dots of a text."""
    label = f"Mean probability of {', '.join(map(quoted, one.labels))} over {brief(one.feature)}"
    high = max(value for line in one.probabilities for value in line)
    axis = Axis("uniform", 0.0, 1.0 if high > 0.5 else 0.5 if high > 0.25 else 0.25 if high > 0.1 else 0.1)
    if spread.kind == "categorical":
        return _by_category(one, spread, axis, label)
    edges, values = spread.edges, [float(value) for value in one.values]
    plot = Plot(
        Axis("uniform", edges[0], edges[-1]), axis, label, right=84.0, marks=marks_of(spread), y_title="probability"
    )
    most = max(spread.shares) or 1.0
    titles = [f"{share:.1%} of the training rows" for share in spread.shares]
    plot.bars(edges, [axis.high * 0.35 * share / most for share in spread.shares], "under", titles)
    ends = []
    for number, (name, line) in enumerate(zip(one.labels, one.probabilities, strict=True)):
        points = list(zip(values, line, strict=True))
        plot.line(points, f"curve l{number}", quoted(name))
        if len(points) <= 3:
            plot.dots(points, 4.0, f"f{number}")
        ends.append((points[-1], quoted(name, 12), f"t{number}"))
    return plot.names(ends).drawing()


def _by_category(one: Dependence, spread: Distribution, axis: Axis, label: str) -> str:
    most = max(spread.shares) or 1.0
    rows = []
    for place, text in enumerate(one.values[:MOST_CATEGORIES]):
        dots = [
            (line[place], f"f{number}", f"{quoted(name)}: {line[place]:.3f}")
            for number, (name, line) in enumerate(zip(one.labels, one.probabilities, strict=True))
        ]
        rows.append(Marks(str(text) or "missing", dots, under=axis.high * spread.shares[place] / most))
    key = " ".join(
        f'<b class="k{number}">{sign(number)} {escape(quoted(name, 20))}</b>' for number, name in enumerate(one.labels)
    )
    left = len(one.values) - len(rows)
    more = f" The {len(rows)} commonest of {len(one.values)}." if left > 0 else ""
    return f'<p class="key">{key}{more}</p>{marks(rows, axis, label)}'


def marks_of(spread: Distribution) -> list[Tick]:
    """The ticks of a number's or a date's axis."""
    axis = Axis("uniform", spread.edges[0], spread.edges[-1])
    if spread.kind == "numeric":
        return axis.ticks()
    low, high = axis.low, axis.high
    days = (low + (high - low) * share for share in (0.1, 0.5, 0.9))
    return [(axis.place(day), iso_date(float(round(day)))[:10]) for day in days]


def columns(figures: Figures, features: Sequence[Feature]) -> str:
    """Every feature with its distribution, missing share and treatment."""
    found = figures.distributions
    said = (
        "Distributions in the training rows, by importance. Categories with fewer than five rows are not named. "
        "The network takes numbers scaled to about -3 to 3, and categories one-hot encoded or embedded."
    )
    if len(found) < len(features):
        said += f" Of {len(features)} features {len(found)} are shown; the card lists all."
    shown, rest = found[:SHOWN], found[SHOWN:]
    return section(
        "Features",
        said,
        _table(shown) + folded(f"{len(rest)} more features", _table(rest) if rest else ""),
        anchor="columns",
    )


def _table(found: Sequence[Distribution]) -> str:
    head = "".join(
        f'<th class="left" scope="col">{one}</th>'
        for one in ("feature", "kind", "distribution", "missing", "preprocessing")
    )
    lines = "".join(
        f'<tr><th scope="row">{escape(brief(one.feature))}</th><td class="left">{one.kind}</td>'
        f'<td class="left">{spread_of(one)}</td><td class="left">{_missing(one)}</td>'
        f'<td class="words">{escape(one.treatment)}</td></tr>'
        for one in found
    )
    return f'<table class="features"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'


def _missing(one: Distribution) -> str:
    return "none missing" if one.missing == 0 else f"{one.missing:.1%} missing"


def spread_of(one: Distribution) -> str:
    """A small histogram with its ends, or the commonest texts."""
    if not one.shares or (one.kind == "categorical" and not one.categories):
        return "no value that several rows share" if one.shares else "no value"
    most, foot = max(one.shares) or 1.0, MINI_HEIGHT - 4
    room = MINI_WIDTH / len(one.shares)
    parts, named = [], _named(one)
    for number, (share, name) in enumerate(zip(one.shares, named, strict=True)):
        high = max(share / most * (foot - 2), 0.0)
        if share:
            cls = "under" if one.kind == "categorical" and number == len(one.categories) else "bar"
            title = f"{name}: {share:.1%}"
            parts.append(
                rect(number * room + 0.5, foot - max(high, 0.8), max(room - 1, 0.8), max(high, 0.8), cls, title)
            )
    if one.kind == "categorical":
        ends = _commonest(one)
    else:
        bins = _ends(one)
        low, (start, end) = bins[0][0], bins[-1]
        ends = f"{low} … {end or start}" if len(bins) > 1 else named[0]
    label = f"Distribution of {brief(one.feature)}: {ends}"
    return drawing(MINI_WIDTH, foot, parts, label, "mini") + f"<small>{escape(ends)}</small>"


def _named(one: Distribution) -> list[str]:
    if one.kind == "categorical":
        return [*(brief(text, 20) for text in one.categories), "all others"]
    return [f"{low} to {high}" if high else low for low, high in _ends(one)]


def _ends(one: Distribution) -> list[tuple[str, str]]:
    """The ends of each bin; of one that holds a single whole number, that alone."""
    if one.kind == "date":
        return [(iso_date(low)[:10], iso_date(high)[:10]) for low, high in pairwise(one.edges)]
    around = [(low + high) / 2 for low, high in pairwise(one.edges)]
    if one.edges[1] - one.edges[0] == 1 and around[0].is_integer():
        return [(f"{middle:.7g}", "") for middle in around]
    return [(f"{low:.7g}", f"{high:.7g}") for low, high in pairwise(one.edges)]


def _commonest(one: Distribution) -> str:
    shown = ", ".join(
        f"{brief(text, 14)} {share:.0%}" for text, share in zip(one.categories[:2], one.shares, strict=False)
    )
    others = len(one.categories) - 2
    return f"{shown}, {others} more" if others > 0 else shown
