"""The command lines of the search: `search` trains many models, `babysit` one."""

import argparse
import os
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import variables
from models.extras import way_to
from models.machine import available_cores
from models.repository import ModelRepository
from models.staging import NOTHING
from models.terminal import add_command, noting
from models.wording import command_on
from trainer import COMMANDS
from trainer.errors import InvalidSetting, MissingExtra
from trainer.settings.config import TrainingConfig
from trainer.settings.durations import RULE, seconds
from trainer.settings.flags import (
    add_output,
    add_publishing,
    add_table_and_settings,
    count,
    given_settings,
    repository_of,
)

if TYPE_CHECKING:
    from trainer.search.search import Request

SAMPLERS = ("random", "tpe", "grid")
LEADERBOARD, REPORT = "leaderboard.csv", "report.html"


def add_search(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `search`."""
    command = add_command(
        commands,
        "search",
        _search,
        COMMANDS["search"],
        examples=(
            "examples/penguins.csv --target species --name penguins --trials 20",
            "mine.csv --target y --name mine --time-limit 2h --hidden 256,256",
        ),
        epilog="A setting that has a flag is fixed; the others are searched. Whatever stops it, the same command goes "
        "on where it was. Exit codes: 0 done, 64 usage or another study, 65 unfit table or damaged study, 70 workers "
        "lost, 74 cannot read, write or reach the storage, 130 interrupted.",
    )
    search = command.add_argument_group("search")
    search.add_argument(
        "--trials", metavar="N", default="60", help="trials to finish, including those of earlier runs (default: 60)"
    )
    search.add_argument("--jobs", metavar="N", help="worker processes on this machine (default: one per core)")
    search.add_argument(
        "--time-limit", dest="limit", metavar="10m", help="search time at most, in seconds, minutes (m) or hours (h)"
    )
    search.add_argument(
        "--space", type=Path, metavar="FILE", help="TOML file of ranges and choices that replace the default ones"
    )
    search.add_argument(
        "--sampler", metavar="|".join(SAMPLERS), default="random", help="sampler of the trials (default: random)"
    )
    search.add_argument(
        "--stage", metavar="N", help="trials before the ranges narrow (default: a quarter of --trials, 8 to 25)"
    )
    search.add_argument(
        "--seeds",
        metavar="N",
        default="3",
        help="refits of the best trial, one of which is published; 0 publishes none (default: 3)",
    )
    search.add_argument(
        "--study",
        type=Path,
        metavar="FOLDER",
        help="folder of the study (default: .searches/NAME in the repository)",
    )
    search.add_argument(
        "--storage",
        metavar="URL",
        help="postgresql://user@host/database, to share a study among machines (default: EVENKEEL_STORAGE)",
    )
    search.add_argument(
        "--retest",
        action="store_true",
        help="train the leaders again on this table and rank them",
    )
    search.add_argument("--leaders", metavar="N", default="5", help="trials that --retest trains again (default: 5)")
    search.add_argument("--json", action="store_true", help="print JSON instead of tables")
    search.add_argument("--quiet", action="store_true", help="show no progress")
    add_table_and_settings(command)
    add_publishing(command)


def add_babysit(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `babysit`."""
    babysit = add_command(
        commands,
        "babysit",
        _babysit,
        COMMANDS["babysit"],
        examples=(
            "examples/penguins.csv --target species --name penguins --epochs 500",
            "mine.csv --target y --name mine --epochs 10000 --patience 1000",
        ),
        epilog="The run reads .babysit/NAME/control.toml in the repository again after every epoch. Ctrl-C, or stop = "
        "true there, publishes the best epoch so far; after a kill the same command goes on. Exit codes as of fit.",
    )
    add_table_and_settings(babysit)
    add_publishing(babysit)
    add_output(babysit)


def _search(options: argparse.Namespace) -> None:
    for library in ("optuna", "psycopg"):
        if not find_spec(library):
            raise MissingExtra(f"search needs {library}: {way_to('search')}")
    repository = repository_of(options)
    repository.versions(options.name)  # A name that breaks the grammar is refused before anything begins.
    request, seeds = _request(options, repository), count("--seeds", options.seeds, least=0)
    if seeds:
        repository.check_writable(options.name)
    if options.retest:
        _retest(options, request, seeds)
    else:
        _run(options, request, repository, seeds)


def _run(options: argparse.Namespace, request: "Request", repository: ModelRepository, seeds: int) -> None:
    from trainer.search import finish, leaderboard, report, screen
    from trainer.search.crew import run_workers
    from trainer.search.search import open_search
    from trainer.search.study import importances
    from trainer.terminal import progress

    with open_search(request) as search:
        folder, shares = request.place.folder, {}
        try:
            with noting(NOTHING, KeyboardInterrupt), screen.searching(search.plan, quiet=options.quiet) as watch:
                run_workers(search, watch)
        finally:
            if trials := search.finished():
                leaderboard.write_csv(folder / LEADERBOARD, search.plan, trials)
                shares = importances(search.plan.box, trials)
                winner = finish.leading(search, trials).command(command_on(repository, "fit"))
                report.write(folder / REPORT, search.config, search.plan, trials, shares, winner)
        refitting = partial(screen.refitting, quiet=options.quiet)
        publish = partial(finish.publish, with_report=not options.no_report)
        outcome = publish(search, repository, seeds, refitting) if seeds and trials else None
        with noting(outcome.fact) if outcome else nullcontext():
            if options.json:
                document = leaderboard.document(request.place.name, search.plan, trials, shares)
                screen.show_json({**document, "version": search.study.published.get("version")})
                return
            screen.show_leaderboard(search.plan, trials, shares)
            if outcome:
                progress.show(outcome, repository)
            elif version := search.study.published.get("version"):
                print(f"Published already, version {version}")
            screen.show_files(folder, (LEADERBOARD, REPORT))
            if trials:
                screen.show_winner(finish.leading(search, trials, outcome).command(command_on(repository, "fit")))


def _retest(options: argparse.Namespace, request: "Request", seeds: int) -> None:
    from trainer.search import screen
    from trainer.search.retest import retest

    verdict = retest(request, count("--leaders", options.leaders), max(seeds, 1))
    if options.json:
        screen.show_json(verdict.document())
    else:
        screen.show_verdict(verdict)


def _babysit(options: argparse.Namespace) -> None:
    from trainer.job import job
    from trainer.search.babysit import Babysitter, Control
    from trainer.terminal import progress

    repository = repository_of(options)
    config = TrainingConfig.of(**{"members": 1, **given_settings(options), "selection": False})
    if config.members != 1:
        raise InvalidSetting(f"--members should be 1, not {config.members}: one model is looked after at a time")
    repository.versions(config.name)  # A name that breaks the grammar is refused before anything begins.
    with progress.watching_curve(quiet=options.quiet, verbose=options.verbose) as curve:
        control = Control(repository.root / ".babysit" / config.name, curve.report)
        babysitter = Babysitter(control, curve.begin)
        outcome = job.run(
            config,
            repository,
            curve,
            resume=True,
            train=babysitter,
            annotate=control.annotate,
            with_report=not options.no_report,
        )
    with noting(outcome.fact):
        control.remove()
        progress.show(outcome, repository, quiet=options.quiet)


def _request(options: argparse.Namespace, repository: ModelRepository) -> "Request":
    from trainer.search.place import HIDDEN, Place
    from trainer.search.search import Request

    if options.sampler not in SAMPLERS:
        raise InvalidSetting(
            f"--sampler should be {', '.join(SAMPLERS[:-1])} or {SAMPLERS[-1]}, not {options.sampler!r}"
        )
    folder = options.study or repository.root / HIDDEN / options.name
    address = options.storage or variables.read(os.environ, "EVENKEEL_STORAGE", variables.one_line)
    return Request(
        given_settings(options),
        Place(options.name, folder, address),
        count("--trials", options.trials),
        count("--jobs", options.jobs) if options.jobs else available_cores(),
        options.sampler,
        options.space,
        count("--stage", options.stage, least=5) if options.stage else None,
        _seconds(options.limit) if options.limit else None,
    )


def _seconds(text: str) -> float:
    if found := seconds(text):
        return found
    raise InvalidSetting(f"--time-limit {RULE}, not {text[:64]!r}")
