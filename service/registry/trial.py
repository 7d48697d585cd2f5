"""The trial of a version: a process of its own loads it first, under limits, so that a bad one harms nobody else.

    python -m service.registry.trial ROOT

It reads a model, a version and a limit from each line of standard input, as JSON, and answers with a line: the digest
of the card that it was loaded by, or why it was refused. It is no sandbox for code, of which a model holds none; it
keeps the memory and the time that a model takes away from the worker.
"""

import json
import os
import resource
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from types import TracebackType

from models.errors import ModelError
from models.repository import ModelRepository
from service.errors import RefusedModel
from service.registry.checks import load

# Of the processor, and by the clock: on a busy machine a good model waits.
CPU_SECONDS, PATIENCE_SECONDS = 3, 30
# Threads and arenas would reserve addresses, which the limit counts, and are of no use to a few rows.
ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONPATH": str(Path(__file__).parents[2]),
}

Answer = dict[str, str]


class Trial:
    """Tries versions of a repository, one after the other, in one process as long as they leave it alive.

    The process starts with the first version, and ends with the `with` block.
    """

    def __init__(self, root: Path, megabytes: int) -> None:
        self._root = root.absolute()
        self._megabytes = megabytes
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Trial":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def check(self, name: str, version: int) -> str:
        """Load a version in the other process; return the digest of its card.

        :raises RefusedModel: it was refused there, or took more memory or time than it may.
        """
        answer = self._ask({"name": name, "version": version, "megabytes": self._megabytes})
        if answer is None:
            self.__exit__(None, None, None)
            raise RefusedModel(f"it did not survive a trial with {self._megabytes} MB and {CPU_SECONDS} s of processor")
        if "refused" in answer:
            raise RefusedModel(answer["refused"])
        return answer["digest"]

    def _ask(self, question: dict[str, object]) -> Answer | None:
        """The answer of the process; None where it died or said nothing."""
        if self._child is None:
            self._child = _process(self._root)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(question).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            return None
        if not select.select([self._child.stdout], [], [], PATIENCE_SECONDS)[0]:
            return None
        line = self._child.stdout.readline()
        answer: Answer | None = json.loads(line) if line.endswith(b"\n") else None
        return answer


def _process(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (this interpreter, and a path from the settings)
        [sys.executable, "-P", "-m", "service.registry.trial", str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )


def main(root: str) -> None:
    """Answer every line of standard input, until it ends."""
    # A folder that is gone holds nothing that a model could name.
    nowhere = Path(tempfile.mkdtemp())
    os.chdir(nowhere)
    nowhere.rmdir()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    repository = ModelRepository(Path(root))
    for line in sys.stdin.buffer:
        print(json.dumps(_answer(repository, **json.loads(line))), flush=True)


def _answer(repository: ModelRepository, name: str, version: int, megabytes: int) -> Answer:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + (megabytes << 20))
    _limit(resource.RLIMIT_CPU, int(process_time()) + CPU_SECONDS)
    try:
        return {"digest": load(repository, name, version)[1]}
    except (ModelError, OSError) as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": f"it takes more than {megabytes} MB to load"}


def _limit(what: int, limit: int) -> None:
    resource.setrlimit(what, (limit, resource.getrlimit(what)[1]))


if __name__ == "__main__":
    main(sys.argv[1])
