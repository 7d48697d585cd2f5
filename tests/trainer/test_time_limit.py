"""`fit --time-limit`: what there is in time is published, and told."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.card import ModelCard
from models.repository import ModelRepository
from tests.trainer.fits import arguments, fitting, wait_until_gone
from trainer.command_line import main
from trainer.errors import InvalidSetting
from trainer.fitting import fitted as fitting_module
from trainer.fitting.fitted import cut_short, train_all
from trainer.fitting.members import build_member
from trainer.job.job import prepare
from trainer.nn.optimizers import Adam
from trainer.settings.config import TrainingConfig
from trainer.training import deadline, pacing
from trainer.training.deadline import Deadline, TimeLimit
from trainer.training.fit import batches_of
from trainer.training.records import Epoch

ENDLESS = ("--members", "3", "--epochs", "100000", "--patience", "100000", "--warm-up", "0")


def card(store: Path) -> ModelCard:
    return ModelRepository(store).read("m", 1).card


@pytest.mark.thorough
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_best_there_is_by_then_is_published(penguins: Path, tmp_path: Path, jobs: int) -> None:
    """The members stop at half of the time, and one network learns from those that have an epoch in what is left: exit
    code 0, and card and summary say what there was no time for.
    """
    began = time.monotonic()
    with fitting(penguins, tmp_path, *ENDLESS, "--time-limit", "6s", "--jobs", str(jobs)) as fit:
        fit.wait_until(lambda: len(fit.workers()) == (jobs if jobs > 1 else 0))
        workers = fit.workers()
        assert fit.end() == 0, fit.said()
        said, printed = fit.said(), fit.printed()
    took = time.monotonic() - began
    wait_until_gone(workers)

    assert 3 < took < 60
    published = card(tmp_path)
    assert published.provenance.settings["time_limit"] == 6
    (told,) = [
        one for one in published.warnings if one.startswith("--time-limit 6 was over before training was: of 3 ")
    ]
    assert "stopped at the best epoch so far" in told
    assert told in said
    assert "out of time; best so far" in printed
    assert published.distillation is None or published.distillation.members > 1


def test_the_first_member_has_an_epoch_whatever_the_time(penguins: Path, tmp_path: Path) -> None:
    """A network of one epoch is better than none; it is published alone."""
    assert main(arguments(penguins, tmp_path, *ENDLESS, "--time-limit", "0.001", "--jobs", "2")) == 0

    published = card(tmp_path)
    assert len(published.frozen_statistics) == 1
    assert published.distillation is None
    assert [
        one for one in published.warnings if "1 stopped at the best epoch so far and 2 had no epoch to the end" in one
    ]


def test_a_limit_that_is_not_met_changes_nothing(penguins: Path, tmp_path: Path) -> None:
    """But that the card has it among the settings."""
    flags = ("--members", "2", "--epochs", "6")
    assert main(arguments(penguins, tmp_path / "without", *flags)) == 0
    assert main(arguments(penguins, tmp_path / "with", *flags, "--time-limit", "2h")) == 0

    without, limited = card(tmp_path / "without"), card(tmp_path / "with")
    assert limited.golden == without.golden
    assert limited.warnings == without.warnings
    assert (without.provenance.settings["time_limit"], limited.provenance.settings["time_limit"]) == (None, 7200)


def test_the_bag_is_published_where_no_time_is_left_for_a_student(
    penguins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a sentence says so."""
    monkeypatch.setattr(fitting_module, "SHARE_OF_MEMBERS", 1e6)
    settings = {"members": 2, "hidden": "8", "epochs": 3, "compiled": False, "time_limit": 5.0}
    config = TrainingConfig.of(table=penguins, target="species", name="m", **settings)
    fitted = train_all(config, prepare(config)[1], limit=TimeLimit(time.monotonic() - 10, 5.0))

    assert fitted.student is None
    assert [len(member.history.epochs) for member in fitted.bag.members] == [3, 3]
    (sentence,) = cut_short(config, fitted)
    assert sentence.startswith(
        "--time-limit 5 came before one network had learned from the 2: all of them are published"
    )
    assert sentence.endswith("more time publishes one")


class Clock:
    """A clock that an epoch moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (deadline, pacing):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


Pace = Callable[..., tuple[list[Epoch], list[float], bool]]


@pytest.fixture
def pace(penguins: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Pace:
    """Train ten epochs at most, of which each takes as long as it is told; the epochs, the rates and the outcome."""
    config = TrainingConfig.of(
        table=penguins, target="species", name="m", hidden="8", epochs=10, compiled=False, warm_up=0.1
    )
    start = prepare(config)[1]
    rates: list[float] = []
    step = Adam.step

    def noted(self: Adam, learning_rate: float) -> None:
        rates.append(learning_rate)
        step(self, learning_rate)

    monkeypatch.setattr(Adam, "step", noted)

    def train(limit: float, *seconds: float) -> tuple[list[Epoch], list[float], bool]:
        member = build_member(config, start, 0)
        epochs: list[Epoch] = []

        def watch(epoch: Epoch) -> None:
            epochs.append(epoch)
            clock.now += seconds[min(epoch.number, len(seconds)) - 1]

        history = pacing.fit_in_time(
            member.network,
            member.train,
            None,
            config,
            member.rng,
            deadline=Deadline(clock.now + limit),
            least=3,
            watch=watch,
            checkpoint=None,
            batches=batches_of(member.train, config, member.network),
        )
        assert list(history.epochs) == epochs
        return epochs, rates, history.out_of_time

    return train


@pytest.mark.parametrize(
    ("limit", "seconds", "epochs"),
    [
        (1000.0, (1.0,), 10),
        (5.5, (1.0,), 5),
        # The third epoch shows that there is less time than it seemed.
        (8.5, (1.0, 1.0, 4.0, 1.0), 4),
    ],
    ids=["all of them", "five", "slower and slower"],
)
def test_as_many_epochs_as_fit_and_the_rate_has_run_its_course(
    pace: Pace, clock: Clock, limit: float, seconds: tuple[float, ...], epochs: int
) -> None:
    """The cosine comes to its end in the last step, whenever that is, and all is over in time."""
    began = clock.now
    done, rates, out_of_time = pace(limit, *seconds)

    assert not out_of_time
    assert [epoch.number for epoch in done] == list(range(1, epochs + 1))
    assert clock.now <= began + limit
    assert rates[-1] < 0.01 * max(rates)
    falling = rates[rates.index(max(rates)) :]
    assert all(later <= earlier for earlier, later in pairwise(falling))


def test_fewer_epochs_than_are_of_use_are_not_waited_for(pace: Pace) -> None:
    """After the first it is seen that only two would end in time, where three are the least."""
    done, _, out_of_time = pace(2.5, 1.0)

    assert out_of_time
    assert len(done) == 1


def test_a_limit_is_part_of_what_a_run_is(penguins: Path) -> None:
    """A run with another limit is another run, which --resume does not take up."""
    settings = [
        TrainingConfig.of(table=penguins, target="species", name="m", time_limit=limit).settings()
        for limit in (None, "90", "90s", "1.5m", "1h")
    ]

    assert [one["time_limit"] for one in settings] == [None, 90, 90, 90, 3600]


@pytest.mark.parametrize("limit", ["0", "0s", "-1", "soon", "10 m", "1d", "", "nan"])
def test_a_limit_that_is_none_is_refused(penguins: Path, limit: str) -> None:
    """With what to type."""
    with pytest.raises(InvalidSetting) as refusal:
        TrainingConfig.of(table=penguins, target="species", name="m", time_limit=limit)

    assert str(refusal.value) == (
        f"--time-limit should be seconds, or minutes such as 10m, or hours such as 2h, not {limit!r}"
    )
