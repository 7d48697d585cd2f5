"""What `evenkeel.fit` and its models refuse: the command line's sentences, as exceptions of one tree."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import evenkeel
from evenkeel.errors import EXIT_CODES
from evenkeel.model.settings import Settings
from tests.conftest import ROOT
from trainer.command_line import main
from trainer.settings.spelling import in_python

QUICK: Settings = {"epochs": 1, "members": 1, "hidden": (2,), "compiled": False}
TABLE = "x,k,y\n" + "".join(f"{row},{'ab'[row % 2]},{'no' if row % 3 else 'yes'}\n" for row in range(30))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("target", "settings", "code"),
    [
        ("z", {}, "invalid_table"),
        ("y", {"drop": ["y"]}, "invalid_table"),
        ("y", {"weight": "k"}, "invalid_table"),
        ("y", {"learning_rate": -1}, "invalid_setting"),
        ("y", {"optimizer": "sgdd"}, "invalid_setting"),
        ("y", {"group": "k", "time": "x"}, "invalid_setting"),
        ("y", {"time_limit": "soon"}, "invalid_setting"),
        ("y", {"delimiter": "#"}, "invalid_setting"),
        ("y", {"positive": "maybe"}, "invalid_setting"),
        ("y", {"jobs": 0}, "invalid_setting"),
        ("y", {"schema": "none.toml"}, "unreadable"),
        ("y", {"test_table": "none.csv"}, "unreadable"),
    ],
)
def test_a_refusal_is_the_command_lines_sentence(
    table: Path, target: str, settings: dict[str, Any], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Word for word, but that parameters stand in place of flags."""
    flags = [word for name, value in settings.items() for word in flag(name, value)]
    assert main(["fit", str(table), "--target", target, "--name", "m", *flags]) != 0
    said = capsys.readouterr().err.partition(": ")[2].strip()

    with pytest.raises(evenkeel.EvenkeelError) as refused:
        evenkeel.fit(table, target=target, **settings)
    assert refused.value.code == code
    assert words(str(refused.value)) == words(said)
    assert "--" not in str(refused.value)


def flag(name: str, value: Any) -> list[str]:
    return [f"--{name.replace('_', '-')}", *(value if isinstance(value, list) else [str(value)])]


def words(sentence: str) -> str:
    return re.sub(r"\b=(?=['\"])", " ", sentence).replace("--", "").replace("-", "_")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"x": [1, 2]}, "a dict is no table; hand in pandas.DataFrame(dict), or a file's path"),
        ([{"x": 1}], "a list is no table; hand in pandas.DataFrame(list), or a file's path"),
        (3, "a int is no table; hand in a pandas, polars or pyarrow table, or a file's path"),
        (np.ones((9, 2)), "an array has no names of columns: hand in pandas.DataFrame(array, columns=[…])"),
        (pl.LazyFrame({"x": [1], "y": [2]}), "a LazyFrame is no table; a lazy one has no rows yet: hand in frame.coll"),
        (pd.Series([1, 2]), "the frame, a Series, is no table of columns ("),
        (pd.DataFrame({"x": [1, "a"], "y": [1, 2]}), "column 'x' (object) holds values of several types, or"),
        (pl.Series([1, 2]), "the frame, a Series, is no table of columns ("),
        (pl.DataFrame({"x": [b"x"] * 30, "y": [1, 2] * 15}), "the frame: column 'x' holds binary_view; leave it out"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "columns 1 and 2 are both named 'x'; rename one"),
        (pd.DataFrame({"x": [], "y": []}), "the frame has columns but no rows"),
        (pd.DataFrame({"x": [1.0] * 30, "y": [1] * 30}), "the frame: the target 'y' holds one class only"),
        (pd.DataFrame({"x": [[1]] * 30, "y": [1, 2] * 15}), "the frame: column 'x' holds list<"),
    ],
)
def test_a_frame_that_is_no_table_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(evenkeel.EvenkeelError) as refused:
        evenkeel.fit(given, target="y", **QUICK)

    assert sentence in str(refused.value)
    assert refused.value.code == "invalid_table"


def test_a_setting_that_there_is_not_is_refused(table: Path) -> None:
    """With the one that may be meant; and one of files, with a frame."""
    with pytest.raises(evenkeel.EvenkeelError, match="no setting 'learnin_rate'; 'learning_rate' may be meant"):
        evenkeel.fit(table, target="y", learnin_rate=1)  # type: ignore[call-arg]
    with pytest.raises(evenkeel.EvenkeelError, match=r"^delimiter says how a file is read, and the table is in memory"):
        evenkeel.fit(pd.read_csv(table), target="y", delimiter=";")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"drop": "k"}, "drop is a list of columns; write drop=['k']"),
        ({"keep": "k", "group": "k"}, "keep is a list of columns; write keep=['k']"),
        ({"hidden": 32}, "hidden is the units of each layer; write hidden=(32,)"),
        ({"student": np.int64(8)}, "student is the units of each layer; write student=(8,)"),
        ({"schema": {"x": "numeric"}}, 'schema is the path of a file, not a dict; write schema="FILE" (evenkeel insp'),
        ({"target": 3}, "target is the name of a column, as text; write target='3'"),
        ({"name": "m"}, 'a model is named when it is published: model.publish("NAME")'),
    ],
)
def test_a_value_that_no_command_line_has_is_refused_with_what_to_write(
    table: Path, settings: dict[str, Any], sentence: str
) -> None:
    given: dict[str, Any] = {"target": "y", **QUICK, **settings}
    with pytest.raises(evenkeel.EvenkeelError) as refused:
        evenkeel.fit(table, **given)

    assert sentence in str(refused.value)
    assert refused.value.code == "invalid_setting"


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("leave it out with --drop 'a b'", "leave it out with drop=['a b']"),
        ("leave it out with --drop k.", 'leave it out with drop=["k"].'),
        ("--drop COLUMN leaves it out", 'drop=["COLUMN"] leaves it out'),
        ('take that with --hidden "", or search: evenkeel search --a b', "hidden=(), or search: evenkeel search --a b"),
        ("or --hidden 32,16; or --hidden 8", "or hidden=(32, 16); or hidden=(8,)"),
        ("say --encoding windows-1252", 'say encoding="windows-1252"'),
        ("--positive yes --threshold f1", 'positive="yes" threshold="f1"'),
        ("leave --positive out; --positive is for two", "leave positive out; positive is for two"),
        ("--threshold recall@precision=0.9", 'threshold="recall@precision=0.9"'),
        ("--keep-total keeps the row", "keep_total=True keeps the row"),
        ("--input-dropout 0 may suit", "input_dropout=0 may suit"),
        ("say --memory 512m or more", 'say memory="512m" or more'),
        ("another --learning-rate, --dropout or", "another learning_rate, dropout or"),
        ("--statistics auto takes, and more --epochs, less", 'statistics="auto" takes, and more epochs, less'),
        ("(--batch-norm none trains", '(batch_norm="none" trains'),
        ("test on other rows with --test-table FILE", 'test on other rows with test_table="FILE"'),
    ],
)
def test_a_sentence_names_what_to_write_in_python(said: str, written: str) -> None:
    assert in_python(said).endswith(written)


@pytest.mark.filterwarnings("ignore::evenkeel.EvenkeelWarning")
def test_publishing_is_whole_or_not_at_all(table: Path, tmp_path: Path) -> None:
    """A name that is none, a promotion that is none, a disk that refuses, a baseline that is as good."""
    model = evenkeel.fit(table, target="y", **QUICK)
    store = tmp_path / "store"
    refusals: list[tuple[str, dict[str, Any], str, str]] = [
        ("No Name", {}, "invalid_name", "'No Name' is no model name"),
        ("m", {"promote": "perhaps"}, "invalid_setting", "promote should be always, if-better or never"),
        ("m", {"fail_below_baseline": True}, "below_baseline", "nothing was published: "),
        ("m", {"repository": table}, "disk_refused", 'nothing was published: Not a directory; repository="FOLDER"'),
    ]

    for name, settings, code, sentence in refusals:
        with pytest.raises(evenkeel.EvenkeelError, match=sentence) as refused:
            model.publish(name, **{"repository": store} | settings)
        assert refused.value.code == code
        assert not store.exists()
    assert isinstance(refused.value, OSError)
    assert model.publish("m", repository=store).version == 1


@pytest.mark.parametrize(
    ("name", "code"), [("nobody", "unknown_model"), ("No Name", "invalid_name"), (None, "model_error")]
)
def test_a_model_that_there_is_not_is_refused(tmp_path: Path, name: str | None, code: str) -> None:
    with pytest.raises(evenkeel.EvenkeelError) as refused:
        evenkeel.load(name, repository=tmp_path / "none")

    assert refused.value.code == code


def test_every_refusal_is_in_one_tree() -> None:
    """All that a command can end with, but what the system says; each has a code of its own."""
    kinds = [kind for kind in EXIT_CODES if kind is not OSError]

    assert all(issubclass(kind, evenkeel.EvenkeelError) for kind in kinds)
    codes = [kind.code for kind in kinds if issubclass(kind, evenkeel.EvenkeelError)]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    "script",
    [
        "import evenkeel; loaded = {'numpy', 'pyarrow', 'onnx', 'onnxruntime', 'flask'} & sys.modules.keys()",
        "import evenkeel; evenkeel.fit; loaded = {'onnxruntime', 'flask', 'pandas', 'polars'} & sys.modules.keys()",
    ],
)
def test_a_library_is_loaded_when_it_is_needed(script: str) -> None:
    """None for `import evenkeel`, and none of the service's for training."""
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; {script}; print(sorted(loaded))"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout == "[]\n"


@pytest.mark.parametrize(("library", "name"), [("pyarrow", "fit"), ("numpy", "load")])
def test_a_library_that_is_not_installed_is_named(library: str, name: str) -> None:
    """With the extras that bring it, as an ImportError and in the one tree."""
    script = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "import evenkeel\n"
        f"try: evenkeel.{name}\n"
        "except evenkeel.EvenkeelError as error: print(isinstance(error, ImportError), error.code, error)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout == (
        f"True missing_library evenkeel.{name} needs {library}: install evenkeel with the extras `trainer` and "
        f"`service`: {sys.executable} -m pip install --editable '{ROOT}[trainer,service]'\n"
    )
