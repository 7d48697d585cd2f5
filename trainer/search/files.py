"""Files that others read while they are written."""

import uuid
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Write a file that others see as it was or as it is, never half."""
    staging = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        staging.write_text(text, encoding="utf-8")
        staging.replace(path)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise
