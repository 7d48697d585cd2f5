"""The public face above the three programs: what needs a table and a published model at once."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evenkeel.client import Client as Client
    from evenkeel.errors import BadInput as BadInput
    from evenkeel.errors import ClientError as ClientError
    from evenkeel.errors import KeyRefused as KeyRefused
    from evenkeel.errors import NotServed as NotServed
    from evenkeel.errors import RefusedByService as RefusedByService
    from evenkeel.errors import RowsRefused as RowsRefused
    from evenkeel.errors import Unreachable as Unreachable

# The modules of the Python API; each is imported when one of its names is first asked for.
API = {
    "evenkeel.client": ("Client",),
    "evenkeel.errors": (
        "BadInput",
        "ClientError",
        "KeyRefused",
        "NotServed",
        "RefusedByService",
        "RowsRefused",
        "Unreachable",
    ),
}
MODULES = {name: module for module, names in API.items() for name in names}
__all__ = sorted(MODULES)


def __getattr__(name: str) -> object:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *MODULES})
