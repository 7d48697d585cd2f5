"""What other makers' tools say of the service's description, and the clients that they make of it."""

import shutil
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

HERE = Path(__file__).parent
JAR = "import openapi_generator_cli; print(openapi_generator_cli.__path__[0])"

pytestmark = [pytest.mark.clients, pytest.mark.thorough]


def run(*command: str | Path, folder: Path) -> str:
    """What a tool prints; it must end well."""
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


@pytest.fixture(scope="module")
def description(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """openapi.json of a running service."""
    path = tmp_path_factory.mktemp("description") / "openapi.json"
    with urlopen(f"{url}/openapi.json", timeout=10) as response:
        path.write_bytes(response.read())
    return path


@pytest.fixture(scope="module")
def tools(pytestconfig: pytest.Config) -> Path:
    """The tools of `package.json`, which npm keeps in the tests' cache."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    wanted = (HERE / "package.json").read_text()
    folder = pytestconfig.cache.mkdir("generators")
    package = folder / "package.json"
    if not (package.exists() and package.read_text() == wanted and (folder / "complete").exists()):
        (folder / "complete").unlink(missing_ok=True)
        package.write_text(wanted)
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", folder=folder)
        (folder / "complete").touch()
    return folder / "node_modules/.bin"


def test_openapi_python_client_makes_a_client_that_predicts(
    python: Path, url: str, description: Path, tmp_path: Path
) -> None:
    """Without a warning; every type of it that a prediction needs is used against a running service."""
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []\n")
    command: list[str | Path] = [python.parent / "openapi-python-client", "generate", "--path", description]
    command += ["--config", config, "--output-path", tmp_path / "made", "--fail-on-warning"]
    told = run(*command, folder=tmp_path)

    assert "warning" not in told.lower()
    script = shutil.copy(HERE / "with_generated_client.py", tmp_path / "made")
    run(python, "-W", "error", script, url, folder=tmp_path)


def test_datamodel_code_generator_makes_one_file(python: Path, url: str, description: Path, tmp_path: Path) -> None:
    """No names with dots, of which it would make modules."""
    command: list[str | Path] = [python.parent / "datamodel-codegen", "--input", description]
    command += ["--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel"]
    run(*command, "--formatters", "builtin", "--output", tmp_path / "generated.py", folder=tmp_path)

    script = shutil.copy(HERE / "with_generated_models.py", tmp_path)
    run(python, script, url, folder=tmp_path)


def test_openapi_generator_finds_nothing(python: Path, description: Path) -> None:
    """Neither an error nor something that it would recommend."""
    if not shutil.which("java"):
        pytest.skip("openapi-generator needs java")
    folder = run(python, "-c", JAR, folder=description.parent).strip()
    jar = f"{folder}/openapi-generator.jar"
    told = run("java", "-jar", jar, "validate", "--recommend", "-i", description, folder=description.parent)

    assert "No validation issues detected" in told
    assert "warn" not in told.lower()


def test_redocly_finds_nothing(tools: Path, description: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its recommended rules, warnings included."""
    monkeypatch.setenv("REDOCLY_TELEMETRY", "off")
    monkeypatch.setenv("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
    told = run(tools / "redocly", "lint", description, "--extends", "recommended", folder=description.parent)

    assert "Your API description is valid" in told
    assert "rule." not in told


def test_openapi_typescript_makes_types(tools: Path, description: Path, tmp_path: Path) -> None:
    """The compiler takes them, and knows the classes of a model and refuses what it is not asked."""
    run(tools / "openapi-typescript", description, "--output", tmp_path / "api.d.ts", folder=tmp_path)
    (tmp_path / "use.ts").write_text(
        """import type { components, paths } from "./api";
type Schemas = components["schemas"];
const label: Schemas["PenguinsLabel"] = "Gentoo";
const record: Schemas["Penguins"] = {
  island: "Biscoe", bill_length_mm: 45.1, bill_depth_mm: null, flipper_length_mm: 215, body_mass_g: 5000,
  sex: null, year: 2007,
};
type Path = paths["/v1/models/penguins/versions/{version}:predict"]["post"]["parameters"]["path"];
const where: Path = { version: 1 };
// @ts-expect-error: no class of the model
const other: Schemas["PenguinsLabel"] = "Emperor";
export { label, other, record, where };
"""
    )
    run(tools / "tsc", "--noEmit", "--strict", "--skipLibCheck", "false", "use.ts", folder=tmp_path)
