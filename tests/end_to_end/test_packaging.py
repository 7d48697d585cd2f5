import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from models import __version__
from tests.end_to_end.conftest import ROOT

pytestmark = pytest.mark.packaging

# What needs more than a side's own libraries.
IGNORED = ["--ignore=tests/trainer/extras", "--ignore=tests/trainer/peers", "--ignore=tests/trainer/search"]
IGNORED_OF_SERVICE = ["--ignore=tests/service/extras"]
# What kills, trains or swaps again and again, by no library that the other tests do without; for the long form.
LENGTHY = (
    "tests/models/test_repository.py",
    "tests/service/registry/test_loading.py",
    "tests/service/registry/test_loading_order.py",
    "tests/service/registry/test_trials.py",
    "tests/service/processes/test_supervisor.py",
    "tests/trainer/test_interruptions.py",
    "tests/trainer/test_odd_tables.py",
)
# Of each side: the tests it must pass alone, and the libraries it must do without.
SIDES = {
    "trainer": (
        ["tests/models", "tests/trainer", *IGNORED],
        ["flask", "numba", "onnxruntime", "optuna", "orjson", "psycopg", "simdjson", "sklearn"],
    ),
    "service": (["tests/models", "tests/service", *IGNORED_OF_SERVICE], ["onnx", "opentelemetry", "pyarrow", "rich"]),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    """Python, type markers, templates and static files; no test, no table, no published model."""
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]

    assert wheel.name == f"evenkeel-{__version__}-py3-none-any.whl"
    assert {name.partition("/")[0] for name in names} == {"evenkeel", "models", "service", "trainer"}
    for name in names:
        assert name.endswith(".py") or re.fullmatch(
            r"(evenkeel|models|service|trainer)/py\.typed|service/(templates/\w+\.html|static/\w+\.(css|js|svg))", name
        ), name
    for part in ("service/templates/page.html", "service/static/page.js", "models/py.typed"):
        assert part in names


@pytest.mark.thorough
@pytest.mark.parametrize("side", SIDES)
def test_each_side_lives_alone(side: str, wheel: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Installed from its own lock with the built wheel, each side passes its tests without the other's libraries."""
    folders, absent = SIDES[side]
    python = tmp_path / "venv/bin/python"
    locks = [f"--requirements={ROOT}/requirements/{lock}.txt" for lock in (side, "test")]
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, tmp_path / "venv"], check=True)
    subprocess.run([*uv, "pip", "install", "--python", python, "--require-hashes", *locks], check=True)
    subprocess.run([*uv, "pip", "install", "--python", python, "--no-deps", wheel], check=True)
    for library in absent:
        missing = subprocess.run([python, "-c", f"import {library}"], capture_output=True, check=False)
        assert missing.returncode != 0, f"{library} is installed"
    check_command(side, tmp_path / "venv/bin/evenkeel", tmp_path)
    checkout = tmp_path / "checkout"
    for part in ("tests", "examples", "docs"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    left_out = [] if pytestconfig.getoption("--long") else [f"--ignore={path}" for path in LENGTHY]
    run = subprocess.run(
        [python, "-m", "pytest", "-q", "-rs", *folders, *left_out],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-4000:]
    # The real tables lie beside the project, and workbooks are an extra's.
    skipped = [line for line in run.stdout.splitlines() if line.startswith("SKIPPED")]
    assert [line for line in skipped if not re.search("no tables|python_calamine", line)] == []


def check_command(side: str, evenkeel: Path, folder: Path) -> None:
    """The command lists everything, and one whose libraries are not installed says which extra brings them."""
    (folder / "models.py").write_text("raise SystemExit('somebody else')")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([evenkeel, *arguments], cwd=folder, capture_output=True, text=True, check=False)

    assert all(word in run("--help").stdout for word in ("fit", "serve", "evaluate", "models"))
    assert run("models", "list").returncode == 0
    there, absent = (("inspect", "serve"), ("serve", "inspect"))[side == "service"]
    other = "trainer" if side == "service" else "service"
    assert run(there, "--help").returncode == 0
    refused = run(absent, *(["t.csv", "--target", "y"] if absent == "inspect" else []))
    assert refused.returncode == 64, refused.stderr
    assert re.fullmatch(
        rf"evenkeel\S*( \w+)?: needs \w+: install evenkeel with the extra `{other}`, as docs/install.md says\n",
        refused.stderr,
    )


@pytest.mark.thorough
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_the_ways_of_the_docs_give_a_command(tool: str, wheel: Path, tmp_path: Path) -> None:
    """A wheel with extras, as docs/install.md has it: the command trains and looks."""
    wanted = f"{wheel}[trainer,service]"
    environment = os.environ | {"UV_TOOL_DIR": f"{tmp_path}/tools", "UV_TOOL_BIN_DIR": f"{tmp_path}/venv/bin"}
    if tool == "pip":
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
        subprocess.run([tmp_path / "venv/bin/pip", "install", "--quiet", wanted], check=True)
    else:
        install = [sys.executable, "-m", "uv", "--quiet", "tool", "install", "--python", sys.executable, wanted]
        subprocess.run(install, env=environment, check=True)
    evenkeel = tmp_path / "venv/bin/evenkeel"
    fit = ["fit", str(ROOT / "examples/penguins.csv"), "--target", "species", "--name", "penguins", "--epochs", "2"]
    subprocess.run([evenkeel, *fit], cwd=tmp_path, check=True, capture_output=True)
    listed = subprocess.run([evenkeel, "models", "list"], cwd=tmp_path, check=True, capture_output=True, text=True)

    assert "penguins" in listed.stdout


def test_locks_hold_names_versions_and_hashes_only() -> None:
    """Every line of a lock can be checked, and none says where to download."""
    requirement = re.compile(r"[a-z0-9-]+==[\w.]+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")

    for lock in (ROOT / "requirements").glob("*.txt"):
        for line in lock.read_text().splitlines():
            assert requirement.fullmatch(line), f"{lock.name}: {line}"
