"""A folder that is kept like the repository at a URL: a cache, which everything reads as it reads any repository.

<cache>/<bucket>-<digest of the URL>/         versions, each held against its digests before it is there
<cache>/<bucket>-<digest of the URL>.json     what the last look at the bucket has found
"""

import hashlib
import os
import re
import tempfile
from errno import EACCES
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models import files as disk
from models import staging
from models.naming import SERVING
from models.replacing import replacing
from models.repository import ModelRepository
from models.serving import Serving


class Look(BaseModel):
    """What a look at the bucket has found. `listed` is when it was last listed, in Unix time, and 0 until all of it was
    copied once; `trouble`, why it, or by name one of its models, cannot be followed now; `refused`, the versions that
    are not as they were published.
    """

    model_config = ConfigDict(frozen=True)

    listed: float = 0.0
    trouble: str = ""
    troubles: dict[str, str] = {}
    refused: dict[str, dict[int, str]] = {}


def default_folder() -> Path:
    """A folder of this user's own where temporary files are."""
    return Path(tempfile.gettempdir()) / f"evenkeel-{os.getuid()}"


def root_of(folder: Path, url: str) -> Path:
    """Where in a folder of caches that of a URL lies. The same bucket at another endpoint is another one."""
    url = url.rstrip("/")
    where = "\n".join([url, os.environ.get("AWS_ENDPOINT_URL", "")])
    bucket = re.sub(r"[^a-z0-9]+", "-", url.partition("://")[2].lower())[:40].strip("-")
    return folder / f"{bucket}-{hashlib.sha256(where.encode()).hexdigest()[:12]}"


def last_look(root: Path) -> Look:
    """What the last look at the bucket has found, whose cache this is."""
    try:
        return Look.model_validate_json(_record(root).read_bytes())
    except (OSError, ValidationError):
        return Look()


def note_look(root: Path, look: Look) -> None:
    """Write down what a look at the bucket has found, whose cache this is."""
    with replacing(_record(root)) as file:
        file.write(look.model_dump_json().encode())


def make_own(folder: Path, root: Path) -> None:
    """Make a folder of caches and that of one URL, which nobody else may have prepared.

    :raises OSError: somebody else has, or they cannot be made.
    """
    owners = {folder: (0, os.geteuid()), root: (os.geteuid(),)}
    for one, its in owners.items():
        try:
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whoever owns a link may let it lead elsewhere later.
            if not {one.lstat().st_uid, one.stat().st_uid} <= {*its}:
                raise PermissionError(EACCES, "it belongs to another user")
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}; set EVENKEEL_CACHE to a folder of your own", one) from None


def _record(root: Path) -> Path:
    return root.with_name(f"{root.name}.json")


class CachedModels(ModelRepository):
    """A repository that follows another one in everything."""

    def choose(self, name: str, chosen: Serving) -> None:
        """What was chosen there, whatever is here."""
        folder = self._folder(name)
        with staging.publishing(folder):
            disk.replace(folder / SERVING, chosen.to_json().encode())

    def remove(self, name: str, versions: list[int]) -> None:
        """What is no longer there, whatever serves here."""
        with self._changing(name) as folder:
            staging.remove(folder, versions)
            if not self.versions(name):
                (folder / SERVING).unlink(missing_ok=True)
