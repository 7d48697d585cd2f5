import json

import pytest
from pydantic import ValidationError

from models.card import ModelCard
from models.evaluation import AtThreshold, Baseline, ClassScore, Confusion, Evaluation
from models.wording import aligned, evaluation_lines


def evaluation(classes: int, others: int = 0) -> Evaluation:
    """Each class has ten rows, of which the last is taken for the next class."""
    labels = [f"class {number}" for number in range(classes)]
    shown = classes - others + (1 if others else 0)
    counts = tuple(
        tuple(9 if column == row else 1 if column == (row + 1) % shown else 0 for column in range(shown))
        for row in range(shown)
    )
    return Evaluation(
        rows=10 * classes,
        log_loss=0.25,
        accuracy=0.9,
        accuracy_interval=(0.85, 0.93),
        auc=0.975,
        macro_f1=0.9,
        classes=tuple(
            ClassScore(label=label, rows=10, predicted=10, precision=0.9, recall=0.9, f1=0.9) for label in labels
        ),
        confusion=Confusion(labels=tuple(labels[: classes - others]), others=others, counts=counts),
        baselines=(
            Baseline(
                kind="commonest class", answer="class 0", log_loss=1.1, accuracy=0.3, gain=0.8, gain_interval=(0.7, 0.9)
            ),
        ),
    )


def test_few_classes_get_the_whole_matrix() -> None:
    """What was taken for what stands beside precision and recall."""
    lines = list(evaluation_lines(evaluation(3)))

    assert lines[0].split() == ["30", "test", "rows", "log-loss", "accuracy", "interval"]
    assert lines[1].split() == ["this", "model", "0.2500", "0.9000", "0.850", "to", "0.930"]
    assert lines[2].split() == ["always", "class", "0", "1.1000", "0.3000"]
    assert lines[-1].split() == ["class", "2", "10", "0.9000", "0.9000", "0.9000", "1", "0", "9"]


def test_many_classes_get_their_commonest_mistakes() -> None:
    """And a line that says how many there are beside those that are shown."""
    text = "\n".join(evaluation_lines(evaluation(40, others=20)))

    assert "and 20 more classes, in the card" in text
    assert "most frequent errors: class 0 for class 1 (1)" in text
    assert "the confusion matrix holds the 20 classes with the most errors" in text


def test_a_threshold_gets_a_line() -> None:
    """A share that has no meaning is a dash."""
    found = AtThreshold(predicted=0, precision=None, recall=0.0, f1=0.0)
    text = "\n".join(evaluation_lines(evaluation(2).model_copy(update={"at_threshold": found})))

    assert "at the threshold 0 rows are predicted positive: precision -, recall 0.0000, F1 0.0000" in text


def test_numbers_stand_under_each_other() -> None:
    """Words to the left, numbers to the right."""
    lines = aligned([("", "rows"), ("a", "1"), ("longer", "12")])

    assert list(lines) == ["        rows", "a          1", "longer    12"]


def test_long_text_goes_on_below_itself() -> None:
    """Wrapped between words, at its own place, or in a line of its own where that is too narrow; a word stays whole."""
    facts = [("rows", "1"), ("read as", "one two three four five six seven")]

    assert list(aligned(facts, left=2, width=34)) == [
        "rows     1",
        "read as  one two three four five",
        "         six seven",
    ]
    assert list(aligned(facts, left=2, width=24)) == [
        "rows     1",
        "read as",
        "    one two three four",
        "    five six seven",
    ]
    assert list(aligned([("name", "x" * 50)], left=2, width=40)) == ["name  " + "x" * 50]


def test_a_matrix_that_is_too_wide_gives_way_to_the_mistakes() -> None:
    """Six classes with names of 24 letters: no line is longer than it may be."""
    found = evaluation(6)
    names = [f"a class of many letters {number}" for number in range(6)]
    scores = tuple(one.model_copy(update={"label": name}) for one, name in zip(found.classes, names, strict=True))
    confusion = found.confusion.model_copy(update={"labels": tuple(names)})
    lines = list(evaluation_lines(found.model_copy(update={"classes": scores, "confusion": confusion}), width=78))

    assert max(map(len, lines)) <= 78
    assert any(line.startswith("most frequent errors: ") for line in lines)
    assert "as class 5" in "\n".join(evaluation_lines(evaluation(6), width=120))


def test_an_earlier_card_has_no_evaluation(card: ModelCard) -> None:
    """It loads as ever, and has none of the parts that are newer than it."""
    document = json.loads(card.to_json())
    for part in ("evaluation", "warnings", "positive", "threshold"):
        del document[part]
    earlier = ModelCard.model_validate_json(json.dumps(document))

    assert (earlier.evaluation, earlier.warnings, earlier.positive, earlier.threshold) == (None, (), None, None)


@pytest.mark.parametrize(("part", "value"), [("positive", "maybe"), ("threshold", 1.5), ("threshold", "high")])
def test_a_positive_class_is_one_of_the_classes(card: ModelCard, part: str, value: object) -> None:
    """And a threshold a probability."""
    document = json.loads(card.to_json()) | {part: value}

    with pytest.raises(ValidationError):
        ModelCard.model_validate_json(json.dumps(document))


def test_a_card_with_an_evaluation_survives_the_disk(card: ModelCard) -> None:
    """Warnings, threshold and all."""
    whole = card.model_copy(
        update={"evaluation": evaluation(25, 5), "warnings": ("so so",), "positive": "<=50K", "threshold": 0.2}
    )

    assert ModelCard.model_validate_json(whole.to_json()) == whole


def test_a_blank_at_the_end_of_a_class_is_seen() -> None:
    """In quotes, wherever classes are listed; others stand as they are."""
    plain = evaluation(3)
    first, *others = plain.classes
    blank = plain.model_copy(update={"classes": (first.model_copy(update={"label": "no "}), *others)})

    starts = [line.split("  ")[0] for line in evaluation_lines(blank)]
    assert "'no '" in starts
    assert "class 1" in starts
