"""`python -m trainer`."""

import os
import sys

# Products of this size gain nothing from a second thread, and one thread gives one order of additions: the same seed,
# the same bytes. numpy reads this as it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from trainer.command_line import main

sys.exit(main())
