"""Loading a version: every check, from its card to its golden rows, and a warm session at the end."""

from models.errors import CorruptModel
from models.repository import ModelRepository
from service.model_file.structure import check_structure
from service.prediction.predictor import Predictor

WARM_UP = 3


def load(repository: ModelRepository, name: str, version: int, digest: str | None = None) -> tuple[Predictor, str]:
    """Load one version; return it with the digest of its card, which is `digest` where that is given.

    In this order: the card, the digests of all files, the structure of the model, its signature, its golden rows.

    :raises ModelError: a check failed; the sentence says which.
    """
    model = repository.read(name, version)
    if digest is not None and model.digest != digest:
        raise CorruptModel(f"card.json of {name} version {version} changed while it was tried")
    check_structure(model.onnx)
    predictor = Predictor(model)
    # The first runs of a session take memory and time that no request should wait for.
    row = predictor.rows.read([model.card.golden[0].instance]).tensors
    for _ in range(WARM_UP):
        predictor.predict(row)
    return predictor, model.digest
