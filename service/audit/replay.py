"""`replay LOG`: what comes of repeating the answers of a prediction log, in words and as an exit code."""

import argparse
import json
import os
from collections.abc import Iterator
from typing import get_args

from models import terminal
from models.prediction_log import log_files
from models.remote import opened
from models.wording import aligned
from service.audit.repetition import NEAR_ULPS, Outcome, Report, repeat
from service.errors import Unproven, Unrepeated

# What each outcome means, as the summary words it.
MEANING: dict[Outcome, str] = {
    "equal": "equal to the last bit",
    "near": f"within {NEAR_ULPS} units in the last place, from another class of processors or another onnxruntime",
    "differs": "DIFFERS",
    "not kept": "cannot be repeated: a field of the row was dropped or hashed",
    "gone": "cannot be repeated: the repository does not have the model",
    "altered": "ALTERED: the line is not as it was written",
    "torn": "torn: the process was killed while it wrote its last line",
}
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
OF_NO_VERSION: tuple[Outcome, ...] = ("altered", "torn")
WRONG: tuple[Outcome, ...] = ("differs", "altered")
UNKNOWN: tuple[Outcome, ...] = ("not kept", "gone")
LISTED: tuple[Outcome, ...] = (*WRONG, "torn")


def replay(options: argparse.Namespace) -> None:
    """Repeat the answers of a log, and print what came of it.

    :raises NoLog: there is none.
    :raises OSError: it cannot be read.
    :raises Unrepeated: an answer came out differently, or a line was altered.
    :raises Unproven: some answers could not be repeated.
    """
    repository = opened(options.repository, os.environ)
    report = repeat(repository, log_files(options.log))
    if options.json:
        print(json.dumps(_document(report)))
    else:
        terminal.show("\n".join(_lines(report)))
    lines, counts = report.counts.total(), report.counts
    if any(counts[one] for one in WRONG):
        raise Unrepeated(f"of {lines} lines, {counts['differs']} differ and {counts['altered']} were altered")
    if unknown := sum(counts[one] for one in UNKNOWN):
        other = f" from {repository.place}; --repository names another" if counts["gone"] else ""
        raise Unproven(f"of {lines} lines, {unknown} could not be repeated{other}")


def _document(report: Report) -> dict[str, object]:
    return {
        "lines": report.counts.total(),
        **{outcome.replace(" ", "_"): report.counts[outcome] for outcome in OUTCOMES},
        "versions": [
            {"name": name, "version": version, **{one.replace(" ", "_"): count for one, count in counts.items()}}
            for (name, version), counts in sorted(report.by_version.items())
        ],
        "listed": list(_listed(report)),
    }


def _lines(report: Report) -> Iterator[str]:
    if report.by_version:
        columns = [outcome for outcome in OUTCOMES if outcome not in OF_NO_VERSION]
        header = ("model", "version", *columns)
        rows = [
            (name, str(version), *(str(counts[one]) for one in columns))
            for (name, version), counts in sorted(report.by_version.items())
        ]
        yield from aligned([header, *rows])
        yield ""
    yield from (f"{count} {MEANING[one]}" for one in MEANING if (count := report.counts[one]))
    if not report.counts:
        yield "the log has no answers"
    yield from _listed(report)
    if (hidden := sum(report.counts[one] for one in LISTED) - len(report.listed)) > 0:
        yield f"and {hidden} more"


def _listed(report: Report) -> Iterator[str]:
    return (f"{place}: {said}" for place, said in sorted(report.listed))
