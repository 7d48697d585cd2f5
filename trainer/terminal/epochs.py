"""What a person sees of the epochs while networks are trained, several of them at the same time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from models.terminal import room
from trainer.fitting.members import Attempt, Ended, Watch, WatchAttempt, unannounced, untold, untried, unwatched
from trainer.training.records import Epoch

# Its contrast with black and with white is 3.8 or more.
COLOUR = "#0087d7"
BARS = "▁▂▃▄▅▆▇█"
# Of a run while no network is in training, and once the last one is trained.
TRAINING, MEASURING = "training", "measuring and publishing"


class Shown(NamedTuple):
    """What is told of epochs, of networks that are trained, of candidates that are tried, and when all is over."""

    watch: Watch = unwatched
    ended: Ended = untold
    tried: WatchAttempt = untried
    over: Callable[[], None] = unannounced


@contextmanager
def watching(epochs: int, *, quiet: bool = False, verbose: bool = False) -> Iterator[Shown]:
    """Show the epochs on stderr: each network's growing curve on a terminal, a line a network elsewhere.

    `verbose` shows a line an epoch, `quiet` nothing.
    """
    console = Console(stderr=True, highlight=False)
    if quiet or verbose or not console.is_terminal:
        with lines(console, quiet, verbose) as shown:
            yield shown
        return
    growing = Growing(console, epochs)
    with Live(growing, console=console, refresh_per_second=10, transient=True):
        yield Shown(growing, growing.ended, growing.tried, growing.over)
    growing.finish()


@contextmanager
def lines(console: Console, quiet: bool, verbose: bool) -> Iterator[Shown]:
    """What is shown where nothing is drawn."""
    if quiet:
        yield Shown()
    elif verbose:
        say, retold = partial(print, file=console.file, flush=True), Retold()
        yield Shown(
            lambda member, members, epoch: say(
                _line(_which(member, members), epoch) + retold.note(member, members, epoch)
            ),
            tried=lambda attempt, epoch: say(_line(_called(attempt), epoch)) if epoch else None,
        )
    else:
        summing = Summing(partial(print, file=console.file, flush=True))
        try:
            yield Shown(summing, summing.ended)
        finally:
            summing.finish()


class Retold:
    """Whether networks are those of a candidate that was chosen: one of them takes the place of one told of before."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], int] = {}
        self._chosen = False

    def note(self, member: int, members: int, epoch: Epoch) -> str:
        """What is to be added to what is said of a network that has come to this epoch."""
        self._chosen |= epoch.number <= self._last.get((member, members), 0)
        self._last[member, members] = epoch.number
        return "  as chosen" if self._chosen and member < members else ""


class Summing:
    """A line a network, once it is trained; several may be trained at the same time."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._retold = say, Retold()
        self._notes: dict[tuple[int, int], str] = {}
        # The last epoch and the best one of each network that is being trained, by its number and that of all.
        self._reached: dict[tuple[int, int], tuple[Epoch, Epoch]] = {}

    def __call__(self, member: int, members: int, epoch: Epoch) -> None:
        _, best = self._reached.get((member, members), (epoch, epoch))
        self._reached[member, members] = epoch, min(best, epoch, key=_log_loss)
        self._notes[member, members] = self._retold.note(member, members, epoch)

    def ended(self, member: int, members: int) -> None:
        """Say what the epochs of a network have come to."""
        if (member, members) not in self._reached:
            return
        last, best = self._reached.pop((member, members))
        which = f"{name}  " if (name := _which(member, members)) else ""
        # Without validation rows no epoch is the best, and the last one counts.
        reached = f", best {best.number}: {brief(best)}" if best.validation else f": {brief(last)}"
        self._say(f"{which}{last.number} epochs{reached}{self._notes.pop((member, members))}")

    def finish(self) -> None:
        """Say the same of those that were not trained to their end."""
        for place in sorted(self._reached):
            self.ended(*place)


class Growing:
    """The validation log-loss of each network in training as a line of bars that grows; below it how far it is.

    A network that is trained leaves its line and what it has come to.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self._console, self._epochs = console, epochs
        # Above the lines that are drawn over.
        self._summing = Summing(partial(console.print, markup=False, soft_wrap=True))
        self._losses: dict[tuple[int, int], list[float]] = {}
        self._said: dict[tuple[int, int], str] = {}
        # What each network of a candidate that is being trained is at.
        self._tried: dict[Attempt, str] = {}
        self._between = TRAINING

    def __rich__(self) -> Text:
        """What is drawn, also at once below a line that is left, which would else stand there twice for a moment."""
        return self.drawn()

    def __call__(self, member: int, members: int, epoch: Epoch) -> None:
        self._summing(member, members, epoch)
        which = f"{name}  " if (name := _which(member, members)) else ""
        # A student is trained for as many epochs as its teachers took, which are not told.
        most = "" if epoch.validation is None else f" of {self._epochs}"
        self._said[member, members] = f"{which}epoch {epoch.number}{most}  {_scores(epoch)}"
        self._tried = {}
        self._between = TRAINING
        self._losses.setdefault((member, members), []).append(_log_loss(epoch))

    def tried(self, attempt: Attempt, epoch: Epoch | None) -> None:
        """Take what the epoch of a candidate's network has come to; no line of it stays."""
        others = {
            other: line
            for other, line in self._tried.items()
            if other != attempt and other.candidates == attempt.candidates
        }
        if epoch:
            others[attempt] = f"{_called(attempt)}  epoch {epoch.number} of {self._epochs}  {_scores(epoch)}"
        self._tried = others

    def over(self) -> None:
        """Say that no network is trained any more."""
        self._between = MEASURING

    def drawn(self) -> Text:
        """The lines of the networks that are being trained, else those of candidates, or what is done meanwhile."""
        losses = sorted(self._losses.copy().items())  # Drawn in a thread of rich.
        shown = [line for place, one in losses for line in (self._bars(one), Text(self._said[place]))]
        tried = [Text(said) for _, said in sorted(self._tried.items())]
        return Text("\n").join(shown or tried or [Text(self._between)])

    def ended(self, member: int, members: int) -> None:
        """Leave what a network has come to on the terminal."""
        if losses := self._losses.pop((member, members), []):
            self._console.print(self._bars(losses))
        self._summing.ended(member, members)
        if member == members:
            self._between = MEASURING

    def finish(self) -> None:
        """Leave the same of those that were not trained to their end."""
        for place in sorted(self._losses):
            self.ended(*place)

    def _bars(self, losses: Sequence[float]) -> Text:
        # A terminal without these characters gets the numbers alone.
        drawn = "" if self._console.options.ascii_only else bars(losses, min(self._console.width, room()))
        return Text(drawn, style=COLOUR)


def bars(losses: Sequence[float], width: int) -> str:
    """Losses as bars on a logarithmic scale, one an epoch; of more epochs than there is room for, their means."""
    parts = np.array_split(np.array(losses), min(len(losses), width))
    levels = np.log([max(part.mean(), 1e-6) for part in parts])
    heights = (levels - levels.min()) / (np.ptp(levels) or 1.0)
    return "".join(BARS[height] for height in np.rint(heights * (len(BARS) - 1)).astype(int))


def _which(member: int, members: int) -> str:
    """The network that is trained: a member of several, or the student behind the last."""
    if member == members:
        return "student"
    return f"member {member + 1} of {members}" if members > 1 else ""


def _called(attempt: Attempt) -> str:
    """A candidate, and the member that it stands for."""
    member = f", {which}" if (which := _which(attempt.member, attempt.members)) else ""
    return f"candidate {attempt.candidate + 1} of {attempt.candidates}{member}"


def _line(which: str, epoch: Epoch) -> str:
    place = f"{which}  " if which else ""
    return f"{place}epoch {epoch.number:4d}  loss {epoch.loss:.4f}  {brief(epoch)}"


def brief(epoch: Epoch) -> str:
    return f"validation {_scores(epoch)}" if epoch.validation else _scores(epoch)


def _scores(epoch: Epoch) -> str:
    """What the validation rows say; a student has none, and its loss is held against its teachers' answers."""
    if epoch.validation is None:
        return f"loss {epoch.loss:.4f}"
    return f"log-loss {epoch.validation.log_loss:.4f}  accuracy {epoch.validation.accuracy:.4f}"


def _log_loss(epoch: Epoch) -> float:
    return epoch.validation.log_loss if epoch.validation else epoch.loss
