"""The places where models are published: a folder, or object storage. What both can do."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from models.bucket import BucketRepository
from models.bundle import Bundle
from models.objects import is_url
from models.repository import ModelRepository
from models.serving import Serving


class Store(Protocol):
    """Models that can be read, and published as they were published elsewhere; ModelRepository has the promises."""

    @property
    def root(self) -> Path | str: ...

    def names(self) -> list[str]: ...

    def versions(self, name: str) -> list[int]: ...

    def serving(self, name: str) -> Serving: ...

    def serving_version(self, name: str) -> int: ...

    def digest(self, name: str, version: int) -> str: ...

    def holds(self, name: str, version: int, digest: str) -> bool: ...

    def bundle(self, name: str, version: int) -> Bundle: ...

    def add(self, bundle: Bundle, *, renumber: bool = False, hold: bool = False) -> tuple[int, bool]: ...

    def change_serving(self, name: str, change: Callable[[Serving], Serving]) -> Serving: ...


def opened(place: str) -> Store:
    """The repository at a path or a URL.

    :raises InvalidName: it is a URL, and its library is not installed or does not take it.
    """
    return BucketRepository(place) if is_url(place) else ModelRepository(Path(place))
