"""How the table of a model was read, as its card states it."""

import json

from pydantic import ValidationError

from models.bundle import first_fault
from models.card import ModelCard
from trainer.data.schema import Schema
from trainer.errors import InvalidSchema


def stated_schema(card: ModelCard) -> Schema:
    """The schema that a card states; of a card from before they did, one of no column.

    :raises InvalidSchema: the card, which somebody else has written, states none that this trainer reads.
    """
    stated = card.provenance.table_schema
    if not stated:
        return Schema(target=card.provenance.target, columns={})
    try:
        # As JSON, lists are taken for tuples although nothing else is taken for anything else.
        return Schema.model_validate_json(json.dumps(stated))
    except ValidationError as error:
        raise InvalidSchema(
            f"card.json of {card.name}: provenance.table_schema.{first_fault(error)}; train the model again"
        ) from None
