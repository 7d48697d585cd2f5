import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.errors import InvalidSpace
from trainer.search.space import DEFAULT, Choice, Range, Space, Values, cell, cells, draw, narrowed, settings
from trainer.search.space_file import check_space, read_space

SHARES = np.linspace(0, 1, 2001)


@pytest.mark.parametrize(
    ("axis", "scale"),
    [
        (Range("uniform", 0.1, 0.5), lambda value: value),
        (Range("log", 1e-4, 1.0), math.log10),
        (Range("one_minus_log", 0.9, 0.999), lambda value: math.log10(1 - value)),
    ],
)
def test_each_scale_is_even_on_its_own(axis: Range, scale: Callable[[float], float]) -> None:
    """Ten equal parts of the scale get a tenth of the draws each, and the ends are reached."""
    drawn = [float(axis.at(share)) for share in SHARES]
    counts, _ = np.histogram([scale(value) for value in drawn], bins=10)

    assert max(counts) - min(counts) <= 0.06 * len(drawn) / 10 + 4  # Three digits move a draw over an edge at times.
    assert (min(drawn), max(drawn)) == (axis.low, axis.high)


def test_the_course_s_example_of_scales_holds() -> None:
    """Half of the learning rates between 1e-4 and 1 lie below 0.01; a linear draw would put one in a hundred there."""
    rates = [draw(DEFAULT, 0, index)["learning_rate"] for index in range(1000)]
    decays = [values["ewma_decay"] for index in range(1000) if "ewma_decay" in (values := draw(DEFAULT, 0, index))]

    assert 0.45 < np.mean([float(rate) < 0.01 for rate in rates]) < 0.55
    assert 0.43 < np.mean([float(decay) > 0.99 for decay in decays]) < 0.57


def test_whole_numbers_are_all_as_likely() -> None:
    """1 to 4 layers: a quarter each, the ends included."""
    layers = [Range("uniform", 1, 4, whole=True).at(share) for share in SHARES]

    assert [layers.count(number) for number in (1, 2, 3, 4)] == pytest.approx([500] * 4, abs=2)


def test_a_trial_s_values_depend_on_seed_and_index_alone() -> None:
    """Drawn in any order, alone or among others, they are the same; another seed or index gives others."""
    forwards = [draw(DEFAULT, 7, index) for index in range(20)]
    backwards = [draw(DEFAULT, 7, index) for index in reversed(range(20))]

    assert forwards == backwards[::-1]
    assert len({str(values) for values in forwards}) == 20
    assert draw(DEFAULT, 8, 3) != forwards[3]


def test_a_fixed_parameter_leaves_the_others_their_values() -> None:
    """The draw of one does not hang on another's being there, after it in the order of names."""
    fewer = {name: axis for name, axis in DEFAULT.items() if name != "weight_decay"}

    assert draw(fewer, 0, 5)["learning_rate"] == draw(DEFAULT, 0, 5)["learning_rate"]


def test_what_means_nothing_is_not_drawn() -> None:
    """No beta2 for momentum, no decay of running averages without batch norm."""
    for index in range(200):
        values = draw(DEFAULT, 0, index)
        assert ("beta2" in values) == (values["optimizer"] != "momentum")
        assert ("beta1" in values) == (values["optimizer"] != "rmsprop")
        assert ("ewma_decay" in values) == (values["batch_norm"] != "none")


def test_a_box_narrows_to_the_hull_on_its_own_scale() -> None:
    """The lowest and the highest of the best, the choices that occur; what too few of them had stays."""
    space: Space = {
        "learning_rate": Range("log", 1e-4, 1.0),
        "beta2": Range("log", 0.1, 1),
        "activation": Choice(("a", "b", "c")),
    }
    best: list[Values] = [
        {"learning_rate": 0.02, "activation": "c"},
        {"learning_rate": 0.001, "activation": "a"},
        {"learning_rate": 0.003, "activation": "a", "beta2": 0.5},
    ]
    box = narrowed(space, best)

    assert box["learning_rate"] == Range("log", 0.001, 0.02)
    assert box["activation"] == Choice(("a", "c"))
    assert box["beta2"] == space["beta2"]
    assert float(box["learning_rate"].at(0.5)) == pytest.approx(math.sqrt(0.001 * 0.02), rel=0.01)


def test_layers_and_units_are_the_hidden_layers() -> None:
    assert settings({"layers": 3, "units": 20, "dropout": 0.1}) == {"hidden": (20, 20, 20), "dropout": 0.1}


def test_a_grid_has_every_combination_once() -> None:
    space = {"units": Choice((4, 8)), "learning_rate": Choice((0.1, 0.01, 0.001))}
    points = {tuple(cell(space, index).items()) for index in range(cells(space))}

    assert len(points) == cells(space) == 6
    assert cells(DEFAULT) == 0


def test_a_file_changes_what_it_names(space_file: Callable[[str], Path]) -> None:
    """The rest of the default space stays; a flag takes its parameter out."""
    path = space_file(
        "learning_rate = { log = [1e-3, 0.1] }\nunits = { log = [8, 512] }\n"
        "beta2 = { one_minus_log = [0.9, 0.9999] }\nactivation = { choice = ['relu', 'selu'] }\n"
    )
    space = read_space(path, {"dropout": "0.1", "batch_norm": "none"})

    assert space["learning_rate"] == Range("log", 1e-3, 0.1)
    assert space["units"] == Range("log", 8, 512, whole=True)
    assert space["beta2"] == Range("one_minus_log", 0.9, 0.9999)
    assert space["activation"] == Choice(("relu", "selu"))
    assert set(DEFAULT) - set(space) == {"dropout", "batch_norm", "ewma_decay"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("learning_rate = [", "is no TOML file"),
        ("learning_rat = { log = [1e-3, 0.1] }", "learning_rat: there is no such parameter to search; there are"),
        ("epochs = { uniform = [1, 10] }", "epochs: there is no such parameter to search"),
        ("learning_rate = 0.1", "learning_rate: write { uniform | log | one_minus_log = [low, high] } or"),
        ("learning_rate = { lin = [1, 2] }", "learning_rate: write"),
        ("learning_rate = { log = [1, 2], uniform = [1, 2] }", "learning_rate: write"),
        ("learning_rate = { log = 3 }", "log takes a list, not '3'"),
        ("learning_rate = { log = [0.1] }", "log takes two numbers"),
        ("learning_rate = { log = ['a', 'b'] }", "log takes two numbers"),
        ("learning_rate = { log = [true, 2] }", "log takes two numbers"),
        ("learning_rate = { log = [0.1, 0.01] }", "the lower end must be below the higher one, not 0.1 and 0.01"),
        ("learning_rate = { log = [0.1, 0.1] }", "the lower end must be below the higher one"),
        ("learning_rate = { log = [-1, 1] }", "learning_rate: should be greater than 0, not '-1'"),
        ("learning_rate = { log = [0.1, inf] }", "learning_rate: should be a finite number"),
        ("weight_decay = { log = [0, 0.1] }", "a log scale begins above 0, not at 0"),
        ("dropout = { uniform = [0, 1] }", "dropout: should be less than 1, not '1'"),
        ("units = { one_minus_log = [1, 2] }", "one_minus_log is a scale of decays below 1"),
        ("learning_rate = { one_minus_log = [0.5, 1.0] }", "one_minus_log is a scale of decays below 1"),
        ("units = { uniform = [0, 8] }", "units: should be greater than or equal to 1, not '0'"),
        ("layers = { uniform = [1, 50] }", "layers:"),
        ("layers = { uniform = [1, 2.5] }", "layers:"),
        ("activation = { uniform = [0, 1] }", "it has no range; give a choice"),
        ("one_hot = { uniform = [2, 20] }", "it has no range; give a choice"),
        ("scaling = { choice = ['robust', 'loud'] }", "scaling: should be 'robust', 'standard' or 'quantile'"),
        ("activation = { choice = [] }", "choice takes at least one value"),
        ("activation = { choice = ['relu', 'relu'] }", "none of them twice"),
        ("activation = { choice = ['relu', 'step'] }", "activation: should be 'relu', 'leaky_relu'"),
        ("hidden = { choice = [[8], [16]] }", "hidden: there is no such parameter"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(
    space_file: Callable[[str], Path], line: str, sentence: str
) -> None:
    """One sentence: the file, the parameter, the rule."""
    path = space_file(line)
    with pytest.raises(InvalidSpace) as refusal:
        read_space(path, {})

    assert sentence in str(refusal.value)
    assert str(refusal.value).startswith(str(path))


def test_a_flag_and_a_line_for_one_parameter_are_refused(space_file: Callable[[str], Path]) -> None:
    with pytest.raises(InvalidSpace, match="give a range or a flag, not both"):
        read_space(space_file("units = { uniform = [4, 8] }"), {"hidden": ("8",)})


def test_points_that_cannot_be_trained_are_found_by_drawing(space_file: Callable[[str], Path]) -> None:
    """Batches of one row beside batch norm: each line is well, the two together are not."""
    space = read_space(space_file("batch_size = { choice = [1, 32] }"), {})
    given = {"table": Path("t.csv"), "target": "y", "name": "m"}

    with pytest.raises(InvalidSpace, match=r"holds points that cannot be trained .*batch_size = 1"):
        check_space(space, given)
    check_space(
        read_space(space_file("batch_size = { choice = [1, 32] }"), {"batch_norm": "none"}),
        {**given, "batch_norm": "none"},
    )
