"""A study in a database. The only module that knows SQLAlchemy, which takes its time to load."""

import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from trainer.errors import StorageUnreachable
from trainer.search.space import Space
from trainer.search.study import Study, quiet

RECYCLE_S = 300
PATIENCE_S, PAUSE_S = 60.0, 1.0

T = TypeVar("T")


class Storage(RDBStorage):
    """The storage of Optuna, which lets go of all connections with the last session."""

    def remove_session(self) -> None:
        super().remove_session()
        self.engine.dispose()


def open_server(address: str, name: str, box: Space, *, create: bool) -> Study:
    """The study in a database, at an address as SQLAlchemy spells it.

    :raises UnknownStudy: there is none, and none was to be made.
    :raises StorageUnreachable: nobody answers there, or not as a study's database.
    """
    quiet()
    options = {"pool_pre_ping": True, "pool_recycle": RECYCLE_S, "pool_size": 1, "max_overflow": 1}
    try:
        storage = _patiently(lambda: Storage(address, engine_kwargs=options))
    except (SQLAlchemyError, OptunaError, RuntimeError) as error:
        raise StorageUnreachable(f"the storage cannot hold a study: {str(error).splitlines()[0]}") from None
    try:
        return _patiently(lambda: Study(storage, name, box, create=create, patiently=_patiently))
    except BaseException:
        storage.remove_session()
        raise


def _patiently(action: Callable[[], T]) -> T:
    """Do something with a database, again where that is away for a while.

    :raises StorageUnreachable: it does not come back.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return action()
        except (StorageInternalError, OperationalError) as error:
            if time.monotonic() > deadline:
                reason = str(error.__cause__ or error).splitlines()[0]
                raise StorageUnreachable(f"the storage does not answer any more: {reason}") from None
            time.sleep(PAUSE_S)
