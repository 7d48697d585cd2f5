"""What to type where a library is not installed that an extra of evenkeel brings."""

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def way_to(*extras: str) -> str:
    """The end of a sentence that says how to get these extras: in the environment of a checkout the command itself."""
    named = " and ".join(f"`{extra}`" for extra in extras)
    wanted = f"install evenkeel with the extra{'s' if len(extras) > 1 else ''} {named}"
    if sys.prefix == sys.base_prefix or not (ROOT / "pyproject.toml").is_file():
        return f"{wanted}, as docs/install.md says"
    here = shlex.quote(f"{ROOT}[{','.join(extras)}]")
    return f"{wanted}: {shlex.quote(sys.executable)} -m pip install --editable {here}"
