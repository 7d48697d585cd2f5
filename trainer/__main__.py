"""`python -m trainer`: the batch job. The command `evenkeel` has the same commands."""

import os
import sys
from collections.abc import Sequence

# `python -m` looks into the working folder first, where somebody may have a models.py of their own.
if not sys.flags.safe_path and os.path.realpath(f"{__file__}/../..") != sys.path[0] == os.getcwd():
    del sys.path[0]


def main(arguments: Sequence[str] | None = None, program: str = "python -m trainer") -> int:
    """Run one command and return its exit code."""
    # Products of this size gain nothing from a second thread, and one thread gives one order of additions: the same
    # seed, the same bytes. numpy reads this as it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from models.terminal import needing

    with needing("trainer", program):
        from trainer import command_line
    return command_line.main(arguments, program)


if __name__ == "__main__":
    sys.exit(main())
