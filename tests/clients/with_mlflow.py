"""MLflow's client of its scoring server: a frame with gaps, which it sends as NaN, and with the label's own column."""

import sys
from urllib.parse import urlsplit

import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

FRAME = pd.DataFrame(
    {
        "species": ["Gentoo", "Chinstrap"],
        "island": ["Biscoe", "Dream"],
        "bill_length_mm": [45.1, float("nan")],
        "bill_depth_mm": [14.5, 17.9],
        "flipper_length_mm": [215, 192],
        "body_mass_g": [5000.0, 3500.0],
        "sex": ["female", None],
        "year": [2007, 2008],
    }
)


def main(url: str) -> None:
    address = urlsplit(url)
    client = ScoringServerClient(address.hostname, address.port)
    client.wait_server_ready()
    assert client.get_version()
    predictions = client.invoke(FRAME).get_predictions()
    assert list(predictions["label"]) == ["Gentoo", "Chinstrap"]
    assert [one["code"] for one in predictions["warnings"][0]] == ["extra_feature"]


main(sys.argv[1])
