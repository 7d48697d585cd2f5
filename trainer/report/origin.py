"""Where a model comes from: all that repeats its training, byte for byte."""

from collections.abc import Mapping
from html import escape
from typing import Any

from models.card import ModelCard
from models.figures import Figures
from trainer.report.page import brief, folded, section


def origin(card: ModelCard, figures: Figures | None) -> str:
    """The section: the command, the digests, the libraries and every setting."""
    made = card.provenance
    facts = {
        "made": f"{made.created:%Y-%m-%d %H:%M} UTC",
        "table": f"{brief(made.table)}, SHA-256 {made.table_sha256}",
        **({"test table": f"{brief(made.test_table)}, SHA-256 {made.test_table_sha256}"} if made.test_table else {}),
        **({"read as": brief(str(made.table_schema["read_as"]), 200)} if made.table_schema.get("read_as") else {}),
        **({"left out": f"{made.rows_without_target} rows without a target"} if made.rows_without_target else {}),
        "seed": str(made.settings.get("seed", "–")),
        **({"model.onnx": f"SHA-256 {card.files['model.onnx'].sha256}"} if "model.onnx" in card.files else {}),
        **({"search": _search(card)} if card.search else {}),
        "evenkeel": made.evenkeel,
        "python": made.python,
        **made.libraries,
    }
    said = "The same command on the same table, with the same libraries and kind of processor, reproduces model.onnx "
    said += "byte for byte."
    command = f'<code class="block">{escape(figures.command)}</code>' if figures else ""
    changes = {f"from epoch {epoch} on": _settings(change) for epoch, change in made.changes.items()}
    content = command + _pairs(facts | changes) + folded("Every setting", _pairs(_spelled(made.settings)))
    return section("Reproduction", said if figures else "", content, anchor="repeat")


def _search(card: ModelCard) -> str:
    assert card.search is not None
    one = card.search
    return f"trial {one.trial} of {one.trials} of the study {brief(one.study)}, by {one.sampler}"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in _spelled(settings).items())


def _spelled(settings: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"--{name.replace('_', '-')}": "–" if value is None or value == [] else brief(_one(value), 200)
        for name, value in settings.items()
    }


def _one(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pairs(pairs: Mapping[str, str]) -> str:
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="words"><code>{escape(value)}</code></td></tr>'
        for name, value in pairs.items()
    )
    return f"<table><tbody>{lines}</tbody></table>"
