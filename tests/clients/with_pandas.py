"""Someone with a data frame: as a table in three layouts, as records, and as columns."""

import sys

import pandas as pd
import requests

FRAME = pd.DataFrame(
    {
        "island": ["Biscoe", "Dream"],
        "bill_length_mm": [45.1, None],
        "bill_depth_mm": [14.5, 17.9],
        "flipper_length_mm": [215, 192],
        "body_mass_g": [5000.0, 3500.0],
        "sex": ["female", None],
        "year": [2007, 2008],
    }
)


def main(url: str) -> None:
    records = FRAME.astype(object).where(FRAME.notna(), None).to_dict(orient="records")
    expected = requests.post(f"{url}/predict", json={"instances": records}, timeout=5).json()["predictions"]
    for orient in ("split", "records"):
        body = f'{{"dataframe_{orient}": {FRAME.to_json(orient=orient)}}}'
        answer = requests.post(f"{url}/invocations", body, headers={"Content-Type": "application/json"}, timeout=5)
        assert answer.json()["predictions"] == expected, answer.text
    csv = FRAME.to_csv(index=False)
    answer = requests.post(f"{url}/invocations", csv, headers={"Content-Type": "text/csv"}, timeout=5)
    assert answer.json()["predictions"] == expected, answer.text

    kinds = {"float64": "FP64", "int64": "INT64", "object": "BYTES"}
    columns = [
        {
            "name": name,
            "shape": [len(FRAME)],
            "datatype": kinds[str(FRAME[name].dtype)],
            "data": [record[name] for record in records],
        }
        for name in FRAME
    ]
    answer = requests.post(f"{url}/v2/models/penguins/infer", json={"inputs": columns}, timeout=5).json()
    labels = answer["outputs"][0]["data"]
    assert labels == [prediction["label"] for prediction in expected]
    assert pd.DataFrame(expected).shape == (2, 3)


main(sys.argv[1])
