"""The contract between trainer and service: features, model cards, and the model repository on disk."""

__version__ = "0.2.0"
