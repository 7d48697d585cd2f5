"""Engine hosts of a swarm: each a Docker engine of its own in a network namespace, joined by a bridge. Needs root."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Host:
    """A host by its number: its address, and the engine that answers on its socket."""

    number: int
    folder: Path

    @property
    def address(self) -> str:
        return f"10.97.0.{self.number}"

    @property
    def link(self) -> str:
        """Its end of the cable on the bridge; down, the host is gone."""
        return f"evkl{self.number}"

    def docker(self, *arguments: str, check: bool = True) -> str:
        command = ["docker", "--host", f"unix://{self.folder}/socket", *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0 or not check, f"{command}\n{run.stderr}"
        return run.stdout.strip()


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def hosts(count: int, folder: Path) -> Iterator[list[Host]]:
    """So many hosts, whose engines have nothing yet. `folder` is short: sockets lie in it."""
    with ExitStack() as stack:
        ip("link", "add", "evkbridge", "type", "bridge")
        stack.callback(ip, "link", "del", "evkbridge")
        ip("addr", "add", "10.97.0.254/24", "dev", "evkbridge")
        ip("link", "set", "evkbridge", "up")
        # Docker's own rules drop what is forwarded from one host to the next.
        rule = ["FORWARD", "-i", "evkbridge", "-o", "evkbridge", "-j", "ACCEPT"]
        subprocess.run(["iptables", "-I", *rule], check=True)
        stack.callback(subprocess.run, ["iptables", "-D", *rule], check=True)
        yield [stack.enter_context(_host(Host(number, folder / str(number)))) for number in range(1, count + 1)]


@contextmanager
def _host(host: Host) -> Iterator[Host]:
    space = f"evkhost{host.number}"
    host.folder.mkdir(parents=True)
    ip("netns", "add", space)
    ip("link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", space)
    ip("link", "set", host.link, "master", "evkbridge", "up")
    ip("-n", space, "addr", "add", f"{host.address}/24", "dev", "eth0")
    for device in ("eth0", "lo"):
        ip("-n", space, "link", "set", device, "up")
    ip("-n", space, "route", "add", "default", "via", "10.97.0.254")
    names = [f"--{what}={host.folder}/{what}" for what in ("data-root", "exec-root", "pidfile")]
    daemon = f"hostname host{host.number}; exec dockerd --host=unix://{host.folder}/socket {' '.join(names)}"
    with (host.folder / "log").open("wb") as log:
        command = ["nsenter", f"--net=/run/netns/{space}", "unshare", "--uts", "sh", "-c", daemon]
        engine = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not host.docker("info", "--format", "{{.ServerVersion}}", check=False):
            assert time.monotonic() < deadline, (host.folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield host
    finally:
        host.docker("swarm", "leave", "--force", check=False)
        left = host.docker("ps", "--quiet", check=False).split()
        host.docker("kill", *left, check=False)
        engine.terminate()
        engine.wait(PATIENCE_S)
        for mounted in sorted(Path("/proc/mounts").read_text().split("\n"), reverse=True):
            if len(place := mounted.split(" ")) > 1 and place[1].startswith(f"{host.folder}/"):
                subprocess.run(["umount", "--lazy", place[1]], check=False)
        ip("netns", "del", space)
        shutil.rmtree(host.folder, ignore_errors=True)


def may_be_made() -> bool:
    """Whether this machine lets hosts be made."""
    return os.geteuid() == 0 and all(shutil.which(tool) for tool in ("dockerd", "nsenter", "unshare", "ip", "iptables"))
