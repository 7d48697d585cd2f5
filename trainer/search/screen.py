"""What a person sees of a search in the terminal. Beside `trainer.terminal`, the only one that knows rich."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from models.terminal import print_json, show
from trainer.fitting.members import Watch as WatchEpoch
from trainer.search.crew import Watch
from trainer.search.leaderboard import first_columns
from trainer.search.plan import Plan, Trial, Trials, ranked
from trainer.search.retest import Verdict
from trainer.training.records import Epoch

SHOWN = 10
ROOM_OF_SCORES, ROOM_OF_A_COLUMN = 42, 15


@contextmanager
def searching(plan: Plan, *, quiet: bool = False) -> Iterator[Watch]:
    """Show the trials on stderr as they finish: a progress bar on a terminal, one line a trial elsewhere.

    `quiet` shows nothing.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if quiet:
        yield lambda trials, total: None
        return
    if not console.is_terminal:
        yield _Lines(console, plan)
        return
    columns = (
        TextColumn("searching"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        task = progress.add_task("searching", total=None, state="")
        clock = _Clock()

        def show(trials: Trials, total: int) -> None:
            state = f"{_stage(plan, trials, total)}  {_best(trials)}  {clock.left(len(trials), total)}"
            progress.update(task, total=total, completed=min(len(trials), total), state=state)

        yield show


class _Lines:
    """One line for each trial that this command has seen finish."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console, self._plan, self._clock = console, plan, _Clock()
        self._seen: set[int] | None = None

    def __call__(self, trials: Trials, total: int) -> None:
        if self._seen is None:
            self._seen = set(trials)
            if trials:
                self._console.print(f"{len(trials)} of {total} trials were finished before")
        fresh = [trial for index, trial in trials.items() if index not in self._seen]
        for trial in fresh:
            self._seen.add(trial.index)
            done = f"{len(self._seen)} of {total}, {_best(trials)}, {self._clock.left(len(self._seen), total)}"
            stage = self._plan.stage_of(trial.index) + 1
            self._console.print(f"trial {trial.index:4d}  stage {stage}  {_reached(trial)}: {done}", markup=False)


class _Clock:
    """How long the rest will take, from how long this command's trials have taken."""

    def __init__(self) -> None:
        self._start, self._before = time.monotonic(), -1

    def left(self, finished: int, total: int) -> str:
        if self._before < 0:
            self._before, self._start = finished, time.monotonic()
        done = finished - self._before
        if not done or finished >= total:
            return "0:00 left" if finished >= total else "–:–– left"
        seconds = round((time.monotonic() - self._start) / done * (total - finished))
        hours, rest = divmod(seconds, 3600)
        return (f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}") + " left"


def _stage(plan: Plan, trials: Trials, total: int) -> str:
    if plan.sampler != "random":
        return plan.sampler
    waiting = next((index for index in range(total) if index not in trials), total - 1)
    return f"stage {plan.stage_of(waiting) + 1} of {plan.stage_of(total - 1) + 1}"


def _best(trials: Trials) -> str:
    best = ranked(list(trials.values()))[:1]
    return f"best {best[0].log_loss:.4f} by trial {best[0].index}" if best else "no trial yet"


def _reached(trial: Trial) -> str:
    if not math.isfinite(trial.log_loss):
        return f"diverged in epoch {len(trial.log_losses) + 1}"
    return f"log-loss {trial.log_loss:.4f}  accuracy {trial.accuracy:.4f}  {_epochs(trial)}  {trial.seconds:.1f} s"


def _epochs(trial: Trial) -> str:
    return f"{len(trial.log_losses)} epochs" + (", stopped" if trial.ending == "stopped" else "")


def refitting(seed: int, *, quiet: bool = False) -> WatchEpoch:
    """Show a refit on stderr, where that is a terminal."""
    console = Console(stderr=True, highlight=False)

    def watch(member: int, members: int, epoch: Epoch) -> None:
        if console.is_terminal and epoch.validation and not quiet:
            which = f"member {member + 1} of {members}" if members > 1 else f"refit {seed + 1}"
            log_loss = f"{epoch.validation.log_loss:.4f}"
            console.print(f"{which}, epoch {epoch.number}, validation log-loss {log_loss} ", end="\r")

    return watch


def show_leaderboard(plan: Plan, trials: Trials, importances: Mapping[str, float]) -> None:
    """Print the best trials on stdout, with as many of their parameters as there is room for."""
    console = Console(highlight=False)
    room = max(3, (console.width - ROOM_OF_SCORES) // ROOM_OF_A_COLUMN)
    names = first_columns(plan, importances)[:room]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "trial", "stage", "log-loss", "accuracy", *(name.replace("_", " ") for name in names)):
        table.add_column(heading, justify="right", no_wrap=True)
    for rank, trial in enumerate(ranked(list(trials.values()))[:SHOWN], 1):
        place = (str(rank), str(trial.index), str(plan.stage_of(trial.index) + 1))
        table.add_row(
            *place, f"{trial.log_loss:.4f}", f"{trial.accuracy:.4f}", *(_tried(trial, name) for name in names)
        )
    endings = [trial.ending for trial in trials.values()]
    rest = f"{len(trials)} trials, {endings.count('stopped')} stopped early, {endings.count('diverged')} diverged"
    console.print(Padding(table, (0, 0, 1, 2), expand=False))
    console.print(f"  {rest}, {sum(trial.seconds for trial in trials.values()):.0f} s of training\n")


def _tried(trial: Trial, name: str) -> str:
    return str(trial.values.get(name, ""))


def show_winner(command: str) -> None:
    """Print the command that trains with the best settings."""
    show(f"Reproduce the best trial with:\n{command}")


def show_files(folder: Path, names: tuple[str, ...]) -> None:
    """Say where the leaderboard and the report lie."""
    for name in names:
        print(f"{name.partition('.')[0].capitalize()}: {folder / name}")


def show_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    print_json(json.dumps(document, ensure_ascii=False))


def show_verdict(verdict: Verdict) -> None:
    """Print the leaders' scores on other data, and whether the best still is."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("trial", "log-loss then", "now", "±", "accuracy now"):
        table.add_column(heading, justify="right", no_wrap=True)
    for leader in verdict.leaders:
        now = (f"{leader.log_loss:.4f}", f"{leader.deviation:.4f}", f"{leader.accuracy:.4f}")
        table.add_row(str(leader.trial.index), f"{leader.trial.log_loss:.4f}", *now)
    console.print(Padding(table, (0, 0, 1, 2), expand=False))
    console.print(verdict.sentence)
