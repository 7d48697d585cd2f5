"""True classes on their way to the service that has answered."""

import json
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

import numpy as np

from evenkeel.client.connection import Connection

# Of one request, which then has some ten thousand bytes for each hundred.
MOST_LABELS = 2000
# Between the id of a request and the place of a row in it; no id holds it.
PLACE = ":"
FEEDBACK = "/v1/feedback"


def ids_of(sent: Iterable[tuple[str | None, int]], answered: Sequence[bool]) -> list[str | None]:
    """What each row of a table is known by: `sent` are the requests that had the rows which could be sent, by id and
    number of rows; of each row of the table, whether it was `answered`.
    """
    named = (f"{one}{PLACE}{place}" for one, rows in sent if one is not None for place in range(rows))
    return [next(named, None) if one else None for one in answered]


def send_labels(service: Connection, pairs: Iterable[tuple[str, Any]]) -> dict[str, int]:
    """Tell a service the true classes of rows, each known by an id as `ids_of` has it; and what became of them.

    :raises RefusedByService: a label is no class, or the service takes none.
    :raises Unreachable: it does not answer.
    """
    body = {"feedback": [_labelled(one, label) for one, label in pairs]}
    reply = service.ask("POST", FEEDBACK, json.dumps(body).encode(), {"Content-Type": "application/json"})
    if reply.status != 200:
        raise service.refusal(reply)
    try:
        return {str(result): count for result, count in json.loads(reply.body).items() if isinstance(count, int)}
    except (ValueError, AttributeError):
        raise service.stranger() from None


def _labelled(one: str, label: Any) -> dict[str, Any]:
    request_id, _, place = one.partition(PLACE)
    # As numpy has it, it is no JSON.
    plain = label.item() if isinstance(label, np.generic) else label
    # Which class a number names, the service knows.
    is_number = isinstance(plain, bool | int) or (isinstance(plain, float) and isfinite(plain))
    return {"id": request_id, "index": int(place or 0), "label": plain if is_number else str(plain)}
