"""`predict TABLE`: a file scored by a published model, with a service or without one, a block of rows at a time."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from evenkeel.client.connection import Connection
from evenkeel.client.remote import RemoteModel
from evenkeel.scoring.local import API_KEY, address_from_settings, api_key, local_model
from evenkeel.scoring.run import Model, Run
from evenkeel.tables.written import check_output
from models.repository import ModelRepository
from models.terminal import add_command, noting, version_number
from trainer.data.schema import file_schema


def add_predict(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `predict`."""
    predict = add_command(
        commands,
        "predict",
        predict_table,
        "score a file of rows with a published model",
        examples=(
            "rows.csv --model penguins -o scored.csv",
            "rows.parquet --url http://127.0.0.1:8080 -o scored.parquet",
        ),
        epilog="Memory does not grow with the file; only a workbook is read whole, of 256 MB packed at most. Exit "
        "codes: 0 done, 64 usage, 65 unfit table or model, 66 no table, 74 cannot write or reach the service, 75 the "
        "table was changing, 80 some rows have no answer (with --on-error null), 130 interrupted.",
    )
    predict.add_argument(
        "table",
        type=_table,
        help="CSV, Parquet or a workbook, plain or compressed, as fit reads it; - is standard input; other columns "
        "stay",
    )
    predict.add_argument("--model", metavar="NAME", help="name of the model (default: the only one)")
    predict.add_argument("--version", type=version_number, metavar="N", help="version (default: the serving version)")
    predict.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="output file: .csv, .csv.gz or .parquet (default: CSV on standard output)",
    )
    predict.add_argument(
        "--on-error",
        choices=("stop", "null"),
        default="stop",
        help="at an invalid row: stop, or leave its answer empty and write the reason into the column warnings "
        "(default: stop)",
    )
    service = predict.add_argument_group("through a service")
    service.add_argument(
        "--url",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="address of the service (without ADDRESS: EVENKEEL_HOST and EVENKEEL_PORT)",
    )
    service.add_argument("--key-file", type=Path, metavar="FILE", help=f"file with the API key (default: ${API_KEY})")
    service.add_argument(
        "--patience",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="time to wait for a service that is down, silent or overloaded (default: 60)",
    )
    reading = predict.add_argument_group("how the table is read, where it is not as the training table was")
    reading.add_argument("--delimiter", metavar="CHARACTER", help="field delimiter: , ; tab or | (default: detected)")
    reading.add_argument(
        "--encoding", metavar="NAME", help="text encoding, such as utf-8 or windows-1252 (default: detected)"
    )
    reading.add_argument("--sheet", metavar="NAME", help="sheet of a workbook (default: the first)")
    reading.add_argument("--keep-total", action="store_true", default=None, help="keep a last row named 'Total'")


def _table(given: str) -> Path:
    return Path("/dev/stdin" if given == "-" else given)


def predict_table(repository: ModelRepository, options: argparse.Namespace) -> None:
    """Score a table and write it with its answers.

    :raises InvalidSetting: what is asked for cannot be.
    :raises TrainerError: the table cannot be read as the training table was, or a row cannot be answered.
    :raises ModelError: there is no such model, or it is not intact.
    :raises RefusedByService: the service refuses.
    :raises Unreachable: it does not answer.
    :raises Unanswered: some rows have no answer; the others are written.
    """
    check_output(options.output, options.table)
    flags = (options.delimiter, options.encoding, None, options.sheet)
    given = file_schema(*flags, keep_total=bool(options.keep_total))
    nothing = noting("nothing was written", Exception, KeyboardInterrupt) if options.output else nullcontext()
    with _ended_by_sigterm(), nothing, _asked(repository, options) as model:
        run = Run(model, keep_going=options.on_error == "null")
        run.score(options.table, options.output, given)
    run.tell(options.output)


@contextmanager
def _asked(repository: ModelRepository, options: argparse.Namespace) -> Iterator[Model]:
    """The model, by itself or through a service."""
    if options.url is None:
        yield local_model(repository, options.model, options.version)
        return
    url, key = options.url or address_from_settings(), api_key(options.key_file)
    with closing(Connection(url, key, options.patience, lambda said: print(said, file=sys.stderr))) as service:
        yield RemoteModel(service, options.model, options.version)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end this block as an exception does, so that nothing half-written is left; the exit code is 143."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
