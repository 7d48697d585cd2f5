import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

import pytest

from service import settings
from service.errors import REFUSALS, InvalidSetting, ServiceError
from service.processes.server import checked
from service.settings import ELSEWHERE, Settings, unknown_variables, variable
from tests.conftest import find_free_port
from tests.end_to_end.conftest import running
from tests.service.conftest import PUBLISHED

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


# Wrong for every setting; wrong for those of a kind; and, where it matters, wrong for one alone.
NOWHERE = (" ", "8080 ", "a\nb", "8080\n", "a\0b")
NUMBERS = ("-1", "9" * 30, "1e30", "many", "http://x/y", "nan", "inf", "1_000", "0x10", "1 0")
WORDS = ("-1", "9" * 30, "Many", "http://x/y", "a b")
FOLDERS = ("http://x/y", "FILE", "FILE/in", "x" * 5000)
HOSTS = ("999.1.1.1", "0", "-1", "http://x/y", "a b", "a,b", "host:80", "[::1]", "/run/socket", "*", "é", "x" * 64)
WRONG = {
    "repository": (*FOLDERS, "s3://key:secret@bucket"),
    "cache": (*FOLDERS, "s3://bucket"),
    "prediction_log": (*FOLDERS, "s3://bucket"),
    "api_keys_file": ("http://x/y", "FOLDER", "MISSING", "FILE"),
    "prediction_log_key_file": ("http://x/y", "FOLDER", "MISSING", "FILE"),
    "host": (*HOSTS, "unix:socket", f"unix:/{'x' * 108}"),
    "allow_hosts": ("http://x/y", "x/y", "a b", "host:80", "::1", "*", "good.example,999.1.1.1", ","),
    "allow_origins": (
        *("x", "http://x/y", "a b", "http://x:80", ",", "http://good.example,*", "https://x:65536", "https://x..y"),
        *("https://999.1.1.1", "https://[1]", "https://-", f"https://{'x' * 64}"),
    ),
    "root_path": ("x", "http://x/y", "/a b", "/v1", "//x", "/a/../b"),
    "prediction_log_drop": (",",),
    "prediction_log_hash": (",",),
    "default_model": WORDS,
    "extra_features": WORDS,
    "log_level": WORDS,
    "access_log": WORDS,
    "tracing": WORDS,
}
MAY_BE_0 = ("drain_seconds", "drift_hours", "feedback_rows")


def test_every_wrong_value_is_refused_by_the_name_of_its_variable(tmp_path: Path) -> None:
    """Before anything listens: each kind of setting with each kind of wrong value."""
    (tmp_path / "file").write_text("no key\n")
    places = {"FILE": tmp_path / "file", "FOLDER": tmp_path, "MISSING": tmp_path / "missing"}
    # What such a setting says is asked for only together with these.
    log = {"EVENKEEL_PREDICTION_LOG": str(tmp_path / "log"), "EVENKEEL_PREDICTION_LOG_HASH": "age"}
    numbers = {name for name in Settings.model_fields if Settings.model_fields[name].annotation in settings.NUMBERS}
    assert {*Settings.model_fields} == numbers | {*WRONG}

    taken = []
    for name in Settings.model_fields:
        wrong = NUMBERS if name in numbers else WRONG[name]
        for value in (*NOWHERE, *wrong, *(["0"] if name in numbers and name not in MAY_BE_0 else [])):
            for word, place in places.items():
                value = value.replace(word, str(place))
            given = log | {variable(name): value} if name == "prediction_log_key_file" else {variable(name): value}
            try:
                checked(Settings.from_environment(given))
                taken.append((name, value))
            except InvalidSetting as refused:
                said = str(refused)
                assert said.startswith(variable(name)), said
                assert "\n" not in said
                assert "secret" not in said
                assert len(said) < 400

    assert taken == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOST", "::1"),
        ("HOST", "0.0.0.0"),
        ("HOST", "evenkeel_service"),
        ("HOST", "a.example."),
        ("ALLOW_ORIGINS", "https://x:65535,http://[::1]:3000,app://x"),
        ("ALLOW_HOSTS", "shop.example, 10.0.0.1,[::1]"),
        ("ACCESS_LOG", "1"),
        ("ACCESS_LOG", "False"),
        ("DRIFT_HOURS", "1e-3"),
        ("PREDICTION_LOG_DROP", "name, Größe in cm,1_0"),
        ("REPOSITORY", "my models"),
        ("DEFAULT_MODEL", "nan"),
    ],
)
def test_an_odd_value_may_be_right(variable: str, value: str) -> None:
    """What is refused is what cannot work, and no more."""
    checked(Settings.from_environment({f"EVENKEEL_{variable}": value}))


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("S3://bucket/models", "'S3://bucket/models'"),
        ("s3:/bucket/models", "'s3:/bucket/models'"),
        ("http://key:secret@storage/models", "'http://…storage/models'"),
        ("s3://key:secret@bucket/models", "'s3://…bucket/models'"),
        ("az://models/one?sig=secret", "'az://models/one…'"),
    ],
)
def test_a_place_of_no_models_is_refused(place: str, shown: str) -> None:
    """No folder is called like a URL, and what opens a storage is shown to nobody."""
    with pytest.raises(InvalidSetting, match=f"^EVENKEEL_REPOSITORY .* not {shown}$") as refused:
        Settings.from_environment({"EVENKEEL_REPOSITORY": place})
    assert "secret" not in str(refused.value)


def test_a_kubernetes_service_link_is_explained() -> None:
    """A service that is called evenkeel gives every pod beside it an EVENKEEL_PORT of its own."""
    with pytest.raises(
        InvalidSetting, match=r"^EVENKEEL_PORT is 'tcp://10.0.0.1:80', as Kubernetes .* enableServiceLinks"
    ):
        Settings.from_environment({"EVENKEEL_PORT": "tcp://10.0.0.1:80"})


def test_a_variable_that_nothing_reads_is_named() -> None:
    """With the one that may be meant; those of other programs of ours and of Kubernetes are none of them."""
    links = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_80_TCP", "PORT_80_TCP_ADDR", "API_SERVICE_HOST")
    quiet = {variable(name) for name in (*Settings.model_fields, *links, *ELSEWHERE)} | {"PATH", "evenkeel_worker"}
    assert unknown_variables(dict.fromkeys(quiet, "1")) == []

    assert unknown_variables(dict.fromkeys(("EVENKEEL_WORKER", "EVENKEEL_MAX_BODY", "EVENKEEL_ZZZ"), "1")) == [
        "EVENKEEL_MAX_BODY is set, and nothing reads it; EVENKEEL_MAX_BODY_BYTES may be meant",
        "EVENKEEL_WORKER is set, and nothing reads it; EVENKEEL_WORKERS may be meant",
        "EVENKEEL_ZZZ is set, and nothing reads it; evenkeel serve --help lists the settings",
    ]


def test_every_variable_of_ours_is_known() -> None:
    """Whatever program, page or file of the repository speaks of it."""
    files = [
        path
        for folder in ("models", "trainer", "service", "docs", "benchmarks", "scripts")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md", ".sh", "") and path.is_file()
    ]
    files += [path for name in ("docker-compose.yml", "Dockerfile", "README.md") if (path := ROOT / name).exists()]
    found = {name for path in files for name in re.findall(r"EVENKEEL_[A-Z_]*[A-Z]\b", path.read_text())}

    assert len(found) > 20
    assert unknown_variables(dict.fromkeys(found, "1")) == []


def test_a_misspelt_variable_is_told_at_the_start(tmp_path: Path) -> None:
    """In the log of the service, which starts all the same."""
    port = find_free_port()
    with (tmp_path / "log").open("wb") as stderr, running(PUBLISHED, port, stderr, EVENKEEL_ACESS_LOG="1") as service:
        service.wait()

    warnings = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if '"warning"' in line]
    assert any("EVENKEEL_ACCESS_LOG may be meant" in one["event"] for one in warnings)


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


def test_object_storage_is_served_from_a_copy(tmp_path: Path) -> None:
    """Each URL has a folder of its own, in the one that is named or in the temporary one."""
    named = Settings.from_environment({"EVENKEEL_REPOSITORY": "s3://b/m", "EVENKEEL_CACHE": str(tmp_path)})
    other = Settings.from_environment({"EVENKEEL_REPOSITORY": "s3://b/n", "EVENKEEL_CACHE": str(tmp_path)})

    assert (named.url, named.root.parent, other.root.parent) == ("s3://b/m", tmp_path, tmp_path)
    assert named.root != other.root
    assert Settings.from_environment({"EVENKEEL_REPOSITORY": "gs://b/m"}).root.parent.parent == Path(gettempdir())
    assert Settings().url is None
