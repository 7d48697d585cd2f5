"""Labels from Python, and what the command `performance` prints of a real service."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import evenkeel
from evenkeel.client.labels import _labelled
from evenkeel.command_line import main
from evenkeel.errors import BadInput, ClientError
from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running
from tests.service.conftest import PUBLISHED


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running(PUBLISHED, find_free_port()) as service:
        service.wait()
        yield service


@pytest.fixture
def records() -> list[dict[str, Any]]:
    return [dict(one.instance) for one in ModelRepository(PUBLISHED).card("penguins", 1).golden] * 20


def test_without_labels_it_says_how_they_come(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """And which model there is, where another is asked for."""
    assert main(["performance", "penguins", "--url", service.url]) == 0
    assert main(["performance", "nobody", "--url", service.url]) == 65
    told = capsys.readouterr()
    assert "no labels: POST /v1/feedback takes them" in told.out
    assert "GET /v1/models lists penguins (404)" in told.err


def test_labels_go_back_by_the_ids_of_the_rows(service: Service, records: list[dict[str, Any]]) -> None:
    """Of every row that was answered, in whatever batches; None and NaN are no labels, and none is sent twice."""
    odd: list[Any] = [*records]
    odd[3] = records[3] | {"island": None}
    with evenkeel.Client(service.url, model="penguins") as client:
        assert client.ids == []
        with pytest.warns(evenkeel.EvenkeelWarning):
            labels = list(client.predict(odd, on_error="null"))
        ids = client.ids
        assert [one is None for one in ids] == [at == 3 for at in range(len(odd))]
        given = [pd.NA, float("nan"), *labels[2:]]
        counts = {"counted": len(odd) - 3, "corrected": 0, "repeated": 0, "unknown": 0}
        assert client.feedback(ids, given) == counts
        assert client.feedback(iter(ids), pd.Series(given)) == counts | {"counted": 0, "repeated": len(odd) - 3}
        assert client.feedback([ids[0], "somebody-elses"], np.array(["Gentoo", "Adelie"]))["unknown"] == 1
        assert client.feedback([], [])["counted"] == 0
        told = service.ask("/v1/models/penguins/performance")[1]["windows"][0]
        assert told["live"]["rows"] == len(odd) - 2
        assert told["confusion"]["counts"][2][0] == (labels[0] == "Adelie")
        with pytest.raises(ClientError, match="label 'Dodo' is no class of penguins") as refused:
            client.feedback(ids[:1], ["Dodo"])
        assert refused.value.code == "invalid_record"
        with pytest.raises(BadInput, match="a label for each id"):
            client.feedback(ids, ["Adelie"])


def test_numbers_and_truths_are_sent_as_such() -> None:
    """Which class they name, the service knows: a column with gaps has 1.0 where the class is 1."""
    gaps = pd.Series(["1", None]).astype("Int64").astype(float)
    given = [gaps[0], np.int64(1), np.True_, True, np.str_("a"), float("inf"), np.float32(2)]
    assert [_labelled("a:1", label)["label"] for label in given] == [1.0, 1, True, True, "a", "inf", 2.0]


def test_the_command_prints_what_the_service_tells(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """The status, then test, expected and labelled figures of each window below each other, in 80 columns."""
    told = service.ask("/v1/models/penguins/performance")[1]
    assert main(["performance", "penguins", "1", "--url", service.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    window = told["windows"][0]

    assert lines[:2] == ["penguins version 1", told["summary"]]
    assert lines[3].split() == ["rows", "accuracy", "95", "%", "interval", "log-loss", "calibration"]
    expected, labelled = (next(line for line in lines if line.startswith(f"  {name}")) for name in ("exp", "lab"))
    assert f"{window['expected']['accuracy']:.1%}" in expected
    assert labelled.split()[:3] == ["labelled", str(window["live"]["rows"]), f"{window['live']['accuracy']:.1%}"]
    assert lines[-1].split() == ["Gentoo", *map(str, window["confusion"]["counts"][2])]
    assert max(map(len, lines[2:])) <= 80
