import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import REFUSALS, InvalidSetting, ServiceError
from service.settings import Settings

ROOT = Path(__file__).parents[2]


def test_defaults_serve_this_machine_only() -> None:
    """On loopback, from models/store, as many workers as there is room for."""
    settings = Settings.from_environment({})

    assert (settings.host, settings.port, settings.repository) == ("127.0.0.1", 8080, Path("models/store"))
    assert settings.workers is None


def test_an_empty_variable_is_an_unset_one() -> None:
    """As compose passes on what is not set."""
    assert Settings.from_environment({"EVENKEEL_PORT": "", "EVENKEEL_DEFAULT_MODEL": ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EVENKEEL_PORT", "80a"),
        ("EVENKEEL_PORT", "0"),
        ("EVENKEEL_PORT", "65536"),
        ("EVENKEEL_WORKERS", "-1"),
        ("EVENKEEL_DEFAULT_MODEL", "../up"),
        ("EVENKEEL_POLL_SECONDS", "nan"),
        ("EVENKEEL_LOG_LEVEL", "loud"),
        ("EVENKEEL_MAX_BODY_BYTES", "1k"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str) -> None:
    """Variable, rule and value."""
    with pytest.raises(InvalidSetting, match=f"^{variable} .*'{value}'"):
        Settings.from_environment({variable: value})


def test_a_wrong_setting_stops_the_start() -> None:
    """With exit code 64 and one sentence, before anything listens."""
    command = [sys.executable, "-m", "service"]
    process = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"EVENKEEL_PORT": "http"}, capture_output=True, text=True, check=False
    )

    assert process.returncode == 64
    assert process.stderr.startswith("service: EVENKEEL_PORT should be a valid integer")
    assert process.stderr.count("\n") == 1


def test_every_setting_is_documented() -> None:
    """The table in docs/settings.md lists each variable with its default, and no other."""
    rows = [
        line.split("|")
        for line in (ROOT / "docs/settings.md").read_text().splitlines()
        if line.startswith("| `EVENKEEL_")
    ]
    documented = {cells[1].strip(" `"): cells[2].strip(" `") for cells in rows}
    defaults = {f"EVENKEEL_{name.upper()}": field.default for name, field in Settings.model_fields.items()}

    assert documented == {name: "" if default is None else str(default) for name, default in defaults.items()}


def test_every_refusal_has_a_status() -> None:
    """All but those that never cross the wire."""
    assert set(ServiceError.__subclasses__()) - set(REFUSALS) == {InvalidSetting}
