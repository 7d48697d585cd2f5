"""`python -m evenkeel`, where the command `evenkeel` is not on the path."""

import os
import sys

# `python -m` looks into the working folder first, where somebody may have a models.py of their own.
if not sys.flags.safe_path and os.path.realpath(f"{__file__}/../..") != sys.path[0] == os.getcwd():
    del sys.path[0]

from evenkeel.command_line import main

if __name__ == "__main__":
    sys.exit(main())
