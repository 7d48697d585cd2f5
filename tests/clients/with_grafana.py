"""Grafana's own types of a dashboard: they know every field of ours, and no word of it is lost."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

FILE = Path(__file__).parents[2] / "deploy/grafana/dashboards/evenkeel.json"


def said(document: Any) -> Any:
    """A document without its empty fields, which are the same as none."""
    if isinstance(document, dict):
        return {name: said(part) for name, part in document.items() if part not in (None, "", [], {})}
    return [said(part) for part in document] if isinstance(document, list) else document


def holds(whole: Any, part: Any, place: str = "") -> None:
    """Everything in `part` is in `whole`, which may have defaults besides."""
    if isinstance(part, dict):
        for name, value in part.items():
            assert name in whole, f"{place}/{name} is no field of Grafana's"
            holds(whole[name], value, f"{place}/{name}")
    elif isinstance(part, list):
        assert len(part) == len(whole), place
        for number, (ours, theirs) in enumerate(zip(part, whole, strict=True)):
            holds(theirs, ours, f"{place}/{number}")
    else:
        assert whole == part, place


register_default_plugins()
ours = json.loads(FILE.read_text())
read = Dashboard.from_json(ours)
holds(json.loads(JSONEncoder(sort_keys=True).encode(read)), said(ours))
# Each panel is of a type that Grafana has, and is read as one.
assert all(type(panel.options).__module__.endswith(f".{panel.type_val}") for panel in read.panels)
