"""A process that publishes, or decides what serves, when it is told to: `python -m tests.faults.publisher`, then a line
of JSON for each time.

Each time a fork of its own does it, which stops before its first call, so that a tracer can be attached to it and
counts from there. It ends as `trainer fit` or `python -m models` would: with the same exit code, and the same words for
a refusal.
"""

import json
import os
import resource
import signal
import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NoReturn

from models.__main__ import main as decide
from models.repository import ModelRepository, PublishedModel
from models.terminal import IO, run
from tests.service.conftest import NUMBERS


def main() -> None:
    model = ModelRepository(NUMBERS).read("plain", 1)
    _tell("ready")
    for line in sys.stdin:
        order = json.loads(line)
        with tempfile.TemporaryFile() as said:
            children = []
            for _ in range(order["times"]):
                child = os.fork()
                if not child:
                    os.dup2(said.fileno(), 2)
                    _act(model, order["root"], order["decision"], order["longest_file"])
                children.append(child)
            _tell(children)
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            said.seek(0)
            _tell([codes, said.read().decode()])


def _act(model: PublishedModel, root: str, decision: list[str], longest_file: int) -> NoReturn:
    if longest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (longest_file, longest_file))
    repository = ModelRepository(Path(root))
    os.kill(os.getpid(), signal.SIGSTOP)

    def publish() -> None:
        repository.publish(model.card, {"model.onnx": model.onnx})

    with redirect_stdout(StringIO()):  # The real one is for whoever gives the orders.
        os._exit(decide(["--repository", root, *decision]) if decision else run("trainer", publish, {OSError: IO}))


def _tell(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
