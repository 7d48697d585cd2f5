import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.errors import REFUSALS
from tests.conftest import find_free_port
from tests.end_to_end.conftest import ROOT, Service, running
from trainer.data import wording
from trainer.settings.config import TrainingConfig

# What these train, serve and draw takes longer than that of all others.
LENGTHY = ("backup.md", "explaining.md", "lifecycle.md", "report.md", "search.md", "training.md")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Run elsewhere: the demo below, the tests by whoever runs this, containers by tests/containers, pip and uv by
# test_packaging, audit and platforms by test_supply; what kubectl can do without a cluster, by test_kubernetes.
SCRIPTS = ("scripts/demo", "scripts/test", "scripts/check", "scripts/upgrade", "scripts/audit", "scripts/platforms")
ELSEWHERE = (*SCRIPTS, "docker ", "set -a; . ./.env", "kubectl ", "pip ", "pipx ", "uv ")
# By the language of a block: the program that runs it, and the file that it is then in. A block whose program is not
# installed is passed over, with what it prints: Debian's Go and JDK are large.
PROGRAMS = {
    "python": ("python", "block.py"),
    "js": ("node", "block.mjs"),
    "java": ("java", "block.java"),
    "go": ("go run", "block.go"),
}
ADDRESS = "http://127.0.0.1:8080"
LOG = "/var/lib/predictions"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path) -> list[tuple[str, str]]:
    return [(language, text.strip()) for language, text in BLOCK.findall(document.read_text())]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service for every `curl`, on a repository that the documented commands fill."""
    log = str(tmp_path_factory.mktemp("log"))
    with running(tmp_path_factory.mktemp("store"), find_free_port(), EVENKEEL_PREDICTION_LOG=log) as service:
        yield service


def execute(command: str, service: Service, repository: Path) -> str:
    """Run a documented command as its reader would, against this repository and this service."""
    environment = os.environ | {
        "EVENKEEL_REPOSITORY": str(repository),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = command.replace(ADDRESS, service.url).replace("/backup/", f"{repository}-backup/")
    command = command.replace(LOG, environment_of(service)["EVENKEEL_PREDICTION_LOG"])
    process = subprocess.run(
        ["bash", "-ec", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, f"{command}\n{process.stderr}"
    return process.stdout


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(path, marks=[pytest.mark.thorough] if path.name in LENGTHY else [], id=path.name)
        for path in DOCUMENTS
    ],
)
def test_every_command_does_what_is_written(document: Path, service: Service, tmp_path: Path) -> None:
    """Each runs; each answer that is shown has the shape, the labels and the words of the real one."""
    repository = Path(environment_of(service)["EVENKEEL_REPOSITORY"])
    if document.name != "README.md" and not (repository / "penguins").exists():
        execute("evenkeel fit examples/penguins.csv --target species --name penguins", service, repository)
        service.wait()
    output: str | None = ""
    for language, text in blocks(document):
        if text == "evenkeel serve":
            service.wait()
        elif language == "sh" and not text.startswith(ELSEWHERE):
            output = execute(text, service, repository)
        elif language in PROGRAMS:
            program, file = PROGRAMS[language]
            (tmp_path / file).write_text(text.replace(ADDRESS, service.url))
            there = language == "python" or shutil.which(program.split()[0])
            output = execute(f"{program} {tmp_path / file}", service, repository) if there else None
        elif language == "json" and output is not None:
            assert shape(json.loads(text)) == shape(json.loads(output))
        elif language == "text" and output is not None:
            shown, printed = words(text), words(output)
            assert shown == (printed[: len(shown)] if text.endswith("\n…") else printed)


def environment_of(service: Service) -> dict[str, str]:
    pairs = Path(f"/proc/{service.process.pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def shape(value: Any) -> Any:
    """A JSON value with every number blanked out: they differ with the processor and the version."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return value if isinstance(value, str) and not value.isdigit() else type(value) in (int, float) or "number"


def words(text: str) -> list[str]:
    """The words of a terminal's output, without its numbers and its paths."""
    return re.findall(r"\b[a-zA-Z]+\b", re.sub(r"--repository \S+|\S*(/|EVENKEEL)\S*|\S*\d\S*", "", text))


def test_every_refusal_is_documented() -> None:
    """docs/http.md lists each status with its code word."""
    table = (ROOT / "docs/http.md").read_text()

    for refusal in REFUSALS.values():
        assert re.search(rf"^\| {refusal.status} \|.*`{refusal.code}`", table, re.MULTILINE), refusal


def test_every_hyperparameter_is_documented() -> None:
    """docs/training.md lists each with its default, its range and its explanation."""
    table = (ROOT / "docs/training.md").read_text()

    for setting, field in TrainingConfig.model_fields.items():
        if field.description:
            shown_as = {"hidden": "128,128", "compiled": "true", "atoms": "true", "selection": "true", "distil": "true"}
            default = shown_as.get(setting, field.default)
            shown = "" if default is None else f" `{default}`"
            row = rf"^\| `--{setting.replace('_', '-')}` \|{shown} \| .+ \| {re.escape(field.description)} \|$"
            assert re.search(row, table, re.MULTILINE), setting


def test_every_note_and_refusal_of_the_reader_is_documented() -> None:
    """docs/my-file.md lists each as it is said, with what to type."""
    page = (ROOT / "docs/my-file.md").read_text()

    for note in wording.NOTES.values():
        assert f"| {note.rule} | {note.remedy} |" in page
    for sentence in wording.REFUSALS.values():
        assert f"- {re.sub('{[^}]*}', '…', sentence)}\n" in page


def test_every_extra_is_documented() -> None:
    """docs/install.md lists each, and no other."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    page = (ROOT / "docs/install.md").read_text()

    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(extras)


def test_every_link_leads_somewhere() -> None:
    """Within the repository, that is."""
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_tutorials_table_is_what_its_script_makes() -> None:
    """Byte for byte, so that nothing in it is anybody's."""
    made = subprocess.run([sys.executable, ROOT / "examples/kunden.py"], capture_output=True, check=True).stdout

    assert made == (ROOT / "examples/kunden.csv").read_bytes()


def test_the_demo_goes_from_nothing_to_an_answer(tmp_path: Path, free_port: int) -> None:
    """It prints a curl, the page's address and what makes `evenkeel` a command, and each works as printed."""
    environment = os.environ | {"EVENKEEL_REPOSITORY": str(tmp_path), "EVENKEEL_PORT": str(free_port)}
    with subprocess.Popen([ROOT / "scripts/demo"], env=environment, stdout=subprocess.PIPE, bufsize=0) as demo:
        try:
            printed = read_until(demo, "bin/activate")
            service = Service(f"http://127.0.0.1:{free_port}", demo)
            service.wait()
            command = printed[printed.index("curl") : printed.index("Or see it")]
            answer = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, check=True).stdout

            assert json.loads(answer)["prediction"]["label"] == "Gentoo"
            assert f"Or see it: {service.url}/" in printed
            opened = "\n".join(line for line in printed[printed.index("    cd ") :].splitlines())
            shell = ["bash", "--noprofile", "-ec", f"{opened}\nevenkeel --version\ncommand -v evenkeel"]
            bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
            version, command = subprocess.run(shell, env=bare, capture_output=True, text=True, check=True).stdout.split(
                "\n"
            )[:2]
            assert version.startswith("evenkeel ")
            assert Path(command).samefile(ROOT / ".venv/bin/evenkeel")
        finally:
            demo.send_signal(signal.SIGINT)
        assert demo.wait(20) == 0


def read_until(process: subprocess.Popen[bytes], words: str) -> str:
    assert process.stdout is not None
    printed = ""
    while words not in printed:
        line = process.stdout.readline()
        assert line, f"it ended early:\n{printed}"
        printed += line.decode()
    return printed
