"""Score a CSV file through a running service, a batch at a time: `python -m service predict`."""

import csv
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

from pydantic import TypeAdapter

from models.features import Feature, Value, cell_reader
from service.errors import RefusedTable

FEATURES: TypeAdapter[list[Feature]] = TypeAdapter(list[Feature])
BATCH_ROWS = 1000
PATIENCE_S = 60

# Where a feature stands in a line, its name, and what reads its cells.
Column = tuple[int, str, Callable[[str], Value]]


def score(table: Path, output: TextIO, url: str, model: str | None, key: str | None = None) -> None:
    """Write the rows of `table` with three kinds of columns more: label, probability, and a probability a class.

    :raises RefusedTable: the table lacks a feature, or the service refuses a row; the sentence names the line.
    :raises OSError: the table cannot be read, or the service not be reached.
    """
    with table.open(encoding="utf-8-sig", newline="") as file, _Service(url, key) as service:
        described = service.describe(model)
        path = f"/v1/models/{quote(described['name'])}/versions/{described['version']}:predict"
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        columns = _columns(header, described["features"])
        writer = csv.writer(output, lineterminator="\n")
        classes = [f"probability_{label}" for label in described["classes"]]
        writer.writerow([*header, "label", "probability", *classes])
        with _Progress(file, os.fstat(file.fileno()).st_size) as progress:
            lines = _lines(reader, len(header))
            while batch := list(islice(lines, BATCH_ROWS)):
                rows = [_values(number, line, columns) for number, line in batch]
                predictions = service.predict(path, rows, [number for number, _ in batch])
                for (_, line), prediction in zip(batch, predictions, strict=True):
                    shares = prediction["probabilities"].values()
                    writer.writerow([*line, prediction["label"], prediction["probability"], *shares])
                progress.advance(len(batch))


def _columns(header: Sequence[str], described: Sequence[dict[str, Any]]) -> list[Column]:
    """Where each feature stands; other columns, as the one to be predicted, are passed over."""
    features, names = FEATURES.validate_json(json.dumps(described)), [name.strip() for name in header]
    for feature in features:
        if (times := names.count(feature.name)) != 1:
            found = "no column" if not times else f"{times} columns"
            raise RefusedTable(f"the table has {found} '{feature.name}'; its columns are {', '.join(names)[:400]}")
    return [(names.index(feature.name), feature.name, cell_reader(feature)) for feature in features]


def _values(number: int, line: list[str], columns: Sequence[Column]) -> list[Value]:
    """The cells of a line, read as those of the training table were."""
    values = []
    for position, name, read in columns:
        try:
            values.append(read(line[position]))
        except ValueError as error:
            raise RefusedTable(f"line {number}, feature '{name}': '{line[position][:64]}' {error}") from None
    return values


def _lines(reader: Any, width: int) -> Iterator[tuple[int, list[str]]]:
    """The lines below the header, with their numbers in the file."""
    try:
        for line in reader:
            if line and len(line) != width:
                raise RefusedTable(f"line {reader.line_num} has {len(line)} cells; the header has {width}")
            if line:
                yield reader.line_num, line
    except csv.Error as error:
        raise RefusedTable(f"line {reader.line_num} is no CSV: {error}") from None


class _Service:
    """One connection to a service."""

    def __init__(self, url: str, key: str | None) -> None:
        parts = urlsplit(url)
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}.get(parts.scheme)
        if kind is None or not parts.hostname:
            raise RefusedTable(f"'{url[:64]}' is no address of a service; it should look like http://127.0.0.1:8080")
        self._connection = kind(parts.hostname, parts.port, timeout=PATIENCE_S)
        self._base = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})

    def __enter__(self) -> "_Service":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def describe(self, model: str | None) -> dict[str, Any]:
        """What the service says of a model; without a name, of the only one."""
        if model is not None:
            described: dict[str, Any] = self._ask("GET", f"/v1/models/{quote(model, safe='')}")
            return described
        models: list[dict[str, Any]] = self._ask("GET", "/v1/models")["models"]
        if len(models) != 1:
            raise RefusedTable(f"name one with --model: the service has {len(models)} models")
        return models[0]

    def predict(self, path: str, rows: list[list[Any]], lines: Sequence[int]) -> list[dict[str, Any]]:
        """The predictions of a batch; `lines` are the rows' places in the file."""
        predictions: list[dict[str, Any]] = self._ask("POST", path, {"instances": rows}, lines)["predictions"]
        return predictions

    def _ask(self, method: str, path: str, document: object = None, lines: Sequence[int] = ()) -> Any:
        body = None if document is None else json.dumps(document).encode()
        self._connection.request(method, self._base + path, body, self._headers)
        with self._connection.getresponse() as response:
            answer = json.loads(response.read())
        if response.status == 200:
            return answer
        place = next((detail["instance"] for detail in answer["details"] if "instance" in detail), None)
        raise RefusedTable(f"line {lines[place]}: {answer['error']}" if place is not None else answer["error"])


class _Progress:
    """A bar on stderr, where that is a terminal: how far into the file, how many rows, how many a second."""

    def __init__(self, file: TextIO, size: int) -> None:
        self._file = file
        self._size = max(size, 1)
        self._rows = 0
        self._started = time.monotonic()
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print(file=sys.stderr)

    def advance(self, rows: int) -> None:
        self._rows += rows
        if self._shown:
            share = min(1.0, self._file.buffer.tell() / self._size)
            bar = "█" * round(24 * share)
            rate = self._rows / max(time.monotonic() - self._started, 1e-9)
            print(f"\r{bar:░<24} {share:4.0%}  {self._rows} rows  {rate:.0f}/s", end="", file=sys.stderr, flush=True)
