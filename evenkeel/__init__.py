"""The public face above the three programs: from Python, and what needs a table and a published model at once.

    import evenkeel

    model = evenkeel.fit(frame, target="species")
    model.publish("penguins")
    evenkeel.load("penguins").predict_proba(frame)
    evenkeel.Client("http://127.0.0.1:8080").predict_proba(frame)

What a name needs is imported when it is used, so that each side can be installed alone. Nothing is imported before:
`python -m evenkeel` first takes the working folder from the path, where somebody may have a models.py of their own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenkeel.client.client import Client
    from evenkeel.errors import BadInput, ClientError, KeyRefused, NotServed, RefusedByService, RowsRefused, Unreachable
    from evenkeel.model.fitted import FittedModel, fit
    from evenkeel.model.loaded import Model, load
    from models import __version__
    from models.errors import EvenkeelError, EvenkeelWarning

# Where each name of the API stands.
PLACES = {
    "fit": "evenkeel.model.fitted",
    "FittedModel": "evenkeel.model.fitted",
    "load": "evenkeel.model.loaded",
    "Model": "evenkeel.model.loaded",
    "EvenkeelError": "models.errors",
    "EvenkeelWarning": "models.errors",
    "__version__": "models",
    "Client": "evenkeel.client.client",
    "BadInput": "evenkeel.errors",
    "ClientError": "evenkeel.errors",
    "KeyRefused": "evenkeel.errors",
    "NotServed": "evenkeel.errors",
    "RefusedByService": "evenkeel.errors",
    "RowsRefused": "evenkeel.errors",
    "Unreachable": "evenkeel.errors",
}

__all__ = [
    "BadInput",
    "Client",
    "ClientError",
    "EvenkeelError",
    "EvenkeelWarning",
    "FittedModel",
    "KeyRefused",
    "Model",
    "NotServed",
    "RefusedByService",
    "RowsRefused",
    "Unreachable",
    "__version__",
    "fit",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module 'evenkeel' has no attribute {name!r}")
    try:
        return getattr(import_module(PLACES[name]), name)
    except ModuleNotFoundError as error:
        from models.errors import MissingLibrary
        from models.extras import way_to

        raise MissingLibrary(f"evenkeel.{name} needs {error.name}: {way_to('trainer', 'service')}") from None


def __dir__() -> list[str]:
    return sorted(__all__)
