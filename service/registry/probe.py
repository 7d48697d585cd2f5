"""The probe: the process in which versions are tried.

    python -m service.registry.probe ROOT

It says when it has started, then reads a model, a version and a limit from each line of standard input, as JSON, and
answers with a line: the digest of the card that it was loaded by, why it was refused, or why that could not be found
out. It is no sandbox for code, of which a model holds none; it keeps the memory and the time that a model takes away
from the worker.
"""

import json
import os
import re
import resource
import sys
from pathlib import Path
from time import process_time

from models.errors import ModelError, UnreadableModel
from models.repository import ModelRepository
from service.registry.checks import check_speed, load

CPU_SECONDS = 3
# A folder of the kernel's own, in which nothing lies that a model could name.
NOWHERE = "/proc/self/fdinfo"
# What a session takes while it is made, in bytes of its file: measured 3.0 to 3.5.
SESSION_SIZES, SPARE_MEGABYTES, STEP_MEGABYTES = 4, 64, 64
MEMORY = re.compile("bad_?alloc|bad allocation|allocate memory|out of memory|MemoryError", re.IGNORECASE)

Answer = dict[str, str]
STARTED: Answer = {"started": ""}


def short_of_memory(said: str) -> bool:
    """Whether a sentence of onnxruntime, C++ or Python is about memory that was not to be had."""
    return bool(MEMORY.search(said))


def over_memory(folder: Path, megabytes: int) -> str:
    """Why a version in a folder is refused that needs more memory than a trial has, and what to set."""
    try:
        needed = SPARE_MEGABYTES + (SESSION_SIZES * (folder / "model.onnx").stat().st_size >> 20)
    except OSError:
        needed = 0
    needed = -(-needed // STEP_MEGABYTES) * STEP_MEGABYTES
    return (
        f"it takes more than {megabytes} MB to load; set EVENKEEL_TRIAL_MEGABYTES to "
        f"{needed if needed > megabytes else 2 * megabytes} and restart the service"
    )


def main(root: str) -> None:
    """Answer every line of standard input, until it ends."""
    os.chdir(NOWHERE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    repository = ModelRepository(Path(root))
    print(json.dumps(STARTED), flush=True)
    for line in sys.stdin.buffer:
        print(json.dumps(_answer(repository, **json.loads(line))), flush=True)


def _answer(repository: ModelRepository, name: str, version: int, megabytes: int) -> Answer:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + (megabytes << 20))
    _limit(resource.RLIMIT_CPU, int(process_time()) + CPU_SECONDS)
    folder = repository.root / name / str(version)
    try:
        predictor, digest = load(repository, name, version)
        check_speed(predictor)
        return {"digest": digest}
    except UnreadableModel as error:
        return {"failed": str(error)}
    except ModelError as error:
        return {"refused": over_memory(folder, megabytes) if short_of_memory(str(error)) else str(error)}
    except OSError as error:
        return {"failed": f"it cannot be read: {error.strerror or error}"}
    except MemoryError:
        return {"refused": over_memory(folder, megabytes)}


def _limit(what: int, limit: int) -> None:
    _, most = resource.getrlimit(what)
    resource.setrlimit(what, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


if __name__ == "__main__":
    main(sys.argv[1])
