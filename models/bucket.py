"""A model repository in object storage. A version is visible when its card is there, which is written last.

    <url>/<model>/<version>/<file>.<sha256>   the files; two publishers never write the same name with other bytes
    <url>/<model>/<version>/card.json         written if none is there: of two publishers of a number, one wins
    <url>/<model>/serving.json                replaced if it is still the one that was read

A publisher that is killed leaves files without a card, which nobody looks at, and which the same version uses again.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from pydantic import ValidationError

from models import files as disk
from models.bundle import Bundle, check_file, first_fault, listed, read_card
from models.card import FileDigest, ModelCard
from models.errors import CorruptModel
from models.naming import NAME, SERVING, VERSION, check_name, taken
from models.objects import Entry, Object, Objects
from models.seal import CARD
from models.serving import Serving
from models.store import Store

ATTEMPTS = 20
# No object has such a name, or such a tag.
CHECK, NO_TAG = ".writable", '"00000000000000000000000000000000"'


class Held(NamedTuple):
    """A version in a listing: a mark, which is another one once any object of it is, and its bytes."""

    mark: str
    size: int


class Listing(NamedTuple):
    """What there is of a model: its versions, the newest first, and the tag of serving.json, empty without one."""

    versions: dict[int, Held]
    serving: str


class BucketRepository(Store):
    """Reads and publishes models below one URL."""

    def __init__(self, url: str) -> None:
        self._objects = Objects(url)
        self._place = self._objects.url

    @property
    def place(self) -> str:
        return self._place

    def exists(self) -> bool:
        return True

    def names(self) -> list[str]:
        """The models with at least one version; sorted."""
        return sorted({name for name, *rest in map(_parts, self._objects.list()) if _is_card(name, *rest)})

    def versions(self, name: str) -> list[int]:
        """The published versions of one model, ascending; empty when there is no such model."""
        check_name(name)
        return sorted(int(parts[1]) for parts in map(_parts, self._objects.list(name)) if _is_card(*parts))

    def listing(self, name: str = "") -> dict[str, Listing]:
        """All models with at least one version, or one of them; a request for each thousand objects."""
        found: dict[str, dict[int, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        chosen: dict[str, str] = {}
        for entry in self._objects.look(name):
            model, *rest = _parts(entry.name)
            if rest == [SERVING]:
                chosen[model] = entry.tag
            elif NAME.fullmatch(model) and len(rest) == 2 and VERSION.fullmatch(rest[0]):
                found[model][int(rest[0])].append(entry)
        whole = {
            model: {
                version: Held(disk.sha256(repr(entries).encode()), sum(entry.size for entry in entries))
                for version, entries in sorted(versions.items(), reverse=True)
                if any(_is_card(*_parts(entry.name)) for entry in entries)
            }
            for model, versions in sorted(found.items())
        }
        return {model: Listing(versions, chosen.get(model, "")) for model, versions in whole.items() if versions}

    def serving(self, name: str) -> Serving:
        """What somebody chose to serve; nothing in particular where there is no serving.json.

        :raises CorruptModel: it cannot be read.
        """
        return self._serving(name)[0]

    def card(self, name: str, version: int) -> ModelCard:
        """The card of one version.

        :raises UnknownModel: there is no such version.
        :raises CorruptModel: it cannot be read, or is another model's.
        """
        return self._card(name, version)[0]

    def bundle(self, name: str, version: int) -> Bundle:
        """All files of one version, each checked against its digest.

        :raises UnknownModel: there is no such version.
        :raises CorruptModel: a file is missing or differs from what was published.
        """
        card, found = self._card(name, version)
        files = {file: self._file(card, version, file, digest) for file, digest in listed(card, version).items()}
        return Bundle(card, version, {CARD: found.data, **files})

    def _card(self, name: str, version: int) -> tuple[ModelCard, Object]:
        check_name(name)
        found = self._objects.get(f"{name}/{version}/{CARD}", disk.LARGEST_TEXT)
        if found is None:
            raise self.unknown(name, version)
        return read_card(found.data, name, version), found

    def _file(self, card: ModelCard, version: int, file: str, digest: FileDigest) -> bytes:
        where = f"{file} of {card.name} version {version}"
        found = self._objects.get(_key(card.name, version, file, digest.sha256), disk.LARGEST_FILE)
        if found is None:
            raise CorruptModel(f"{where} is missing")
        check_file(found.data, digest, where)
        return found.data

    def check_writable(self, name: str) -> None:
        """Ask for the replacement of an object that is not there: rights are looked at first, and nothing is written.

        :raises OSError: these credentials may not write, or there is no such bucket. What may pass is no reason.
        """
        try:
            self._objects.look(name)  # A bucket that is not there has no object whose replacement it could refuse.
            if self._objects.put_if(f"{name}/{CHECK}", b"", NO_TAG):
                # A storage that knows no conditions has written it.
                self._objects.remove([f"{name}/{CHECK}"])
        except OSError as error:
            if error.errno in disk.LASTING:
                raise OSError(error.errno, f"no model can be published: {error.strerror}", self._place) from None

    def add(self, bundle: Bundle, *, renumber: bool = False, hold: bool = False) -> tuple[int, bool]:
        """Publish a version that was published elsewhere, byte for byte; return its number, and whether it is new here.

        As of a repository on disk; with `hold`, what serves stays pinned also where publishing fails then.

        :raises TakenVersion: another model was published under its number.
        :raises OSError: the storage refuses; nothing is visible.
        """
        name, version = bundle.card.name, bundle.version
        for _ in range(ATTEMPTS):
            if renumber:
                version = max((int(parts[1]) for parts in self._numbered(name)), default=0) + 1
            here, tag = (False, None) if renumber else self._looked_at(name, version, bundle.digest)
            if here:
                return version, False
            if hold:
                self.change_serving(name, lambda chosen: chosen.held(self.serving_version(name)))
            for file, digest in listed(bundle.card, version).items():
                self._objects.put(_key(name, version, file, digest.sha256), bundle.files[file])
            if self._objects.put_if(f"{name}/{version}/{CARD}", bundle.files[CARD], tag):
                return version, True
        raise OSError(f"{self._place}: others publish '{name}' all the time; try again")

    def _numbered(self, name: str) -> list[list[str]]:
        """Whatever lies below a number, with a card or without."""
        return [
            parts for parts in map(_parts, self._objects.list(name)) if len(parts) > 2 and VERSION.fullmatch(parts[1])
        ]

    def digest(self, name: str, version: int) -> str:
        """The digest of a version's card, which vouches for its other files.

        :raises UnknownModel: there is no such version.
        :raises CorruptModel: the card cannot be read.
        """
        return disk.sha256(self._card(name, version)[1].data)

    def holds(self, name: str, version: int, digest: str) -> bool:
        """Whether a version, by the digest of its card, is here with all its files; their names have their digests.

        :raises TakenVersion: another one is here.
        """
        return self._looked_at(name, version, digest)[0]

    def _looked_at(self, name: str, version: int, digest: str) -> tuple[bool, str | None]:
        """Whether a version is here and whole, and the tag of the card that was looked at, if there is one.

        One look gives both: a card that is written meanwhile has another tag, and is not written over.
        """
        found = self._objects.get(f"{name}/{version}/{CARD}", disk.LARGEST_TEXT)
        if found is None:
            return False, None
        try:
            card = read_card(found.data, name, version)
        except CorruptModel:
            return False, found.tag
        if disk.sha256(found.data) != digest:
            raise taken(self._place, name, version)
        keys = {_key(name, version, file, one.sha256) for file, one in listed(card, version).items()}
        return keys <= {*self._objects.list(f"{name}/{version}")}, found.tag

    def change_serving(self, name: str, change: Callable[[Serving], Serving], asked_for: int | None = None) -> Serving:
        """Replace serving.json by what `change` makes of it; where somebody else was faster, of what they made of it.

        :raises UnknownModel: a version that is new in it is not there.
        :raises CorruptModel: serving.json cannot be read, or a version that is new in it is not intact.
        """
        if not self.versions(name):
            raise self.unknown(name)
        for _ in range(ATTEMPTS):
            before, tag = self._serving(name)
            after = change(before)
            for version in {*after.named} - ({*before.named} - {asked_for}):
                self.bundle(name, version)
            if self._objects.put_if(f"{name}/{SERVING}", after.to_json().encode(), tag):
                return after
        raise OSError(f"{self._place}: others change {SERVING} of '{name}' all the time; try again")

    def prune(self, name: str, keep: int) -> tuple[list[int], list[int]]:
        """Remove versions as of a repository on disk: each card first, so that nobody sees a part of one.

        There is no lock: whoever decides for one of these versions meanwhile is not heard.
        """
        removed, stay = self.kept(name, keep)
        for version in removed:
            files = self._objects.list(f"{name}/{version}")
            self._objects.remove([f"{name}/{version}/{CARD}", *files])
        return removed, stay

    def _serving(self, name: str) -> tuple[Serving, str | None]:
        check_name(name)
        found = self._objects.get(f"{name}/{SERVING}", disk.LARGEST_TEXT)
        if found is None:
            return Serving(), None
        try:
            return Serving.model_validate_json(found.data), found.tag
        except ValidationError as error:
            raise CorruptModel(f"{SERVING} of {name}: {first_fault(error)}; correct it, or remove it") from None


def _key(name: str, version: int, file: str, sha256: str) -> str:
    return f"{name}/{version}/{file}.{sha256}"


def _parts(key: str) -> list[str]:
    return key.split("/")


def _is_card(name: str, *rest: str) -> bool:
    return bool(NAME.fullmatch(name) and len(rest) == 2 and VERSION.fullmatch(rest[0]) and rest[1] == CARD)
