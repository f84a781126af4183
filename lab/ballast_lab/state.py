"""What a lab is made of and what is remembered of it: names, paths, addresses, pids.

Everything but the pids and faults follows from the lab's name, so that `down` works without a state file.
One writer at a time: take `locked(name)` around every change.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from ballast_lab.shell import LabError, Process

RUN_ROOT = pathlib.Path("/run/ballast-lab")
STORE_ROOT = pathlib.Path("/var/lib/ballast-lab")
LOCAL_POOL = pathlib.Path("/var/lib/ballast-local")
MAX_HOSTS = 32
_UUID_SPACE = uuid.UUID("5f0a1f0e-6c0b-4f56-9a39-ba11a571ab00")


def boot_id() -> str:
    """Names this boot of the machine: pids of an earlier boot mean nothing."""
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


@dataclass
class Host:
    """One simulated host. `lab` is its lab's name; the rest is what can change."""

    lab: str
    name: str
    address: str
    qemu_user: str = "root"
    holder: Process | None = None
    libvirtd: Process | None = None
    link: str = "up"
    rate: str = ""
    crashed: bool = False

    @property
    def netns(self) -> str:
        """Its network namespace, as `ip netns` knows it."""
        return f"bl-{self.lab}-{self.name}"

    @property
    def run_dir(self) -> pathlib.Path:
        """What it sees as /run/libvirt (sockets, run state)."""
        return RUN_ROOT / self.lab / self.name / "run"

    @property
    def conf_dir(self) -> pathlib.Path:
        """Its private files of /etc that do not outlive the lab's run."""
        return RUN_ROOT / self.lab / self.name / "etc"

    @property
    def store_dir(self) -> pathlib.Path:
        """Backing of its /var/lib/libvirt, /etc/libvirt, logs, cache and local pool."""
        return STORE_ROOT / self.lab / self.name

    @property
    def uri(self) -> str:
        """libvirt URI for a client in the machine's own namespace."""
        return f"qemu+unix:///system?socket={self.run_dir}/libvirt-sock"

    @property
    def tcp_uri(self) -> str:
        """libvirt URI for a client inside the lab's network."""
        return f"qemu+tcp://{self.address}/system"

    @property
    def peer_uri(self) -> str:
        """libvirt URI under which the other hosts reach it."""
        return f"qemu+tcp://{self.name}/system"

    @property
    def host_uuid(self) -> str:
        """Stable over `down` and `up`, different on every host and lab."""
        return make_uuid(self.lab, self.name)


@dataclass
class Lab:
    """One lab: a switch and its hosts."""

    name: str
    subnet: str = ""  # first three octets
    memory_mib: int = 0
    sound_qemu: bool = False
    boot: str = field(default_factory=boot_id)
    exporter: Process | None = None
    exporter_port: int = 0
    hosts: list[Host] = field(default_factory=list)

    @property
    def run_dir(self) -> pathlib.Path:
        """State file and the hosts' run directories."""
        return RUN_ROOT / self.name

    @property
    def store_dir(self) -> pathlib.Path:
        """Pools, definitions, logs."""
        return STORE_ROOT / self.name

    @property
    def shared_dir(self) -> pathlib.Path:
        """The pool that is the same storage on all hosts."""
        return self.store_dir / "shared"

    @property
    def console_dir(self) -> pathlib.Path:
        """Where serial consoles may be written: the same directory on all hosts."""
        return self.store_dir / "console"

    @property
    def switch_netns(self) -> str:
        """The namespace that holds the bridge between the hosts."""
        return f"bl-{self.name}-switch"

    @property
    def gateway(self) -> str:
        """The switch's own address."""
        return f"{self.subnet}.1"

    def host(self, name: str) -> Host:
        """The host called `name`; a LabError lists those that exist."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabError(f"lab '{self.name}' has no host '{name}': it has {', '.join(h.name for h in self.hosts)}")

    def save(self) -> None:
        """Writes the state file whole or not at all."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        draft = self.run_dir / "state.json.new"
        draft.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")
        draft.rename(self.run_dir / "state.json")


def make_uuid(*words: str) -> str:
    """A UUID that depends on the words alone."""
    return str(uuid.uuid5(_UUID_SPACE, "/".join(words)))


def check_name(name: str) -> str:
    """Accepts a lab's name that fits into namespace and file names."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,23}", name):
        raise LabError(f"'{name}' can't name a lab: use up to 24 of a-z, 0-9 and -, starting with a letter")
    return name


def find_lab(name: str) -> Lab | None:
    """The lab as recorded, or None. Pids of an earlier boot are dropped."""
    try:
        raw = json.loads((RUN_ROOT / name / "state.json").read_text(encoding="utf-8"))
        hosts = [Host(**{**h, "holder": _process(h["holder"]), "libvirtd": _process(h["libvirtd"])})
                 for h in raw.pop("hosts")]
        lab = Lab(**{**raw, "exporter": _process(raw.get("exporter"))}, hosts=hosts)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # also a file of another version of this program: `up` then begins anew
    if lab.boot != boot_id():
        lab.exporter = None
        for host in lab.hosts:
            host.holder = host.libvirtd = None
    return lab


def load_lab(name: str) -> Lab:
    """The lab as recorded; a LabError says how to make it when there is none."""
    lab = find_lab(name)
    if lab is None:
        raise LabError(f"there is no lab '{name}': make it with 'lab/lab --name {name} up --hosts 3'")
    return lab


def _process(raw: dict[str, int] | None) -> Process | None:
    return Process(**raw) if raw else None


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock of one lab (or '.global'): a second command waits for the first."""
    RUN_ROOT.mkdir(parents=True, exist_ok=True)
    with open(RUN_ROOT / f".{name}.lock", "w", encoding="utf-8") as handle:
        os.set_inheritable(handle.fileno(), False)
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def living_names() -> list[str]:
    """Names of the labs that have a run directory."""
    return sorted(p.name for p in RUN_ROOT.glob("*") if p.is_dir())


def pick_subnet() -> str:
    """A 10.X.Y that no recorded lab uses (call with '.global' locked)."""
    taken = {lab.subnet for lab in map(find_lab, living_names()) if lab is not None}
    for third in range(1, 255):
        if (subnet := f"10.97.{third}") not in taken:
            return subnet
    raise LabError("254 labs are up already: end some with 'lab/lab --name NAME down'")
