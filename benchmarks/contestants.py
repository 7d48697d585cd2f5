"""The classifiers that ours is held against, each with its own defaults, on the same rows and cores.

scikit-learn's networks get median imputation, standard scaling and one-hot; trees and the deep anchors get the raw
numbers and native categories. `pip install catboost lightgbm xgboost "pytabkit[models]"` for those beyond scikit-learn.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data.rows import Rows

Floats = npt.NDArray[np.floating[Any]]
SCIKIT = ("LogisticRegression", "MLPClassifier", "HistGradientBoosting")
BOOSTED = ("LightGBM", "XGBoost", "CatBoost")
DEEP = ("RealMLP-TD", "TabM")
CONTESTANTS = (*SCIKIT, *BOOSTED, *DEEP)


def fit_and_predict(name: str, rows: Rows, labels: npt.NDArray[np.int64], train: Any, test: Any) -> tuple[Any, Floats]:
    """Train one contestant; the classes that it knows, and its probabilities of the rows `test`."""
    frame, categorical = table_of(rows, train)
    model = build(name, categorical, len(train))
    more = {}
    if name in DEEP:
        more = {"cat_col_names": categorical}
        numbers = frame.columns.difference(categorical)
        frame[numbers] = frame[numbers].fillna(frame.iloc[train][numbers].median())
    # XGBoost wants classes without a gap, and rare ones may all be test rows.
    classes, numbered = np.unique(labels[train], return_inverse=True)
    model.fit(frame.iloc[train], numbered, **more)
    return classes[np.asarray(model.classes_).ravel().astype(int)], np.asarray(model.predict_proba(frame.iloc[test]))


def table_of(rows: Rows, train: Any) -> tuple[Any, list[str]]:
    """The rows as a frame: numbers, then the codes of texts as categories; and the names of the latter."""
    import pandas as pd

    filled = ~np.isnan(rows.numeric[train]).all(axis=0)  # Trees refuse a column without a value.
    frame = pd.DataFrame({f"n{place}": rows.numeric[:, place] for place in np.flatnonzero(filled)})
    categorical = [f"c{place}" for place in range(rows.codes.shape[1])]
    for place, name in enumerate(categorical):
        frame[name] = pd.Categorical(rows.codes[:, place])
    return frame, categorical


def build(name: str, categorical: list[str], rows: int) -> Any:
    """A contestant with its defaults, and one thread."""
    if name in SCIKIT:
        return _of_scikit_learn(name, categorical, rows)
    return _boosted(name, categorical) if name in BOOSTED else _deep(name)


def _of_scikit_learn(name: str, categorical: list[str], rows: int) -> Any:
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if name == "HistGradientBoosting":
        return HistGradientBoostingClassifier(categorical_features=categorical or None, random_state=0)
    numbers = make_column_selector(dtype_include=[np.number])
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=10 if rows > 2000 else None), categorical),
    )
    network = LogisticRegression(max_iter=1000) if name == "LogisticRegression" else MLPClassifier(random_state=0)
    return make_pipeline(encoder, network)


def _boosted(name: str, categorical: list[str]) -> Any:
    if name == "LightGBM":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(random_state=0, n_jobs=1, verbose=-1)
    if name == "XGBoost":
        from xgboost import XGBClassifier

        return XGBClassifier(random_state=0, n_jobs=1, enable_categorical=True)
    from catboost import CatBoostClassifier

    return CatBoostClassifier(
        random_seed=0, thread_count=1, cat_features=categorical, verbose=False, allow_writing_files=False
    )


def _deep(name: str) -> Any:
    from pytabkit import RealMLP_TD_Classifier, TabM_D_Classifier

    shared = {"random_state": 0, "device": "cpu", "n_threads": 1, "val_metric_name": "cross_entropy"}
    if name == "TabM":
        return TabM_D_Classifier(**shared)
    # Without label smoothing, as its authors advise where the log-loss counts.
    return RealMLP_TD_Classifier(**shared, use_ls=False)
