"""Clients of other makers, unmodified, against a running service."""

from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.clients, pytest.mark.thorough]

SCRIPTS = (
    "with_tritonclient.py",
    "with_tritonclient_aio.py",
    "with_kserve.py",
    "with_kserve_resources.py",
    "with_mlflow.py",
    "with_pandas.py",
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_client_of_other_makers_works_unmodified(ask: Callable[[str], None], script: str) -> None:
    """Each script is written as the client's own documentation shows, and asserts what it gets."""
    ask(script)
