"""The network as a scikit-learn classifier. The only room that knows scikit-learn."""

from trainer.estimator.classifier import BatchNormMLPClassifier

__all__ = ["BatchNormMLPClassifier"]
