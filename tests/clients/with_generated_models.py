"""Someone who made Pydantic models by datamodel-code-generator: what is asked and what is answered both fit them."""

import sys

import requests
from generated import Penguins, PenguinsAnswers, PenguinsInstances

FIELDS = {"bill_length_mm": 45.1, "bill_depth_mm": 14.5, "flipper_length_mm": 215, "body_mass_g": 5000, "year": 2007}


def main(url: str) -> None:
    asked = PenguinsInstances.model_validate({"instances": [Penguins(island="Biscoe", sex=None, **FIELDS)]})
    answer = requests.post(f"{url}/predict", json=asked.model_dump(mode="json"), timeout=5)
    said = PenguinsAnswers.model_validate(answer.json())
    assert said.predictions[0].label.value == "Gentoo", answer.text
    assert said.model.version == 1


main(sys.argv[1])
