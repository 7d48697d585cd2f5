"""Products of matrices, and trees, with one thread, in a process that has loaded numpy already.

Products of this size gain nothing from a second thread, and one thread gives one order of additions: the same seed, the
same bytes. `trainer.__main__` says so before numpy is loaded. The only module that knows threadpoolctl.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from typing import cast

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Let no product in this block have a second thread."""
    # The compiled step multiplies by scipy's library, which is limited only if it is loaded by now.
    with suppress(ImportError):
        import_module("scipy.linalg.cython_blas")
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def one_core() -> AbstractContextManager[object]:
    """Let nothing in this block use OpenMP with a second thread, which waits by spinning where the cores are shared.

    It limits what is loaded by now.
    """
    return cast("AbstractContextManager[object]", threadpool_limits(limits=1, user_api="openmp"))
