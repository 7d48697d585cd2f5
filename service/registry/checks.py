"""Loading a version: every check, from its card to its golden rows. The session is warm at the end."""

from models.errors import CorruptModel
from models.repository import ModelRepository
from service.errors import RefusedModel
from service.model_file.structure import check_structure
from service.prediction.predictor import Predictor

# Of the processor.
SLOWEST_ROW_SECONDS = 0.25


def load(repository: ModelRepository, name: str, version: int, digest: str | None = None) -> tuple[Predictor, str]:
    """Load one version; return it with the digest of its card, which is `digest` where that is given.

    In this order: the card, the digests of all files, the structure of the model, its signature, its golden rows.

    :raises ModelError: a check failed; the sentence says which.
    """
    model = repository.read(name, version)
    if digest is not None and model.digest != digest:
        raise CorruptModel(f"card.json of {name} version {version} changed while it was tried")
    check_structure(model.onnx)
    return Predictor(model), model.digest


def check_speed(predictor: Predictor) -> None:
    """Check that a row alone is answered in time. Only the trial asks: its verdict holds for all workers.

    :raises RefusedModel: it is not.
    """
    if predictor.pace.first > SLOWEST_ROW_SECONDS:
        raise RefusedModel(
            f"a row alone takes {predictor.pace.first:.2g} s of processor, and may take {SLOWEST_ROW_SECONDS} s: "
            "train a smaller model"
        )
