#!/usr/bin/python3
"""A real host runs more VMs than its memory: idle guests are squeezed, one that needs memory gets it back, also after kill -9 of the daemon;
every byte of the host is accounted for; somebody else at a balloon is named; what was found is put back when the host is let go; danger ends in a
VM on disk, not in the OOM killer."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tty
import unittest
from typing import Any

from harness.base import say, wait_for
from harness.cluster import MIB, Cluster

HOST_MIB = 3000
NAMES = ("m1", "m2", "m3", "m4", "m5", "m6")  # of 768 MiB each: 4.5 GiB and their QEMUs on 2.9 GiB
KSM = pathlib.Path("/sys/kernel/mm/ksm")

cluster = Cluster(1, HOST_MIB, "memory.read_interval=1s", "memory.sweep_interval=2s", "memory.on_stop=give_back", "memory.first_guess=5s")
found: dict[str, str] = {}


def setUpModule() -> None:
    for name in ("run", "pages_to_scan", "sleep_millisecs"):
        found[name] = (KSM / name).read_text().strip()
    (KSM / "run").write_text("1")
    cluster.up()


def tearDownModule() -> None:
    try:
        cluster.down()
    finally:
        for name, value in found.items():
            (KSM / name).write_text(value)


def memory() -> dict[str, Any]:
    """Where every byte of h1 is."""
    view: dict[str, Any] = cluster.api.get("/hosts/h1/memory")
    return view


def picture(name: str) -> dict[str, Any]:
    """One VM of it; empty while it is not seen."""
    return next((vm for vm in memory()["vms"] if vm["name"] == name), {})


def balloon(name: str) -> int:
    """What the guest has, by its host, in bytes."""
    words = cluster.lab.virsh("h1", "domstats", "--balloon", cluster.api.vm(name)["id"]).split()
    return next(int(word.partition("=")[2]) * 1024 for word in words if word.startswith("balloon.current="))


def reserve() -> int:
    """What h1 keeps free, in MiB."""
    return int(next(part["size_bytes"] for part in memory()["parts"] if part["part"] == "reserve")) // MIB


def told(kind: str) -> list[str]:
    """What was told under that kind."""
    return [event["message"] for event in cluster.api.events() if event["kind"] == kind]


def drained(console: int) -> bool:
    """Reads what has come: a console that is open and not read holds its guest up."""
    try:
        while os.read(console, 65536):
            pass
    except BlockingIOError:
        pass
    return True


class Hog:
    """Takes memory of the host away, in its cgroup; the more, the more its guests give back."""

    PROGRAM = """import os, sys, urllib.request
open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))
counts = ('node_memory_MemFree_bytes ', 'node_memory_Cached_bytes ')
def available():
    lines = urllib.request.urlopen(sys.argv[2], timeout=10).read().decode().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(counts)) >> 20
held = []
for line in sys.stdin:
    while (more := available() - int(line)) > 0:  # little at a time: guests take, too
        held += [os.urandom(4096) * 256 for _ in range(min(more, 16))]
    print('held', flush=True)
"""

    def __init__(self) -> None:
        host = cluster.lab.hosts["h1"]
        self.process = subprocess.Popen([sys.executable, "-c", self.PROGRAM, host["cgroup"], host["exporter"]],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def leave(self, mib: int) -> None:
        """Takes what is available above that, by the host's exporter."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{mib}\n")
        self.process.stdin.flush()
        if self.process.stdout.readline().strip() != "held":
            raise AssertionError("the hog got no memory")

    def end(self) -> None:
        """Gives it back."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


class Overcommit(unittest.TestCase):
    """In the order of their names: each goes on from what the one before it left."""

    def tearDown(self) -> None:
        host = cluster.lab.refresh()["hosts"][0]
        self.assertEqual(0, host["oom_kills"], "the OOM killer struck")

    def test_a_more_vms_than_memory(self) -> None:
        """By promise of their minimums; every maximum together is nearly twice the host."""
        for name in NAMES:
            wait_for(self.has_room, 150, f"{name} is admitted by what was seen of the others", every=1)
            cluster.create(name, "h1", memory_mib=768, memory_minimum_bytes=160 * MIB, load="48:100:random",
                           overcommit={"priority": -5 if name == "m6" else 0, "may_suspend": name == "m6"}, memory_policy="dense")
            cluster.beats(name)
            wait_for(lambda n=name: picture(n).get("working_set", {}).get("trust") == "trusted", 30, f"{name} is believed")
        wait_for(lambda: len(memory()["vms"]) == len(NAMES), 30, "all of them are seen")
        wait_for(lambda: all(balloon(name) < 768 * MIB for name in NAMES), 90, "idle guests are squeezed")
        view = memory()
        say(cluster.daemon.ballast("host", "memory", "h1").stdout)
        say(cluster.daemon.ballast("memory").stdout)
        self.assertEqual(HOST_MIB * MIB, view["total_bytes"])
        self.assertEqual(view["total_bytes"], sum(part["size_bytes"] for part in view["parts"]), "every byte is somewhere")
        unexplained = next(part["size_bytes"] for part in view["parts"] if part["part"] == "unexplained")
        self.assertLess(abs(unexplained), 0.02 * view["total_bytes"])
        self.assertEqual("full", view["exporter"]["sight"])
        self.assertIn("p99 demand leaves", view["risk"]["words"])
        for name in NAMES:
            self.assertEqual("trusted", picture(name)["working_set"]["trust"], name)

    def test_b_one_that_needs_memory_gets_it_also_after_kill_9(self) -> None:
        """It begins to work on 300 MiB while no daemon runs, and then on 500 MiB."""
        self.assertLess(balloon("m1"), 768 * MIB)
        cluster.daemon.kill9()
        self.set_load("m1", "300:3000:sequential")
        cluster.daemon.start()
        cluster.await_hosts()
        try:
            wait_for(lambda: balloon("m1") >= 340 * MIB, 90, "m1 has what it needs")

            def has_it() -> bool:  # the guest takes no more than it has room for, so it asks again
                if balloon("m1") < 520 * MIB:
                    self.set_load("m1", "500:3000:sequential")
                return balloon("m1") >= 520 * MIB
            wait_for(has_it, 120, "m1 has what it needs now", every=5)
        except AssertionError as error:
            raise AssertionError(f"{error}: {picture('m1')} {self.console('m1')[-400:]}") from error
        self.assertNotIn("CORRUPT", self.console("m1"))
        self.assertEqual("running", cluster.api.vm("m1")["state"])

    def test_c_somebody_else_at_a_balloon_is_named_and_not_fought(self) -> None:
        """virsh setmem, again and again."""
        vm = cluster.api.vm("m2")["id"]
        for _ in range(8):
            cluster.lab.virsh("h1", "setmem", vm, "740M", "--live")
            for _ in range(3):
                seen = memory()["at"]
                wait_for(lambda s=seen: memory()["at"] != s, 20, "the host is swept again")
            if "somebody else" in picture("m2")["left_alone"]:
                break
        self.assertIn("somebody else", picture("m2")["left_alone"])
        wait_for(lambda: any("somebody else" in message for message in told("vm.balloon_left_alone")), 20, "that is told")

    def test_d_danger_is_climbed_and_left_without_the_oom_killer(self) -> None:
        """Something else takes the host's memory: the ladder is climbed, nobody is admitted, and it is left again."""
        cluster.daemon.ballast("host", "set", "h1", "--memory-policy", "dense")
        wait_for(lambda: memory()["policy"] == "dense", 20, "h1 is dense")
        hog = None
        try:
            hog = Hog()

            def in_danger() -> bool:
                hog.leave(reserve() * 47 // 100)  # half of it is where the host is pressed
                return memory()["level"] in ("pressed", "critical")
            wait_for(in_danger, 60, "the host is in danger", every=1)
            say(f"{memory()['level']}: {memory()['level_why']}")
            self.assertFalse(memory()["admits"])
            refused = cluster.api.refusal("/vms", cluster.vm_body("late", "h1", memory_mib=768, memory_minimum_bytes=160 * MIB))
            self.assertIn("h1", refused)
        finally:
            if hog is not None:
                hog.end()
        wait_for(lambda: memory()["level"] in ("tight", "comfortable"), 90, "it is calmer again", every=1)
        wait_for(lambda: any("was comfortable" in level for level in told("host.memory_level")), 20, "the level is told")
        say("\n".join(told("host.memory_level") + told("host.memory_act")))

    def test_e_a_saved_vm_goes_on_where_it_was(self) -> None:
        """The last resort's act alone, asked for by hand."""
        cluster.delete("m1")  # its 500 MiB leave room beyond doubt
        wait_for(lambda: memory()["admits"], 90, "it admits again", every=1)
        cluster.api.run_job("/vms/m6/save", {}, 120)
        wait_for(lambda: cluster.api.vm("m6")["state"] == "stopped", 30, "m6 is on disk")
        before = cluster.lab.console("m6").read_text(errors="replace").count("BOOT settings")
        wait_for(self.has_room, 120, "it has room again", every=1)
        cluster.api.run_job("/vms/m6/start", {}, 120)
        length = len(cluster.lab.console("m6").read_text(errors="replace"))
        wait_for(lambda: len(cluster.lab.console("m6").read_text(errors="replace")) > length, 60, "it beats on")
        self.assertEqual(before, cluster.lab.console("m6").read_text(errors="replace").count("BOOT settings"), "it did not boot anew")

    def test_f_a_clean_stop_gives_back_what_there_is(self) -> None:
        """Balloons grow, KSM is as it was found."""
        before = sum(balloon(name) for name in NAMES[2:5])
        say(str(told("host.ksm")) + cluster.daemon.ballast("host", "memory", "h1").stdout)
        cluster.daemon.stop()
        ids = {name: None for name in NAMES[2:5]}
        self.assertEqual(found["pages_to_scan"], (KSM / "pages_to_scan").read_text().strip(), cluster.daemon.tail())
        cluster.daemon.start()
        cluster.await_hosts()
        wait_for(lambda: sum(balloon(name) for name in ids) >= before, 30, "no guest lost memory by the stop")

    def has_room(self) -> bool:
        """Whether one more would be placed now."""
        spec = cluster.vm_body("x", "h1", memory_mib=768, memory_minimum_bytes=160 * MIB, memory_policy="dense")["spec"]
        return int(cluster.api.post("/capacity", {"spec": spec, "host": "h1", "limit": 1})["more"]) > 0

    @staticmethod
    def console(name: str) -> str:
        """What the guest has said."""
        return cluster.lab.console(name).read_text(errors="replace")

    def set_load(self, name: str, load: str) -> None:
        """Over the guest's console, until the guest says that it has taken it."""
        console = os.open(cluster.lab.virsh("h1", "ttyconsole", name), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            tty.setraw(console)
            for _ in range(6):  # open all the while: QEMU looks once a second whether somebody is there
                said = len(self.console(name))
                os.write(console, f"load={load}\n".encode())
                try:
                    wait_for(lambda n=said: drained(console) and f"SET load={load}" in self.console(name)[n:], 8, f"{name} takes its load")
                    return
                except AssertionError:
                    say(f"{name} has not taken its load yet: {self.console(name)[-100:]}")
        finally:
            os.close(console)
        self.fail(f"{name} never took its load")


if __name__ == "__main__":
    os.environ.setdefault("BALLAST_E2E_LAB", "memory")
    unittest.main()
