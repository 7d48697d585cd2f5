"""What deploy/kubernetes/kserve says to KServe, held against the types of its own SDK.

Whatever is a pod's is held against Kubernetes' schemas in tests/end_to_end/test_kubernetes.py.
"""

import re
from pathlib import Path
from typing import Any

import kserve.models
import yaml

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes/kserve"
KINDS = {"runtime.yaml": "V1alpha1ServingRuntime", "penguins.yaml": "V1beta1InferenceService"}
SIMPLE = {"str": str, "int": int, "bool": bool}


def check(value: Any, kind: str, place: str) -> None:
    """Every field is one that the SDK knows, and of its type."""
    if (of := re.fullmatch(r"[lL]ist\[(\w+)\]", kind)) is not None:
        for number, part in enumerate(value):
            check(part, of[1], f"{place}[{number}]")
    elif kind in SIMPLE:
        assert type(value) is SIMPLE[kind], (place, kind, value)
    elif (model := getattr(kserve.models, kind, None)) is not None:
        fields = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
        for name, part in value.items():
            assert name in fields, f"{place}.{name}: {kind} has {sorted(fields)}"
            check(part, fields[name], f"{place}.{name}")


for file, kind in KINDS.items():
    check(yaml.safe_load((FOLDER / file).read_text()), kind, file)
