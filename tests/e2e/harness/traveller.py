"""One VM that is moved again and again while something breaks, and the ending that SAFETY.md rule 4 asks for. It is moved from wherever it
is to the other of h1 and h2; its serial console tells whether its memory is whole."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import unittest
from contextlib import suppress
from typing import Any

from ballast_lab.heartbeat import Watcher
from harness.api import ENDED, ApiError
from harness.base import say, wait_for
from harness.cluster import Cluster, CopyWatch

LOAD = "16:200:random"
SLOW = "20mbit"  # a push or a pull takes half a minute: it can be met in any phase
# QEMU's own cap of a pull: a minute on a free wire. What the guest asks for comes all the same, so it beats from the pull's first second.
TRICKLE = 1 << 20
# QEMU's cap of the push before it: a guest this small is over a free wire before the switch is asked for, and nothing is left to pull.
HELD_PUSH = 16 << 20
# The same for the round of a hybrid: long enough for the guest to write most of its set again, which is what it pulls.
HELD_ROUND = 4 << 20
ON_THE_WAY = ("claimed", "preparing", "setup", "push", "stop_and_copy", "pull")
# Where each mode goes through; a phase that is not in its list is never met.
ROUTES = {"pre_copy": ("setup", "push"), "stop_and_copy": ("setup", "stop_and_copy"), "post_copy": ("setup", "push", "pull"),
          "hybrid": ("setup", "push", "pull")}
# The ending of a disturbed move. `moved`, `stayed`: the same guest, not a beat lost. `restarted`: booted anew from its disk. `stopped`: its
# QEMU died before the switch, and nothing runs.
MOVED, STAYED, RESTARTED, STOPPED = "moved", "stayed", "restarted", "stopped"


class Traveller:
    """The VM, its present move, and what the hosts themselves say of both."""

    def __init__(self, cluster: Cluster, name: str, memory_mib: int = 128, load: str = LOAD, diskless: bool = False) -> None:
        self.cluster, self.name, self.memory_mib, self.load, self.diskless = cluster, name, memory_mib, load, diskless
        self.generation = 0
        self.vm = ""
        self.job = ""
        self.seq = 0
        self.source, self.target = "h1", "h2"
        self.heart: Watcher | None = None
        self.watch: CopyWatch | None = None
        self.beats_behind: int | None = None  # seen when the target's libvirtd began its last step

    # -- before the move

    def settle(self) -> None:
        """Mends every fault, ends every move, and has the VM running on one of the two hosts; a fresh one where it is not whole."""
        self.close()
        self.mend()
        if not self.cluster.daemon.runs():
            self.cluster.daemon.start()
        self.cluster.await_hosts()
        for job in self.cluster.api.items("/jobs"):
            if job["state"] not in ENDED:
                self.cluster.api.wait_job(job["id"], 120)
        if self.vm and self._is_whole():
            return
        self.forget_stale()
        self.discard()
        self.generation += 1
        label = f"{self.name}{self.generation}"
        self.vm = self.cluster.create(label, "h1", memory_mib=self.memory_mib, load=self.load, **self._without_disk())["id"]
        self.cluster.beats(label)
        self.cluster.await_pairs()

    def _without_disk(self) -> dict[str, Any]:
        """What makes a VM that no lock of a disk keeps from running twice; nothing for one with a disk."""
        if not self.diskless:
            return {}
        files = self.cluster.lab.guest_files()
        boot = {"kernel": files["kernel"], "initrd": files["initrd"], "cmdline": f"{files['cmdline']} ballast.load={self.load}"}
        return {"disks": [], "boot": boot}

    def _is_whole(self) -> bool:
        """Whether it runs, once, and has seen no corruption yet."""
        running = self.cluster.lab.where(self.vm, "--state-running")
        sick = "CORRUPT" in self.console.read_text(errors="replace")
        return len(running) == 1 and running == self.cluster.lab.where(self.vm) and running[0] in ("h1", "h2") and not sick

    def forget_stale(self) -> None:
        """Removes what a lost move has left on a host, as an operator would: libvirt lets it go once its libvirtd was started again."""
        owner = self.owner_by_inventory() if self.vm and self.cluster.api.vm_or_none(self.vm) else ""
        for host in self.cluster.lab.where(self.vm) if owner else []:
            if host != owner:
                self.cluster.lab("crash", host, "--libvirtd-only")
                self.cluster.lab("revive", host)
                self.cluster.await_hosts()
                self.cluster.lab.virsh(host, "undefine", self.vm)

    def discard(self) -> None:
        """Ends and deletes it."""
        if not self.vm:
            return
        for host in self.cluster.lab.hosts:
            self.cluster.lab.virsh(host, "destroy", self.vm, check=False)
        wait_for(lambda: (self.cluster.api.vm_or_none(self.vm) or {}).get("state") in (None, "stopped", "crashed", "missing"), 30,
                 f"{self.label} is seen to be off")
        if self.cluster.api.vm_or_none(self.vm):
            self.cluster.delete(self.vm)
        self.vm = ""

    def mend(self) -> None:
        """Undoes whatever a fault may have left behind."""
        facts = self.cluster.lab.refresh()
        for host in facts["hosts"]:
            if host["state"] == "stopped":
                self.cluster.lab("cont", host["name"])
            if host["link"] != "up":
                self.cluster.lab("heal", host["name"])
            if host["rate"]:
                self.cluster.lab("slow", host["name"], "off")
            if host["state"] == "down":
                self.cluster.lab("revive", host["name"])
        self.cluster.lab.refresh()

    def close(self) -> None:
        """Ends the looking."""
        if self.watch is not None:
            self.watch.__exit__()
        if self.heart is not None:
            self.heart.close()
        self.watch = self.heart = None

    @property
    def label(self) -> str:
        """The VM's name."""
        return f"{self.name}{self.generation}"

    @property
    def console(self) -> pathlib.Path:
        """Where the guest's heart is seen to beat."""
        return self.cluster.lab.console(self.label)

    # -- the move

    def look(self) -> None:
        """Learns where it is, and watches its heart and its copies from now on."""
        (self.source,) = self.cluster.lab.where(self.vm, "--state-running")
        self.target = "h2" if self.source == "h1" else "h1"
        self.heart = Watcher(str(self.console))
        self.watch = CopyWatch(self.cluster.lab, self.vm)
        self.watch.__enter__()
        self.seq = self.cluster.api.last_seq()

    def begin(self, mode: str, rate: str = SLOW, **policy: Any) -> str:
        """Looks, then asks for the move over a slow wire; the job's id."""
        self.look()
        return self.ask(mode, rate, **policy)

    def ask(self, mode: str, rate: str = SLOW, **policy: Any) -> str:
        """Asks for the move over a slow wire; the job's id."""
        if rate:
            self.cluster.lab("slow", self.source, rate)
        self.job = str(self.cluster.api.post(f"/vms/{self.vm}/migrate", self.body(mode, **policy))["id"])
        return self.job

    def body(self, mode: str, **policy: Any) -> dict[str, Any]:
        """What asks for this move."""
        return {"to": self.target, "mode": mode, **({"policy": policy} if policy else {})}

    def row(self) -> dict[str, Any]:
        """The migration's record; empty before it is claimed."""
        try:
            found: dict[str, Any] = self.cluster.api.get(f"/migrations/{self.job}")
            return found
        except ApiError as error:
            if error.status != 404:
                raise
            return {}

    def phase(self) -> str:
        """Where the move is."""
        return str(self.row().get("phase", ""))

    def reach(self, phase: str, seconds: float = 90) -> None:
        """Waits until the move is in `phase`, and fails when it passed it by. In push, stop-and-copy and pull some memory has gone over the
        wire; in pull the target's CPUs run and its libvirtd awaits the rest. (Before, a fault meets QEMU 7.2 in `cont`: see docs/MIGRATION.md 7.)"""
        order = ("", *ON_THE_WAY)
        self.beats_behind = None

        def there() -> bool:
            now = self.phase()
            if now == phase:
                return phase == "setup" or (phase != "pull" or self.target_finishes()) and self.sent() > 1 << 20
            if now == "verifying" and phase == "pull":
                return False  # a switch that was refused is asked for again
            if now not in order or phase not in order or order.index(now) > order.index(phase):
                raise AssertionError(f"it went by {phase}: it is in {now}: {self.cluster.api.job(self.job)['error']}")
            return False

        wait_for(there, seconds, f"the move is in {phase}", 0.02)

    def target_finishes(self) -> bool:
        """Whether the guest's heart beats on the target, whose libvirtd has begun the last step by its own notes. Until then libvirtd ends a
        QEMU that runs and pulls already when it is started again, and the running state with it."""
        socket = self.cluster.lab.hosts[self.target]["uri"].split("socket=")[1]
        notes = pathlib.Path(socket).parent / "qemu" / f"{self.label}.xml"
        with suppress(FileNotFoundError):
            if "phase='finish3'" in notes.read_text(encoding="utf-8") and self.beats_behind is None:
                self.beats_behind = self.beats()
        return self.beats_behind is not None and self.beats() > self.beats_behind + 1

    def beats(self) -> int:
        """How many beats were seen of its heart."""
        assert self.heart is not None
        self.heart.poll()
        return len(self.heart.sequence)

    def sent(self) -> int:
        """Bytes over the wire, by what the source's libvirt says."""
        info = self.cluster.lab.virsh(self.source, "domjobinfo", self.vm, "--rawstats", check=False)
        found = [line.split(":")[1] for line in info.splitlines() if line.startswith("data_processed:")]
        return int(found[0]) if found else 0

    def hurry(self) -> None:
        """Takes the cap off a pull, so that the end comes soon; one that has ended has none."""
        with suppress(ApiError):
            self.cluster.api.post(f"/migrations/{self.job}/tune", {"post_copy_bandwidth_bytes_per_second": 1 << 30})

    def pulled(self) -> float:
        """The share of memory that has gone over, by what the source's libvirt says."""
        info = self.cluster.lab.virsh(self.source, "domjobinfo", self.vm, "--rawstats", check=False)
        facts = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        total = int(facts.get("memory_total", 0))
        return 1 - int(facts.get("memory_remaining", total)) / total if total else 0.0

    def full_speed(self) -> None:
        """Takes the brake off, so that the end comes soon."""
        self.cluster.lab("slow", self.source, "off")

    def qemu(self, host: str, seconds: float = 20) -> int:
        """The pid of this VM's QEMU on a host."""
        mark = f"guest={self.label},".encode()

        def find() -> int:
            self.cluster.lab.refresh()
            for pid in self.cluster.lab.hosts[host]["qemu_pids"]:
                with suppress(OSError):
                    if mark in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                        return int(pid)
            return 0

        return wait_for(find, seconds, f"{self.label} has a QEMU on {host}", 0.02)

    def kill_qemu(self, host: str) -> None:
        """kill -9, as the OOM killer does."""
        os.kill(self.qemu(host), signal.SIGKILL)

    # -- the ending

    def wait_end(self, seconds: float = 120) -> dict[str, Any]:
        """The job as it ended, while the guest is watched."""
        def ended() -> dict[str, Any] | None:
            assert self.heart is not None
            self.heart.poll()
            job = self.cluster.api.job(self.job)
            return job if job["state"] in ENDED else None

        try:
            return wait_for(ended, seconds, "the move ends", 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.row()}") from error

    def kinds(self) -> list[str]:
        """The kinds of the events of this VM and its move since the move was asked for."""
        return [e["kind"] for e in self.cluster.api.events(self.seq) if e["subject_id"] in (self.vm, self.job)]

    def assert_ending(self, test: unittest.TestCase, allowed: tuple[str, ...], seconds: float = 120, stale: bool = False) -> str:
        """What must be true after every fault; gives the ending that it was. `stale`: libvirt keeps a definition on the source that only an
        operator can remove; Ballast says so."""
        job = self.wait_end(seconds)
        self.cluster.await_hosts()
        ending = self._ending(job)
        why = (job["error"] or {}).get("message", "")
        say(f"  {ending}: {job['state']} {why}")
        test.assertIn(ending, allowed, f"{job['state']} {why}; runs on {self.cluster.lab.where(self.vm, '--state-running')}")
        owners = {MOVED: self.target, STAYED: self.source, STOPPED: self.source}
        self.assert_settled(test, owners.get(ending) or self.owner_by_inventory(), ending, stale)
        return ending

    def assert_settled(self, test: unittest.TestCase, owner: str, ending: str = MOVED, stale: bool = False) -> None:
        """One copy on `owner`, whole, and books that say so."""
        left = [self.source] if stale and self.source != owner and self.vm in self.cluster.lab.domains(self.source) else []
        self._assert_one_copy(test, owner, ending, left)
        self.assert_heart(test, ending)
        self._assert_bookkeeping(test, bool(left))

    def owner_by_inventory(self) -> str:
        """Where Ballast says that it is."""
        return self.cluster.host_name(self.cluster.api.vm(self.vm)["host"])

    def _ending(self, job: dict[str, Any]) -> str:
        if "vm.running_state_lost" in self.kinds():
            return RESTARTED
        if job["state"] == "succeeded":
            return MOVED
        return STAYED if self.cluster.lab.where(self.vm, "--state-running") else STOPPED

    def _assert_one_copy(self, test: unittest.TestCase, owner: str, ending: str, left: list[str]) -> None:
        """Exactly one definition, at the owner (but for what is known to be left), and exactly one running copy (or none that should); the inventory says the same."""
        lab = self.cluster.lab
        runs = [] if ending == STOPPED else [owner]
        states = ("crashed", "stopped") if ending == STOPPED else ("running",)
        try:
            wait_for(lambda: lab.where(self.vm, "--state-running") == runs and lab.where(self.vm) == sorted([owner, *left]), 30,
                     "one copy")
            wait_for(lambda: self.cluster.api.vm(self.vm)["state"] in states, 30, "the inventory says so")
        except AssertionError:
            test.fail(f"{ending}: runs on {lab.where(self.vm, '--state-running')}, defined on {lab.where(self.vm)}, "
                      f"owner {owner}, wanted {states}, inventory {self.cluster.api.vm(self.vm)}")
        assert self.watch is not None
        test.assertEqual([], self.watch.doubled, "two copies ran at once")
        test.assertEqual(owner, self.owner_by_inventory())

    def assert_heart(self, test: unittest.TestCase, ending: str = MOVED) -> None:
        """Every beat in order and no page but its own; a guest that was booted anew begins anew."""
        heart = self.heart
        assert heart is not None
        if ending != STOPPED:
            goal = len(heart.sequence) + 10
            wait_for(lambda: heart.poll() >= 0 and len(heart.sequence) >= goal, 90, f"{self.label} beats on")
        test.assertEqual([], heart.corrupt, "the guest's memory is not what it wrote")
        if ending in (MOVED, STAYED):
            test.assertTrue(heart.contiguous(), f"beats are missing or doubled: {heart.report()}")
        if ending == RESTARTED:
            falls = [b for a, b in zip(heart.sequence, heart.sequence[1:]) if b != a + 1]
            test.assertEqual(1, len(falls), f"it was to begin anew once: {heart.report()}")
            test.assertLess(falls[0], 20, "it did not begin anew")

    def _assert_bookkeeping(self, test: unittest.TestCase, stale: bool) -> None:
        """Claim released, nobody waits for the VM, no orphan, and the inventory says what every host says."""
        wait_for(lambda: self.cluster.api.vm(self.vm)["job"] is None, 30, "no job holds the VM")
        events = [e["kind"] for e in self.cluster.api.events(self.seq) if e["kind"].startswith("claim.")]
        test.assertEqual(events.count("claim.made"), events.count("claim.released"), "a claim was left over")
        alerts = [a for a in self.cluster.api.vm(self.vm)["alerts"] if a.startswith(("conflict:", "stale definition:"))]
        test.assertEqual(["stale definition"] if stale else [], [a.split(":")[0] for a in alerts], alerts)
        self.cluster.assert_no_orphans(test)
        self.cluster.assert_true_inventory(test)


class HandMove:
    """`virsh migrate` in the background, as an operator would run it by hand."""

    def __init__(self, traveller: Traveller, to: str) -> None:
        lab = traveller.cluster.lab
        self.process = subprocess.Popen(
            ["virsh", "-q", "-c", lab.hosts[traveller.source]["uri"], "migrate", traveller.vm, lab.hosts[to]["peer_uri"], "--live",
             "--p2p", "--persistent", "--undefinesource", "--unsafe"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait(self, seconds: float = 120) -> tuple[int, str]:
        """Exit code and words."""
        try:
            words, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, words.strip()
