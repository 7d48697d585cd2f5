"""All figures of a model."""

from pathlib import Path

from models.card import ModelCard
from models.figures import MOST_FEATURES, MOST_LEADING, MOST_MEMBERS, Figures
from trainer.evaluation.answers import HeldOut
from trainer.figures.curves import confidences, curves
from trainer.figures.distributions import distributions
from trainer.figures.importance import PERMUTATIONS, dependences, importances
from trainer.figures.learning import course, layers, unit_course
from trainer.files import text_of
from trainer.fitting.fitted import Fitted
from trainer.fitting.start import Start, generator
from trainer.settings.config import TrainingConfig

# A stream of randomness of its own: nothing that is trained or published changes by it.
STREAM = 901


def figures(config: TrainingConfig, start: Start, fitted: Fitted, answers: HeldOut, card: ModelCard) -> Figures:
    """Measure what the report shows beside what the card says. The networks stay as they are."""
    test = start.examples.take(start.split.test)
    weighed, rows = importances(fitted.classifier, test, generator(config.seed, STREAM))
    first, classifier, student = fitted.networks[0], fitted.classifier, fitted.student
    chosen = list(dict.fromkeys([*(one.feature for one in weighed), *(one.name for one in card.features)]))
    spread = distributions(start.examples.take(start.told(start.split.train)), start.encoder, chosen[:MOST_FEATURES])
    leading, leading_rows = dependences(classifier, test, spread[:MOST_LEADING])
    return Figures(
        command=_anywhere(config).command(),
        rows=rows,
        dependence_rows=leading_rows,
        permutations=PERMUTATIONS,
        importance=weighed,
        courses=tuple(course(member.history) for member in fitted.bag.members[:MOST_MEMBERS]),
        student=course(student.trained.history) if student else None,
        curves=curves(answers.test, classifier.classes, card.positive, card.threshold),
        before=confidences(answers.test.uncalibrated, answers.test),
        after=confidences(answers.test.probabilities, answers.test),
        distributions=spread,
        dependence=leading,
        layers=layers(first.network),
        unit=unit_course(first.network, first.history),
    )


def _anywhere(config: TrainingConfig) -> TrainingConfig:
    """The settings without the folders of this machine."""
    paths = ("table", "table_schema", "test_table")
    given = {name: getattr(config, name) for name in paths}
    return config.model_copy(update={name: Path(text_of(path)) for name, path in given.items() if path is not None})
