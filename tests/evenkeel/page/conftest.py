"""The page's modules in node: the same files that a browser loads."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import ROOT

STATIC = ROOT / "service/static"
# Numbers pass as bytes: JSON has no NaN, and no 32-bit floats.
PRELUDE = """
import { readFileSync, writeFileSync } from "node:fs";
const given = JSON.parse(readFileSync(0, "utf8"));
const bytesOf = (text) => Uint8Array.from(Buffer.from(text, "base64"));
"""
EPILOGUE = "writeFileSync(1, JSON.stringify(answer));"

Javascript = Callable[..., Any]


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Javascript:
    """Run a module in node that finds `given` and leaves `answer`; it imports the page's modules from "./NAME.js"."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    folder = tmp_path_factory.mktemp("modules")
    for module in STATIC.glob("*.js"):
        shutil.copy(module, folder)
    (folder / "package.json").write_text('{"type": "module"}')

    def run(code: str, **given: Any) -> Any:
        (folder / "test.js").write_text(PRELUDE + code + EPILOGUE)
        done = subprocess.run(
            [node, "test.js"], cwd=folder, input=json.dumps(given), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
