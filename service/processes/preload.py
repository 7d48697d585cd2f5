"""What the supervisor loads before it forks, so that its workers have it in common: memory, and time at the start.

Only what starts no thread when it is imported, for no thread survives a fork. onnxruntime is left to the workers; it
makes locks and pools of its own, and does not say when.
"""

import gc
import os
from importlib import import_module

MODULES = (
    "asyncio",
    "concurrent.futures.thread",
    "email.utils",
    "flask",
    "inotify_simple",
    "jinja2",
    "models.card",
    "models.repository",
    "models.serving",
    "numpy",
    "orjson",
    "service.access",
    "service.http.head",
    "service.http.heads",
    "service.reply",
    "service.rows.reader",
    "service.telemetry.exposition",
    "service.telemetry.observer",
    "uvloop",
    "werkzeug.routing",
)


def preload() -> None:
    """Load it, and keep the garbage collector away: it would write to the pages of each object that it looks at."""
    # Read when numpy is imported. A prediction is too small for more threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()
    for module in MODULES:
        import_module(module)
    gc.collect()
    gc.freeze()
    gc.enable()
