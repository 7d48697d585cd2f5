"""Following the repository at a URL, into its cache.

A look costs one request for each thousand objects, one for a serving.json that has changed, and for a version that is
new one for its card and one for each of its files. Where there is no room for all versions, those that serve come
first, then the newest.
"""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from time import time

from models import files as disk
from models.bucket import BucketRepository, Listing
from models.cache import CachedModels, Look, last_look, make_own, note_look, root_of
from models.errors import CorruptModel, ModelError, TakenVersion, UnreadableModel
from models.serving import Serving

MEGABYTES = 1024
SET = "set EVENKEEL_CACHE_MEGABYTES"


class Follower:
    """Keeps the cache of one URL, of at most so many bytes once a look is over."""

    def __init__(self, url: str, folder: Path, most_bytes: int = MEGABYTES << 20) -> None:
        """Make the folder.

        :raises InvalidName: the URL, or the library for it, is not to be used.
        :raises OSError: the folder cannot be made, or somebody else could write into it.
        """
        self._bucket = BucketRepository(url)
        self._most = most_bytes
        self.models = CachedModels(root_of(folder, url))
        make_own(folder, self.models.root)
        # By mark: what was found to be here, and what was refused.
        self._here: dict[tuple[str, int], str] = {}
        self._refused: dict[tuple[str, int], tuple[str, str]] = {}
        self._chosen: dict[str, tuple[str, Serving]] = {}
        self._troubles: dict[str, str] = {}

    def refresh(self, name: str = "") -> Look:
        """Look once; what the look has found, which is written down too. With a name, only at one model, for oneself.

        :raises OSError: the bucket cannot be read, or the folder cannot be written; what was copied by then is whole.
        """
        # It may be a temporary folder, which somebody cleans.
        make_own(self.models.root.parent, self.models.root)
        # Whoever keeps the same cache waits: a listing from before would take away what is new.
        with disk.exclusive(self.models.root, "nothing was copied"):
            look = last_look(self.models.root)
            try:
                listing, listed = self._bucket.listing(name), time()
                if look.listed:
                    look = look.model_copy(update={"listed": listed})
                self._follow(listing, name)
                look = Look(listed=listed, troubles=self._troubles, refused=self._reasons())
            except OSError as error:
                sentence = f"{error.filename}: {error.strerror}" if error.filename else str(error)
                look = look.model_copy(update={"trouble": sentence})
                raise
            finally:
                if not name:
                    note_look(self.models.root, look)
        return look

    def _reasons(self) -> dict[str, dict[int, str]]:
        found: dict[str, dict[int, str]] = {}
        for (name, version), (_, reason) in self._refused.items():
            found.setdefault(name, {})[version] = reason
        return found

    def _follow(self, listing: Mapping[str, Listing], only: str) -> None:
        """Bring what serves of each model, then the others, and take away what is left."""
        asked = {only} if only else {*listing, *self.models.names(), *(name for name, _ in self._refused)}
        there = {(name, version) for name, held in listing.items() for version in held.versions}
        self._refused = {key: why for key, why in self._refused.items() if key[0] not in asked or key in there}
        self._troubles = {name: why for name, why in self._troubles.items() if name not in asked}
        room, failures = Room(self._most), list[OSError]()
        for name, held in listing.items():
            with _put_off(failures):
                self._bring_serving(name, held, room)
        others = ([(name, version) for version in held.versions] for name, held in listing.items())
        for name, version in (one for turn in zip_longest(*others) for one in turn if one and one not in room.taken):
            with _put_off(failures):
                self._bring(name, version, listing[name], room)
        # What is no longer there goes in any case: the disk may be full. What else has no room goes for what is there.
        kept = room.taken | there if failures else room.taken
        for name in asked & {*self.models.names()}:
            gone = [version for version in self.models.versions(name) if (name, version) not in kept]
            if gone:
                self.models.remove(name, gone)
        if failures:
            raise failures[0]

    def _bring_serving(self, name: str, held: Listing, room: "Room") -> None:
        """What was chosen, then the choice, then what is newest: so nothing else serves meanwhile."""
        try:
            chosen = self._choice(name, held)
        except CorruptModel as error:
            self._troubles[name] = str(error)
            chosen = self._chosen_here(name) or Serving()
        needed = [version for version in held.versions if version in chosen.named]
        for version in needed:
            self._bring(name, version, held, room)
        if chosen != self._chosen_here(name):
            self.models.choose(name, chosen)
        newest = next(iter(held.versions))
        self._bring(name, newest, held, room)
        for version in (*needed, newest):
            if (name, version) not in room.taken:
                megabytes = -(-held.versions[version].size // (1 << 20))
                self._troubles[name] = (
                    f"version {version} has no room in the cache: {megabytes} MB more are needed; {SET}"
                )

    def _choice(self, name: str, held: Listing) -> Serving:
        tag, chosen = self._chosen.get(name, ("", Serving()))
        if tag != held.serving:
            chosen = self._bucket.serving(name) if held.serving else Serving()
            self._chosen[name] = held.serving, chosen
        return chosen

    def _chosen_here(self, name: str) -> Serving | None:
        with suppress(CorruptModel):
            return self.models.serving(name)
        return None

    def _bring(self, name: str, version: int, held: Listing, room: "Room") -> None:
        """Let a version be here as it is there, if there is room for it."""
        key, (mark, size) = (name, version), held.versions[version]
        if not room.take(key, size) or self._refused.get(key, ("",))[0] == mark:
            return
        if self._here.get(key) == mark and version in self.models.versions(name):
            return
        try:
            self._copy(name, version)
        except UnreadableModel as error:  # What is here already.
            raise OSError(errno.EIO, str(error)) from None
        except ModelError as error:
            if self._is_there(name, version):  # Else it has been removed meanwhile, as the next look will see.
                self._refused[key] = mark, str(error)
        else:
            self._here[key] = mark
            self._refused.pop(key, None)

    def _copy(self, name: str, version: int) -> None:
        replaced = False
        try:
            if self.models.holds(name, version, self._bucket.digest(name, version)):
                return
        except TakenVersion:
            replaced = True
        bundle = self._bucket.bundle(name, version)
        if replaced:
            self.models.remove(name, [version])
        self.models.add(bundle)

    def _is_there(self, name: str, version: int) -> bool:
        return version in self._bucket.listing(name).get(name, Listing({}, "")).versions


class Room:
    """Which versions have a place in the cache, and how many bytes are left."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.taken: set[tuple[str, int]] = set()

    def take(self, key: tuple[str, int], size: int) -> bool:
        """Give a version a place, if it has none yet; whether it has one then."""
        if key not in self.taken and size <= self.left:
            self.left -= size
            self.taken.add(key)
        return key in self.taken


@contextmanager
def _put_off(failures: list[OSError]) -> Iterator[None]:
    """Let what fails for one model be in no other one's way."""
    try:
        yield
    except OSError as error:
        failures.append(error)
