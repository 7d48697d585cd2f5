"""Sets by MAPIE of probabilities in a file, divided as benchmarks/sets.py does: coverage, size, none at all.

python mapie_sets.py FILE.npz LEVEL ROWS SPLITS, in an environment with benchmarks/peers/requirements/mapie.txt.
"""

import json
import sys
import warnings

import numpy as np
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

APS = {"random": {"include_last_label": "randomized"}, "whole": {"include_last_label": True}}


class Known(ClassifierMixin, BaseEstimator):
    """A classifier whose rows are their own probabilities."""

    def fit(self, probabilities, labels):
        self.classes_ = np.arange(probabilities.shape[1])
        self.n_features_in_ = probabilities.shape[1]
        return self

    def predict_proba(self, probabilities):
        return probabilities

    def predict(self, probabilities):
        return probabilities.argmax(axis=1)


def main() -> None:
    path, level, rows, splits = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    warnings.simplefilter("ignore")
    held = np.load(path)
    labels = held["labels"]
    probabilities = held["probabilities"].astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    known = Known().fit(probabilities, labels)
    # Of two classes MAPIE knows no other score than LAC, which has no last class.
    score, ways = ("lac", {"lac": {}}) if probabilities.shape[1] == 2 else ("aps", APS)
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    for seed in range(splits):
        kept, others = np.split(np.random.default_rng(seed).permutation(len(labels)), [rows])
        mapie = SplitConformalClassifier(known, level, score, prefit=True, random_state=seed)
        mapie.conformalize(probabilities[kept], labels[kept])
        for way, params in ways.items():
            _, sets = mapie.predict_set(probabilities[others], conformity_score_params=params)
            sets = sets[:, :, 0]
            sizes = sets.sum(axis=1)
            hit = sets[np.arange(len(others)), labels[others]]
            found[way].append((float(hit.mean()), float(sizes.mean()), float((sizes == 0).mean())))
    print(json.dumps({way: np.mean(each, axis=0).tolist() for way, each in found.items()}))


if __name__ == "__main__":
    main()
