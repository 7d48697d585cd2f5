"""Durations as a person writes them."""

import re

DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
RULE = "should be seconds, or minutes such as 10m, or hours such as 2h"


def seconds(text: str) -> float | None:
    """The seconds of a duration such as `90`, `90s`, `10m` or `2h`; None of any other text."""
    match = DURATION.fullmatch(text)
    return (float(match[1]) * SECONDS[match[2]] or None) if match else None
