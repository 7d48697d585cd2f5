"""The prediction log, as the settings ask for it: what is checked before any worker starts."""

import tempfile
from pathlib import Path

from service.errors import InvalidSetting
from service.settings import Settings, variable
from service.telemetry.journal import LogRules
from service.telemetry.lines import Privacy
from service.telemetry.log_files import FOLDER_MODE

LEAST_KEY_BYTES = 16
DAY = 86_400.0


def log_rules(settings: Settings) -> LogRules | None:
    """Where the prediction log goes and what it holds; None where it is off.

    :raises InvalidSetting: the key of the hashes is missing, or cannot be read; the sentence names the variable.
    """
    folder, days = settings.prediction_log, settings.prediction_log_days
    if folder is None:
        return None
    return LogRules(
        folder,
        settings.prediction_log_megabytes << 20,
        3600 * settings.prediction_log_hours,
        None if days is None else DAY * days,
        settings.prediction_log_share,
        Privacy(settings.dropped_features, settings.hashed_features, _key(settings)),
    )


def check_log(rules: LogRules) -> None:
    """Make the folder of the log, and a file in it, which is removed again.

    :raises InvalidSetting: the system refuses that; the sentence names the variable.
    """
    folder = rules.folder
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\n")
            file.flush()
    except OSError as error:
        raise InvalidSetting(
            f"{variable('prediction_log')} names {folder}, in which no file can be written: "
            f"{error.strerror or type(error).__name__}"
        ) from None


def _key(settings: Settings) -> bytes:
    """The key of the hashes, without the blanks around it."""
    if not settings.hashed_features:
        return b""
    name, file = variable("prediction_log_key_file"), settings.prediction_log_key_file
    if file is None:
        raise InvalidSetting(
            f"{variable('prediction_log_hash')} needs a key: let {name} name a file of at least {LEAST_KEY_BYTES} "
            "random bytes, as `openssl rand -hex 32` gives them"
        )
    key = _read(name, file).strip()
    if len(key) < LEAST_KEY_BYTES:
        raise InvalidSetting(f"{name} names a key of {len(key)} bytes; it takes {LEAST_KEY_BYTES}")
    return key


def _read(name: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidSetting(f"{name} names a file that cannot be read: {error.strerror or file}") from None
