import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import optuna
import pytest

from models.repository import ModelRepository
from tests.trainer.search.conftest import outcomes
from trainer.errors import Diverged, TrainerError
from trainer.job.job import run
from trainer.search.crew import run_workers
from trainer.search.finish import publish, settings_of
from trainer.search.plan import ranked
from trainer.search.rows import share
from trainer.search.search import Request, Search
from trainer.search.study import importances
from trainer.search.trial import train
from trainer.settings.config import TrainingConfig

Make = Callable[..., Request]
Open = Callable[[Request], Search]


def test_the_results_do_not_depend_on_the_number_of_workers(request_for: Make, opened: Open, searched: Open) -> None:
    """One process here, or three others: the same trials, to the last bit of every epoch."""
    alone = searched(request_for(trials=20, stage=8, folder="alone"))
    together = opened(request_for(trials=20, stage=8, jobs=3, folder="together"))
    run_workers(together, lambda trials, total: None)

    assert outcomes(alone) == outcomes(together)
    assert records(together) == list(range(20))
    assert len({trial.worker for trial in together.finished().values()}) > 1
    assert {trial.ending for trial in alone.finished().values()} >= {"epochs", "stopped"}


def records(search: Search) -> list[int]:
    """The trials in the order of their numbers, as often as the journal has them."""
    lines = (search.request.place.folder / "study.journal").read_text().splitlines()
    attributes = [json.loads(line).get("user_attrs", {}) for line in lines]
    return sorted(one["index"] for one in attributes if "index" in one)


def test_a_search_in_two_runs_is_a_search_in_one(request_for: Make, searched: Open) -> None:
    """More trials later, from the same stages on."""
    whole = searched(request_for(trials=20, stage=8, folder="whole"))
    searched(request_for(trials=11, stage=8, folder="parts"))
    parts = searched(request_for(trials=20, folder="parts"))

    assert outcomes(whole) == outcomes(parts)


def test_a_trial_is_what_fit_would_do(request_for: Make, tmp_path: Path, searched: Open) -> None:
    """The same bits, epoch by epoch, with the rows mapped from a file."""
    search = searched(request_for(trials=8))
    best = ranked(list(search.finished().values()))[0]
    outcome = run(TrainingConfig.of(**settings_of(search, best)), ModelRepository(tmp_path / "store"))

    epochs = outcome.bag.members[0].history.epochs
    assert [epoch.validation.log_loss for epoch in epochs if epoch.validation] == list(best.log_losses)


def test_the_first_trial_has_the_settings_of_fit(request_for: Make, searched: Open) -> None:
    """So that no search ends with less."""
    request = request_for(trials=1)
    search = searched(request)
    config = TrainingConfig.of(**request.given)
    history = train(config, search.table.rows(config)).history

    (trial,) = search.finished().values()
    assert [epoch.validation.log_loss for epoch in history.epochs if epoch.validation] == list(trial.log_losses)


def test_workers_share_the_rows(request_for: Make, tmp_path: Path, opened: Open) -> None:
    """They map the same file, and nobody can write into it."""
    search = opened(request_for())
    rows = share(search.table, search.config, search.plan.box, tmp_path).rows(search.config)

    assert isinstance(rows.train.inputs, np.memmap)
    assert not rows.train.inputs.flags.writeable
    assert np.array_equal(rows.validation.inputs, search.table.rows(search.config).validation.inputs)
    assert rows.train.weights is None


def test_each_way_of_encoding_has_its_own_rows(
    request_for: Make, tmp_path: Path, opened: Open, space_file: Callable[[str], Path]
) -> None:
    """Every combination in the space is encoded as `fit` would, and nothing else."""
    search = opened(
        request_for(
            space_file=space_file("scaling = { choice = ['robust', 'quantile'] }\natoms = { choice = [true, false] }")
        )
    )
    shared = share(search.table, search.config, search.plan.box, tmp_path)

    assert set(shared.encoders) == {
        (scaling, atoms, 8) for scaling in ("robust", "quantile") for atoms in (True, False)
    }
    for scaling, atoms, one_hot in shared.encoders:
        config = search.config.model_copy(update={"scaling": scaling, "atoms": atoms, "one_hot": one_hot})
        assert np.array_equal(shared.rows(config).train.inputs, search.table.rows(config).train.inputs)


def test_luck_with_validation_rows_does_not_count(request_for: Make, searched: Open) -> None:
    """A trial counts with the higher of the log-losses on validation and training rows."""
    search = searched(request_for(trials=8))
    for trial in search.finished().values():
        config = TrainingConfig.of(**settings_of(search, trial))
        result = train(config, search.table.rows(config))
        if trial.ending != "stopped":
            assert result.history.best.validation
            assert trial.log_loss == max(result.history.best.validation.log_loss, result.train.log_loss)


def test_trials_that_diverge_are_counted_and_rank_last(request_for: Make, tmp_path: Path, searched: Open) -> None:
    """Learning rates beyond all reason: the search goes on, and where nothing came to a result nothing is published."""
    file = tmp_path / "space.toml"
    file.write_text("learning_rate = { log = [1e30, 1e37] }")
    given = {"optimizer": "sgd", "batch_norm": "none"}
    search = searched(request_for(trials=3, space_file=file, given=given))

    assert [trial.ending for trial in search.finished().values()] == ["diverged"] * 3
    with pytest.raises(Diverged, match="no trial came to a result"):
        publish(search, ModelRepository(tmp_path / "store"), seeds=2)
    assert not (tmp_path / "store").exists()


def test_the_best_is_refitted_and_published_once(request_for: Make, tmp_path: Path, searched: Open) -> None:
    """From several first weights, on the same split; the card tells of the search, and a second call does nothing."""
    repository = ModelRepository(tmp_path / "store")
    search = searched(request_for(trials=8))
    outcome = publish(search, repository, seeds=3)
    assert outcome is not None

    card = repository.card("penguins", 1)
    best = ranked(list(search.finished().values()))[0]
    assert card.search is not None
    assert (card.search.trials, card.search.trial) == (8, best.index)
    assert card.search.validation_log_loss == min(best.log_losses)
    assert len(card.search.refits) == 3
    assert card.provenance.settings["restart"] == int(np.argmin(card.search.refits))
    assert card.provenance.settings["learning_rate"] == best.values["learning_rate"]
    assert publish(search, repository, seeds=3) is None
    assert repository.versions("penguins") == [1]


def test_a_kill_between_publishing_and_its_note_publishes_nothing_twice(
    request_for: Make, tmp_path: Path, searched: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command finds its own model in the repository."""
    repository = ModelRepository(tmp_path / "store")
    search = searched(request_for(trials=4))

    with monkeypatch.context() as patch:
        patch.setattr(search.study, "note_published", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish(search, repository, seeds=2)

    assert publish(search, repository, seeds=2) is None
    assert repository.versions("penguins") == [1]
    assert search.study.published == {"version": 1, "trials": 4}


def test_where_fit_trains_a_bag_a_bag_is_published(request_for: Make, searched: Open, tmp_path: Path) -> None:
    """Of the best settings; a trial is its first member, to the last bit."""
    search = searched(request_for(trials=8, given={"members": 3}))
    outcome = publish(search, ModelRepository(tmp_path / "store"), seeds=3)
    best = ranked(list(search.finished().values()))[0]

    assert outcome is not None
    assert outcome.card.search is not None
    assert outcome.card.search.refits == ()
    first, *others = [member.history for member in outcome.bag.members]
    assert len(others) == 2
    assert [epoch.validation.log_loss for epoch in first.epochs if epoch.validation] == list(best.log_losses)


def test_a_grid_is_tried_whole_where_it_is_asked_for(request_for: Make, tmp_path: Path, searched: Open) -> None:
    """Every point, none stopped."""
    file = tmp_path / "space.toml"
    file.write_text("learning_rate = { choice = [0.1, 0.01] }\nactivation = { choice = ['relu', 'tanh', 'elu'] }")
    search = searched(request_for(trials=50, space_file=file, sampler="grid"))

    points = {(trial.values["learning_rate"], trial.values["activation"]) for trial in search.finished().values()}
    assert len(points) == len(search.finished()) == 6
    assert "stopped" not in {trial.ending for trial in search.finished().values()}


def test_tpe_is_there_for_who_asks(request_for: Make, searched: Open) -> None:
    """Its trials lie in the space."""
    search = searched(request_for(trials=14, sampler="tpe"))

    assert len(search.finished()) == 14
    for trial in search.finished().values():
        assert all(search.plan.box[name].holds(value) for name, value in trial.values.items())


def test_the_study_is_one_of_optuna_s(request_for: Make, searched: Open) -> None:
    """Its own tools read the journal: values, states, parameters."""
    search = searched(request_for(trials=16, stage=8))
    path = search.request.place.folder / "study.journal"
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="penguins", storage=storage)

    stopped = [trial.ending for trial in search.finished().values()].count("stopped")
    assert len(study.get_trials(states=(optuna.trial.TrialState.PRUNED,))) == stopped
    assert "1-ewma_decay" in {name for trial in study.trials for name in trial.params}


def test_what_matters_is_told(request_for: Make, searched: Open) -> None:
    """Shares of one, the largest first; from forty trials on, for a tenth of fewer tells nothing."""
    search = searched(request_for(trials=40))
    trials = search.finished()
    shares = importances(search.plan.box, trials)

    assert importances(search.plan.box, {index: trials[index] for index in range(39)}) == {}

    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert set(shares) <= set(search.plan.box)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"given": {"target": "island"}}, "founded with another target, 'species', not 'island'"),
        ({"given": {"epochs": 10}}, "founded with epochs 9, not 10"),
        ({"given": {"seed": 1}}, "founded with seed 0, not 1"),
        ({"given": {"dropout": 0.1}}, "founded with another space"),
        ({"sampler": "tpe"}, "founded with another sampler, 'random', not 'tpe'"),
        ({"stage": 9}, "founded with stages of 8 trials, not 9"),
    ],
)
def test_another_study_is_not_mixed_in(
    request_for: Make, change: dict[str, object], sentence: str, opened: Open, searched: Open
) -> None:
    """One sentence that says in what it differs; not a byte is written."""
    request = request_for(trials=2)
    searched(request)
    before = {path: path.read_bytes() for path in request.place.folder.rglob("*")}

    with pytest.raises(TrainerError) as refusal:
        opened(request_for(trials=2, **change))
    assert sentence in str(refusal.value)
    assert {path: path.read_bytes() for path in request.place.folder.rglob("*")} == before


def test_another_table_is_not_mixed_in(
    request_for: Make, penguins: Path, tmp_path: Path, opened: Open, searched: Open
) -> None:
    """Its digest differs, whatever its name."""
    searched(request_for(trials=2))
    other = tmp_path / penguins.name
    other.write_text("\n".join(penguins.read_text().splitlines()[:-1]))

    with pytest.raises(TrainerError, match="was founded on another table"):
        opened(request_for(trials=2, given={"table": other}))


def test_a_damaged_journal_is_refused(request_for: Make, opened: Open, searched: Open) -> None:
    """With its name and the way out; half a last line, though, is only what a kill leaves."""
    request = request_for(trials=3)
    searched(request)
    journal = request.place.folder / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "wor')
    assert len(searched(request_for(trials=4)).finished()) == 4

    journal.write_bytes(whole[:300] + b"\x00garbage\n" + whole[300:])
    with pytest.raises(TrainerError, match=r"study\.journal is damaged; remove it"):
        opened(request)
