"""The wording of refusals of documents and rows."""

from service.errors import Detail, InvalidRecord
from service.rows.rules import BrokenRules


def refuse(broken: BrokenRules, several: bool) -> InvalidRecord:
    """The refusal of rows that break the card; a lone instance needs no number."""
    details = broken.details if several else [_without_number(detail) for detail in broken.details]
    first = details[0]
    place = f"instance {first['instance']}" if "instance" in first else ""
    place += ", " * bool(place and "feature" in first)
    place += f"feature '{first['feature']}'" if "feature" in first else ""
    more = f"; and {broken.count - 1} more" if broken.count > 1 else ""
    return InvalidRecord(
        f"{place or 'the instance'} {first['message']}{'; and more' if broken.more else more}", details
    )


def shapeless(sentence: str) -> InvalidRecord:
    """The refusal of a document that is JSON and no request."""
    return InvalidRecord(sentence, [{"rule": "shape", "message": sentence}])


def _without_number(detail: Detail) -> Detail:
    return {key: value for key, value in detail.items() if key != "instance"}
