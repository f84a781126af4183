"""One lab host whose memory cgroup is its capacity, its guests, and a watch over both. Everything is ended by down()."""

from __future__ import annotations

import pathlib
import threading
import time
from typing import Any

from harness.base import Lab, wait_for

from ballast_lab import cgroup
from ballast_lab.state import load_lab
from memory_lab.guests import Console, Look, Shape
from memory_lab.ksm import TICK
from memory_lab.rules import HostFigures

HOST = "h1"
LOOK_S = 0.5
PAGE = 4096
BOOT_S = 180.0  # also beside compilers
WITHIN = "within"
DEVICE = ("<memballoon model='virtio' freePageReporting='on'>", "<memballoon model='virtio' freePageReporting='on' autodeflate='on'>")


class Watch:
    """Looks at host and guests twice a second, on a thread of its own."""

    def __init__(self, lab: Lab) -> None:
        self.host = load_lab(lab.name).host(HOST)
        self.limit = cgroup.limit_bytes(self.host)
        self.looks: dict[str, list[tuple[float, Look]]] = {}
        self.free: list[tuple[float, float]] = []
        self._consoles: dict[str, Console] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._end.set()
        self._thread.join(30)

    def follow(self, name: str, console: pathlib.Path) -> None:
        """From now on this guest too."""
        with self._lock:
            self._consoles[name], self.looks[name] = Console(console), []

    def forget(self, name: str) -> None:
        """It was ended by us."""
        with self._lock:
            self._consoles.pop(name, None)
            self.looks.pop(name, None)

    def figures(self) -> HostFigures:
        """The host as it is now, its page cache counted as free."""
        used = cgroup.used_bytes(self.host) - cgroup.cached_bytes(self.host)
        return HostFigures(self.limit, max(0.0, float(self.limit - used)))

    def last_at(self, name: str) -> tuple[float, Look]:
        """What was last seen of a guest, and when that was."""
        with self._lock:
            seen = self.looks.get(name)
            return seen[-1] if seen else (0.0, Look(0, 0, 0))

    def last(self, name: str) -> Look:
        """What was last seen of a guest."""
        return self.last_at(name)[1]

    def at(self, name: str, moment: float) -> tuple[float, Look] | None:
        """What was seen of it at that moment, or first after it."""
        with self._lock:
            return next((look for look in self.looks.get(name, []) if look[0] >= moment), None)

    def least_free(self, since: float) -> float:
        """Of the host, in bytes."""
        with self._lock:
            return min((free for moment, free in self.free if moment >= since), default=float(self.limit))

    def _run(self) -> None:
        while not self._end.wait(LOOK_S):
            free = self.figures().free
            with self._lock:
                now = time.monotonic()
                self.free.append((now, free))
                for name, console in self._consoles.items():
                    self.looks[name].append((now, console.look()))


class Bed:
    """Guests made by virsh, as the rules without admission have them. ballast_bed.py has them made by Ballast."""

    def __init__(self, shape: Shape, memory_mib: int) -> None:
        self.shape, self.memory_mib = shape, memory_mib
        self.lab = Lab()
        self.guests: list[str] = []
        self.watch: Watch | None = None
        self._made = self._fallen = 0

    @property
    def eye(self) -> Watch:
        """The watch, which is there between up() and down()."""
        assert self.watch is not None
        return self.watch

    def up(self) -> "Bed":
        """From nothing."""
        try:
            self.open()
            self.watch = Watch(self.lab)
        except BaseException:
            self.down()
            raise
        return self

    def open(self) -> None:
        """The lab, and who manages it."""
        self.lab.up(1, self.memory_mib)

    def close(self) -> None:
        """The opposite."""
        self.lab.down()

    def down(self) -> None:
        """Ends all of it."""
        if self.watch is not None:
            self.watch.close()
            self.watch = None
        self.close()

    def oom_kills(self) -> int:
        """Of the host's OOM killer, since up()."""
        return cgroup.oom_kills(self.eye.host)

    def _of_qemus(self, file: str) -> list[list[str]]:
        """The words of a file of /proc/PID of each QEMU, those behind its name."""
        found = []
        for pid in self.lab.refresh()["hosts"][0]["qemu_pids"]:
            try:
                found.append(pathlib.Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").rpartition(")")[2].split())
            except OSError:
                continue  # it ended meanwhile
        return found

    def qemu_bytes(self, field: int) -> float:
        """The sum of a field of statm over all QEMUs of the host: 0 is their address space, 1 what is resident."""
        return float(sum(int(words[field]) for words in self._of_qemus("statm")) * PAGE)

    def qemu_cpu_s(self) -> float:
        """CPU time of all QEMUs that run."""
        return sum(int(words[11]) + int(words[12]) for words in self._of_qemus("stat")) / TICK

    def boots_beyond_the_first(self) -> int:
        """Guests that fell over and were booted anew: out of memory, their kernel panics, as the load is its init."""
        return self._fallen + sum(max(0, self.eye.last(name).boots - 1) for name in self.guests)

    def add(self, count: int = 1) -> str:
        """Makes so many guests at once; "" or why there is no room: WITHIN at its beginning, where they were begun and it went wrong."""
        names = []
        for _ in range(count):
            name = f"m{self._made}"
            self._made += 1
            if why := self.make(name, self._made):
                return why
            self.guests.append(name)
            names.append(name)
            self.eye.follow(name, self.lab.console(name))
        return self.await_work(names)

    def await_work(self, names: list[str]) -> str:
        """Until they have their working set, which some never get, and the host's OOM killer may come first."""
        kills = self.oom_kills()

        def settled() -> bool:
            return self.oom_kills() > kills or all(self.shape.at_work(self.eye.last(name).pages) for name in names)

        try:
            wait_for(settled, BOOT_S, "it works", 0.3)
        except AssertionError:
            return f"{WITHIN} {BOOT_S:.0f} s {', '.join(names)} did not get the working set"
        return f"{WITHIN} the start of {', '.join(names)} the host's OOM killer struck" if self.oom_kills() > kills else ""

    def make(self, name: str, index: int) -> str:
        """One guest, defined and started; its devices are those that Ballast gives its VMs."""
        xml = self.lab.guest_xml(name, "--memory-mib", str(self.shape.memory_mib), "--load", self.shape.words(index),
                                 "--disk-mib", str(self.shape.disk_mib))
        xml.write_text(xml.read_text(encoding="utf-8").replace(*DEVICE), encoding="utf-8")
        self.lab.virsh(HOST, "define", str(xml))
        try:
            self.lab.virsh(HOST, "start", name)
        except AssertionError as error:
            self.lab.virsh(HOST, "undefine", name, check=False)
            return f"{WITHIN} its start {name} failed: {error}"
        return ""

    def end(self, name: str) -> None:
        """Ends one guest."""
        self.lab.virsh(HOST, "destroy", name, check=False)
        self.lab.virsh(HOST, "undefine", name, check=False)
        self.left(name)

    def left(self, name: str) -> None:
        """It is gone; what befell it is not forgotten."""
        self._fallen += max(0, self.eye.last(name).boots - 1)
        self.eye.forget(name)
        self.guests.remove(name)

    def alive(self) -> set[str]:
        """Those whose QEMU runs."""
        return set(self.lab.virsh(HOST, "list", "--name").split())

    def shrink_to(self, count: int) -> None:
        """Ends guests until so many are left: dead ones first, then the newest."""
        running = self.alive()
        for name in sorted(self.guests, key=lambda one: (one in running, -int(one[1:]))):
            if len(self.guests) > count or name not in running:
                self.end(name)

    def figures(self) -> dict[str, Any]:
        """For the line of a case."""
        return {"host_oom_kills": self.oom_kills(), "guest_ooms": self.boots_beyond_the_first()}
