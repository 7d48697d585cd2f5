"""The report of a version, drawn from its card and its figures: the same text whenever it is drawn."""

from models.card import FileDigest, ModelCard
from models.figures import FIGURES, REPORT, Figures
from models.files import sha256
from trainer.report.answers import confidence, mistakes, rankings
from trainer.report.inputs import columns, dependence, importance
from trainer.report.learning import learning
from trainer.report.normalisation import normalisation
from trainer.report.origin import origin
from trainer.report.page import brief, document
from trainer.report.story import story

PARTS = {
    "learning": "learning curves",
    "mistakes": "confusion matrix",
    "ranking": "ROC",
    "reliability": "calibration",
    "importance": "importance",
    "dependence": "dependence",
    "batch-norm": "batch norm",
    "repeat": "reproduction",
}


def drawn(card: ModelCard, model: bytes, figures: Figures) -> dict[str, bytes]:
    """The files beside a model that is about to be published: its figures and its report, by name."""
    files = {"model.onnx": model, FIGURES: figures.to_json()}
    digests = {file: FileDigest(bytes=len(data), sha256=sha256(data)) for file, data in files.items()}
    page = report(card.model_copy(update={"files": digests}), figures)
    return {FIGURES: files[FIGURES], REPORT: page.encode()}


def report(card: ModelCard, figures: Figures | None) -> str:
    """The whole page; without figures, as old versions are, what the card alone tells."""
    made = card.provenance
    sections = [story(card, figures)]
    if figures is None:
        sections.append(
            f"<p>This version was published without {FIGURES}, so its training, its columns and its rankings "
            "cannot be drawn. A training without <code>--no-report</code> gives all of it.</p>"
        )
    if figures:
        sections.append(learning(card, figures))
    sections.append(mistakes(card))
    if figures:
        sections += [
            rankings(figures),
            confidence(card, figures),
            importance(figures, card.features),
            dependence(figures),
            columns(figures, card.features),
        ]
    sections += [normalisation(card, figures), origin(card, figures)]
    written = "".join(sections)
    links = "".join(f'<a href="#{part}">{name}</a>' for part, name in PARTS.items() if f'id="{part}"' in written)
    title = f"{card.name}: {brief(made.target)} from {brief(made.table)}"
    return document(title, [f"<nav>{links}</nav>", written])
