"""The command `evenkeel` in processes of its own, as somebody types it."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from evenkeel.command_line import main, overview
from models.__main__ import _command_line as parser_of_models
from models.repository import ModelRepository
from models.terminal import CommandLine
from service.__main__ import _parser as parser_of_service
from tests.conftest import ROOT, find_free_port
from tests.end_to_end.conftest import Service
from tests.service.conftest import PUBLISHED
from trainer.command_line import _parser as parser_of_trainer

# As scripts/environment puts it there; of this very checkout, whoever else shares its libraries.
EVENKEEL = Path(sys.executable).parent / "evenkeel"
PATIENCE_S = 30.0
COMMANDS = (
    "inspect",
    "fit",
    "search",
    "lr-find",
    "babysit",
    "evaluate",
    "explain",
    "compare",
    "drift",
    "performance",
    "serve",
    "predict",
    "page",
    "replay",
    "forget",
    "models",
)


def evenkeel(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [EVENKEEL, *arguments],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "80"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_command_is_listed_and_says_what_it_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the line that the list has, two examples at least, and 80 columns."""
    listed = evenkeel("--help").stdout
    monkeypatch.setenv("COLUMNS", "80")

    for command in COMMANDS:
        with suppress(SystemExit):
            main([command, "--help"])
        said = capsys.readouterr().out
        assert re.search(rf"^  {command} ", listed, re.MULTILINE), command
        examples = re.findall(rf"^  evenkeel {command}(?: .*)?$", said, re.MULTILINE)
        assert len(examples) >= 2, said
        assert said.startswith(f"usage: evenkeel {command}")
        assert max(map(len, said.splitlines())) <= 80
    assert max(map(len, listed.splitlines())) <= 80
    assert evenkeel().stdout == listed


@pytest.mark.parametrize(("absent", "kept", "lost"), [("service", "fit", "serve"), ("trainer", "serve", "fit")])
def test_one_side_alone_has_its_own_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], absent: str, kept: str, lost: str
) -> None:
    """As in a container image, which holds no code of the other; nor is there what needs both."""
    monkeypatch.setitem(sys.modules, absent, None)
    listed = overview()

    assert re.search(rf"^  {kept} ", listed, re.MULTILINE)
    assert not re.search(rf"\b({lost}|predict|evaluate|compare) ", listed)
    assert main([lost]) == 64
    assert capsys.readouterr().err.startswith(f"evenkeel: there is no command '{lost}', for the {absent} is not inst")
    assert main(["predict"]) == 64


@pytest.mark.parametrize(
    "parser", [parser_of_trainer("evenkeel"), parser_of_service("evenkeel"), parser_of_models("evenkeel models")]
)
def test_every_example_of_the_help_is_a_command_line(parser: CommandLine) -> None:
    """That the parser takes."""
    text = parser.format_help() + "".join(
        command.format_help()
        for action in parser._actions
        if isinstance(action.choices, dict)
        for command in action.choices.values()
    )
    examples = re.findall(rf"^  {parser.prog}\b(.*)$", text.replace("\\\n", ""), re.MULTILINE)

    assert len(examples) > 1
    for example in examples:
        parser.parse_args(shlex.split(example))


def test_the_help_of_fit_is_in_groups() -> None:
    """Table, split, network, training, publishing: each flag stands in the group that somebody looks for it in."""
    said = evenkeel("fit", "--help").stdout
    groups = dict(re.findall(r"^(table|split|network|training|publishing|output):\n((?:  .*\n)+)", said, re.MULTILINE))

    for group, flags in {
        "table": ("--target", "--schema", "--drop"),
        "split": ("--time", "--test", "--seed"),
        "network": ("--hidden", "--batch-norm"),
        "training": ("--learning-rate", "--epochs"),
        "publishing": ("--name", "--promote", "--once"),
        "output": ("--quiet", "--verbose"),
    }.items():
        for flag in flags:
            assert re.search(rf"^  {flag}\b", groups[group], re.MULTILINE), (group, flag)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "x.csv"], "evenkeel fit: the following arguments are required: --target, --name"),
        (["fti"], "evenkeel: there is no command 'fti'; 'evenkeel fit' may be meant"),
        (["serve", "--port", "http"], "evenkeel: --port should be a valid integer"),
        (["serve", "--port", ""], "evenkeel: --port should be a valid integer"),
        (
            ["models", "promote", "penguins"],
            "evenkeel models promote: one of the arguments version --newest is required",
        ),
        (["evaluate", "penguins"], "evenkeel evaluate: the following arguments are required: table"),
        (
            ["fit", "x.csv", "--target", "y", "--name", "x", "--bogus"],
            "evenkeel fit: unrecognized arguments: --bogus; evenkeel fit --help shows",
        ),
        (
            ["fit", "x.csv", "--target", "y", "--name", "x", "--hiden", "3"],
            "evenkeel fit: unrecognized arguments: --hiden 3; --hidden may be meant; evenkeel fit --help shows",
        ),
        (
            ["models", "canary", "penguins", "2", "--shares=5%"],
            "evenkeel models canary: unrecognized arguments: --shares=5%; --share may be meant; evenkeel models canary",
        ),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], sentence: str) -> None:
    """And exit code 64."""
    ended = evenkeel(*arguments)

    assert ended.returncode == 64
    assert ended.stderr.startswith(sentence)
    assert ended.stderr.count("\n") == 1


@pytest.mark.thorough
def test_a_modules_of_somebody_else_stay_out_of_the_way(tmp_path: Path, penguins: Path) -> None:
    """Files that are called as ours are, in the working folder: `evenkeel` never runs them, nor do the programs."""
    for name in ("models", "service", "trainer", "evenkeel", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('somebody else')")
    store = ["--repository", str(tmp_path / "store")]
    quick = ["--target", "species", "--name", "penguins", "--epochs", "2", "--members", "1"]

    assert evenkeel("fit", str(penguins), *quick, *store, cwd=tmp_path).returncode == 0
    assert "penguins  1 " in evenkeel("models", "list", *store, cwd=tmp_path).stdout
    assert "macro F1" in evenkeel("evaluate", "penguins", str(penguins), *store, cwd=tmp_path).stdout


@pytest.mark.parametrize("module", ["trainer", "service", "evenkeel"])
def test_a_program_takes_its_own_models(tmp_path: Path, module: str) -> None:
    """`python -m` looks into the working folder first, where a models.py of somebody else may lie."""
    (tmp_path / "models.py").write_text("raise SystemExit('somebody else')")
    command = [sys.executable, "-m", module, "--help"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "usage: " in ended.stdout


def test_the_launcher_may_be_linked_to(tmp_path: Path) -> None:
    """From a folder that is on the path."""
    (tmp_path / "evenkeel").symlink_to(EVENKEEL)

    assert subprocess.run([tmp_path / "evenkeel", "--version"], check=True, capture_output=True).stdout.startswith(b"e")


@pytest.mark.parametrize(("command", "extra"), [("inspect", "trainer"), ("evaluate", "trainer"), ("serve", "service")])
def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, command: str, extra: str) -> None:
    """In a sentence, where neither side's libraries are installed; what needs none works."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('numpy', 'pyarrow', 'flask'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    arguments = {"inspect": ["t.csv", "--target", "y"], "evaluate": ["m", "t.csv"], "serve": []}[command]
    ended = evenkeel(command, *arguments, PYTHONPATH=str(tmp_path))

    assert ended.returncode == 64
    installs = re.escape(f"{sys.executable} -m pip install --editable '{ROOT}[{extra}]'\n")
    assert re.fullmatch(
        rf"[\w ]+: needs (numpy|pyarrow|flask): install evenkeel with the extra `{extra}`: {installs}", ended.stderr
    )
    assert "evaluate" in evenkeel("--help", PYTHONPATH=str(tmp_path)).stdout
    assert evenkeel("models", "list", PYTHONPATH=str(tmp_path)).returncode == 0


def test_a_flag_of_serve_goes_before_its_variable(tmp_path: Path) -> None:
    """Port, repository and model by flags; the environment says otherwise."""
    port = find_free_port()
    elsewhere = {"EVENKEEL_PORT": "1", "EVENKEEL_REPOSITORY": str(tmp_path), "EVENKEEL_DEFAULT_MODEL": "none"}
    flags = ["--port", str(port), "--repository", str(PUBLISHED), "--model", "penguins", "--workers", "1"]
    with serving(*flags, "--no-tracing", **elsewhere) as (service, _):
        service.wait()
        assert service.ask("/v1/models/penguins")[1]["name"] == "penguins"


def test_an_event_is_told_once_and_not_by_each_worker(tmp_path: Path) -> None:
    """In JSON, where stderr is no terminal: a line a version that is loaded and served, one more when it is again."""
    repository = ModelRepository(tmp_path / "store")
    copy = subprocess.run(["cp", "-r", PUBLISHED, repository.root], check=True)
    assert copy.returncode == 0
    subprocess.run(["cp", "-r", repository.root / "penguins/1", repository.root / "penguins/2"], check=True)
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        serving("--workers", "3", "--repository", str(repository.root), stderr=stderr) as (
            service,
            _,
        ),
    ):
        service.wait()
        wait_until(lambda: serving_lines(log) == [2])
        for number, version in enumerate((1, 2, 1), 2):
            assert evenkeel("models", "promote", "penguins", str(version), EVENKEEL_REPOSITORY=str(repository.root))
            wait_until(lambda number=number: len(serving_lines(log)) == number)  # type: ignore[misc]
            time.sleep(0.7)  # So that each worker has seen it.
    assert serving_lines(log) == [2, 1, 2, 1]
    loaded = [event["version"] for event in events(log) if event["event"] == "model loaded"]
    assert len(loaded) == 2
    assert set(loaded) == {1, 2}


def test_a_terminal_gets_lines_for_people() -> None:
    """The time of day, what happened, and the address to click on; no JSON."""
    controller, terminal = pty.openpty()
    with (
        os.fdopen(terminal, "wb") as stderr,
        serving("--repository", str(PUBLISHED), "--workers", "2", stderr=stderr) as (service, port),
    ):
        service.wait()
    shown = os.read(controller, 65536).decode()
    os.close(controller)

    lines = shown.splitlines()
    assert re.search(rf"^\d\d:\d\d:\d\d  serving: address http://127.0.0.1:{port}/, workers 2", shown, re.MULTILINE)
    assert len([line for line in lines if "model served: model penguins, serving 1" in line]) == 1
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in lines)
    assert "{" not in shown


@contextmanager
def serving(*flags: str, stderr: object = None, **environment: str) -> Iterator[tuple[Service, int]]:
    """A running `evenkeel serve`."""
    given = dict(pairwise(flags))
    port = int(given.get("--port", find_free_port()))
    command = [str(EVENKEEL), "serve", *flags, *([] if "--port" in flags else ["--port", str(port)])]
    variables = os.environ | {"EVENKEEL_DRAIN_SECONDS": "0"} | environment
    with subprocess.Popen(command, cwd=ROOT, env=variables, stderr=stderr) as process:  # type: ignore[call-overload]
        try:
            yield Service(f"http://127.0.0.1:{port}", process), port
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0


def events(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def serving_lines(log: Path) -> list[object]:
    """The versions that were told to serve, in their order."""
    return [event["serving"] for event in events(log) if event["event"] == "model served"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
