"""`deploy/kubernetes` against Kubernetes' published schemas, and what no schema can say against the code."""

import os
import re
from pathlib import Path

import kubernetes_validate
import pytest

from service.http.budget import BUDGET, RESERVE
from service.processes.capacity import SHARED_BYTES, WORKER_BYTES
from service.processes.server import PATIENCE_SECONDS
from service.routes.table import HEALTH, READINESS, scope_of
from service.settings import Settings, unknown_variables
from service.telemetry.exposition import GAUGES
from tests.end_to_end.kubernetes import (
    FOLDER,
    ROOT,
    Resource,
    below,
    build,
    environment,
    kubectl,
    megabytes,
    one,
    pod_templates,
)

# The oldest that the page names, and the newest that has been published.
VERSIONS = ("1.28", "1.37")
OVERLAYS = ("volume", "bucket")
PAGE = (ROOT / "docs/kubernetes.md").read_text()


@pytest.fixture(params=OVERLAYS)
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    return build(FOLDER / request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_fits_the_published_schema(resources: list[Resource], version: str) -> None:
    """No field that Kubernetes does not know, none of the wrong type, none missing."""
    for resource in resources:
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("field", ["readynessProbe", "replicas"])
def test_the_schema_finds_a_mistake(field: str) -> None:
    """A misspelled field, and a number that is a text."""
    deployment = one(build(FOLDER / "volume"), "Deployment")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment | {"spec": deployment["spec"] | {field: "2"}}, "1.37", strict=True)


def test_kserves_pod_fits_the_published_schema() -> None:
    """Its own fields are held against its SDK in tests/clients."""
    runtime = one(build(FOLDER / "kserve"), "ServingRuntime")
    pod = {key: runtime["spec"][key] for key in ("containers", "volumes")}
    for version in VERSIONS:
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": pod}
        kubernetes_validate.validate(whole, version, strict=True)


def test_kserve_serves_the_claim_that_training_fills() -> None:
    """By the runtime that is built beside it, and under the name of the model that is trained."""
    resources, volume = build(FOLDER / "kserve"), build(FOLDER / "volume")
    asked, runtime = one(resources, "InferenceService"), one(resources, "ServingRuntime")
    model = asked["spec"]["predictor"]["model"]

    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"] in [
        {key: each[key] for key in ("name", "version")} for each in runtime["spec"]["supportedModelFormats"]
    ]
    assert model["storageUri"] == f"pvc://{one(volume, 'PersistentVolumeClaim')['metadata']['name']}/"
    arguments = one(volume, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert asked["metadata"]["name"] == arguments[arguments.index("--name") + 1]


def test_what_a_pod_names_exists(resources: list[Resource]) -> None:
    """ConfigMaps and volumes are built too, Secrets are made by a command of the page; each volume is mounted."""
    built = {(each["kind"], each["metadata"]["name"]) for each in resources}
    for pod in pod_templates(resources):
        names = [("ConfigMap", each["name"]) for each in below(pod, "configMapRef")]
        names += [("PersistentVolumeClaim", each["claimName"]) for each in below(pod, "persistentVolumeClaim")]
        assert set(names) <= built
        secrets = [each["secretName"] for each in below(pod, "secret")]
        secrets += [each["name"] for key in ("secretRef", "secretKeyRef") for each in below(pod, key)]
        for secret in secrets:
            assert f"create secret generic {secret} " in PAGE
        (container,) = pod["spec"]["containers"]
        assert sorted(each["name"] for each in pod["spec"]["volumes"]) == sorted(
            each["name"] for each in container["volumeMounts"]
        )


def test_selectors_match(resources: list[Resource]) -> None:
    """Service, disruption budget, policies and spread select the service's pods and no other; ports and targets fit."""
    pods = list(pod_templates(resources))
    deployment = one(resources, "Deployment")
    serving = deployment["spec"]["template"]
    asked, closed = (one(resources, "NetworkPolicy", f"evenkeel-{name}")["spec"] for name in ("asked", "closed"))
    selectors = [
        one(resources, "Service")["spec"]["selector"],
        one(resources, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        deployment["spec"]["selector"]["matchLabels"],
        asked["podSelector"]["matchLabels"],
        *(each["matchLabels"] for each in below(serving, "labelSelector")),
    ]
    for selector in selectors:
        assert [pod for pod in pods if selector.items() <= pod["metadata"]["labels"].items()] == [serving]
    assert one(resources, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    # Nobody has a network who is not given one.
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    (container,) = serving["spec"]["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == Settings().port
    named = [*below(asked, "port"), *below(one(resources, "Service"), "targetPort"), *below(container, "httpGet")]
    assert {each["port"] if isinstance(each, dict) else each for each in named} == {port["name"]}


@pytest.mark.parametrize("folder", [*OVERLAYS, "kserve"])
def test_variables_are_settings(folder: str) -> None:
    """Each is one that the service reads, with a value that it takes."""
    resources = build(FOLDER / folder)
    for pod in pod_templates(resources):
        given = environment(pod, resources)
        assert unknown_variables(given) == []
        Settings.from_environment(given)


@pytest.mark.parametrize("folder", [*OVERLAYS, "kserve"])
def test_pods_are_closed(folder: str) -> None:
    """As the strictest of the Pod Security Standards wants it, and with a read-only root besides."""
    for pod in pod_templates(build(FOLDER / folder)):
        (container,) = pod["spec"]["containers"]
        context = pod["spec"].get("securityContext", {}) | container["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        kinds = {kind for volume in pod["spec"]["volumes"] for kind in volume.keys() - {"name"}}
        assert kinds <= {"emptyDir", "secret", "persistentVolumeClaim", "configMap"}
        assert container["resources"].keys() == {"requests", "limits"}
    for pod in below(build(FOLDER / folder), "enableServiceLinks"):
        assert pod is False


@pytest.mark.parametrize("folder", [*OVERLAYS, "kserve"])
def test_numbers_fit_together(folder: str) -> None:
    """A pod has time to drain, memory for its workers and its files in memory, and a processor for each worker."""
    resources = build(FOLDER / folder)
    pod = next(pod_templates(resources))
    (container,) = pod["spec"]["containers"]
    settings = Settings.from_environment(environment(pod, resources))
    (grace,) = {*below(resources, "terminationGracePeriodSeconds")}
    in_memory = sum(megabytes(each["sizeLimit"]) for each in below(pod, "emptyDir") if each.get("medium") == "Memory")
    worker = WORKER_BYTES + (BUDGET + RESERVE) * settings.max_body_bytes

    assert settings.drain_seconds + PATIENCE_SECONDS < grace
    assert settings.workers == int(container["resources"]["requests"]["cpu"])
    needed = (SHARED_BYTES + settings.workers * worker >> 20) + in_memory
    assert needed <= megabytes(container["resources"]["limits"]["memory"])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = container[probe]["httpGet"]["path"]
        assert path in (READINESS if probe == "readinessProbe" else HEALTH - READINESS)
        assert scope_of(path) is None


def test_the_autoscaler_asks_for_what_is_measured(tmp_path: Path) -> None:
    """The component adds a metric that the service exposes, to the one of the processor."""
    base, component = (os.path.relpath(FOLDER / name, tmp_path) for name in ("volume", "in-flight"))
    (tmp_path / "kustomization.yaml").write_text(f"resources: [{base}]\ncomponents: [{component}]\n")
    scaler = one(build(tmp_path), "HorizontalPodAutoscaler")

    kubernetes_validate.validate(scaler, VERSIONS[0], strict=True)
    processor, waiting = scaler["spec"]["metrics"]
    assert processor["resource"]["name"] == "cpu"
    name = waiting["pods"]["metric"]["name"]
    assert name.removeprefix("evenkeel_") in GAUGES
    assert name in PAGE


def test_the_images_are_those_that_are_built() -> None:
    targets = re.findall(r"^FROM \S+ AS (trainer|service)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    images = {
        each.partition(":")[0] for folder in (*OVERLAYS, "kserve") for each in below(build(FOLDER / folder), "image")
    }

    assert images == {f"evenkeel-{target}" for target in targets}


def test_the_pages_commands_name_what_is_built(tmp_path: Path) -> None:
    """Without a cluster: the Secret has the file that the service reads, the overlay of the reader's own is built, and
    each name is that of a resource.
    """
    blocks = re.findall(r"^```(sh|yaml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    commands = [line.split() for language, text in blocks if language == "sh" for line in text.splitlines()]
    secrets = [each for each in commands if each[1:3] == ["create", "secret"]]
    for file in ("keys", "storage"):
        (tmp_path / file).write_text("a line\n")
    given = environment(next(pod_templates(build(FOLDER / "bucket"))), build(FOLDER / "bucket"))
    for command in secrets:
        dry = [part.replace("deploy/keys", str(tmp_path)) for part in command[1:]]
        (made,) = kubectl(*dry, "--dry-run=client", "--output=yaml")
        kubernetes_validate.validate(made, VERSIONS[0], strict=True)
        mount = {"evenkeel-keys": "/run/keys/", "evenkeel-bucket": "/run/bucket/"}[made["metadata"]["name"]]
        assert {mount + file for file in made["data"]} <= set(given.values())

    names = set()
    start, bucket, own = (text for language, text in blocks if language == "yaml" and "rules:" not in text)
    for base, settings in (("volume", own), ("bucket", own.partition("\n")[2] + bucket.partition("\n")[2])):
        folder = tmp_path / base
        folder.mkdir()
        relative = os.path.relpath(FOLDER / base, folder)
        generator = "" if settings.startswith("configMapGenerator") else "configMapGenerator:\n"
        (folder / "kustomization.yaml").write_text(start.replace("../volume", relative) + generator + settings)
        built = build(folder)
        assert one(built, "ConfigMap", "evenkeel-settings")["data"]["EVENKEEL_DEFAULT_MODEL"] == "mine"
        assert {each.split("/")[0] for each in below(built, "image")} == {"images.example.com"}
        names |= {(each["kind"].lower(), each["metadata"]["name"]) for each in built}
    assert one(built, "ConfigMap", "evenkeel-bucket")["data"]["EVENKEEL_REPOSITORY"] == "s3://mine/models"
    for command in commands:
        for kind, name in re.findall(r"(deployment|service|cronjob)/(\S+)", " ".join(command)):
            assert (kind, name) in names
