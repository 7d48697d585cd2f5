"""What needs more than the trainer's own libraries: its extras `sklearn` and `fast`."""

import os

# Read when scipy is imported; without it scikit-learn leaves its array-API check out.
os.environ["SCIPY_ARRAY_API"] = "1"
