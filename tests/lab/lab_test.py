#!/usr/bin/python3
"""The lab is real: guests run, move and fail on it as they would on several machines. Needs root, about a minute."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest
from collections.abc import Iterator

from support import LAB, LabCommand, leftovers, wait_until

from ballast_lab.heartbeat import Watcher

MOVE = ("--live", "--p2p", "--persistent", "--undefinesource", "--unsafe")
_suite_lock = None


def setUpModule() -> None:
    """One run of this suite at a time: the labs' names are fixed, so that a killed run is cleaned up by the next."""
    global _suite_lock
    pathlib.Path("/run/ballast-lab").mkdir(exist_ok=True)
    _suite_lock = open("/run/ballast-lab/.lab_test.lock", "w", encoding="utf-8")
    fcntl.flock(_suite_lock, fcntl.LOCK_EX)


def tearDownModule() -> None:
    if _suite_lock is not None:
        _suite_lock.close()


class ThreeHosts(unittest.TestCase):
    """Three hosts (h3 with an ordinary QEMU user), shared by the tests; each test brings and removes its own guest."""

    lab = LabCommand("labtest")

    @classmethod
    def setUpClass(cls) -> None:
        cls.lab("down")
        cls.addClassCleanup(cls.lab, "down")
        cls.lab("up", "--sound-qemu", "--hosts", "3", "--memory-mib-per-host", "1024")

    @contextlib.contextmanager
    def guest(self, name: str, *options: str) -> Iterator[Watcher]:
        """A guest on h1 that has begun to beat; removed from wherever it is at the end."""
        facts = self.lab.status()
        console = pathlib.Path(facts["console_dir"], f"{name}.log")
        console.unlink(missing_ok=True)
        xml = self.lab("guest", "xml", name, *options).stdout
        definition = pathlib.Path(facts["shared_dir"], f"{name}.xml")
        definition.write_text(xml, encoding="utf-8")
        self.lab.virsh("h1", "define", str(definition))
        try:
            self.lab.virsh("h1", "start", name)
            wait_until(lambda: console.exists() and "HB seq=" in console.read_text(errors="replace"), 90,
                       f"{name}'s heart beats")
            with contextlib.closing(Watcher(str(console))) as watcher:
                yield watcher
        finally:
            for host in ("h1", "h2", "h3"):
                self.lab.virsh(host, "destroy", name, check=False)
                self.lab.virsh(host, "undefine", name, check=False)

    def await_beats(self, watcher: Watcher, count: int) -> None:
        """Waits for `count` further heartbeats."""
        goal = len(watcher.sequence) + count
        wait_until(lambda: watcher.poll() >= 0 and len(watcher.sequence) >= goal, 60, f"{count} more heartbeats arrive")

    def test_a_guest_moves_live_and_its_heart_beats_on(self) -> None:
        with self.guest("mover", "--memory-mib", "192", "--load", "64:5000:random", "--disk", "20") as watcher:
            self.await_beats(watcher, 5)
            for source, target in (("h1", "h2"), ("h2", "h3"), ("h3", "h1")):
                self.move(watcher, "mover", source, target)
            self.await_beats(watcher, 20)
            report = watcher.report()
            self.assertTrue(report["ok"], report)
            self.assertGreater(report["disk_writes"], 0)
            self.assertLess(report["longest_gap_ms"], 10000)

    def move(self, watcher: Watcher, name: str, source: str, target: str) -> None:
        """Moves a guest live while its heartbeat is taken in; afterwards only `target` knows it."""
        with subprocess.Popen([LAB, "--name", self.lab.name, "virsh", source, "--", "migrate", name,
                               f"qemu+tcp://{target}/system", *MOVE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as virsh:
            wait_until(lambda: watcher.poll() >= 0 and virsh.poll() is not None, 60, "virsh migrate ends")
            self.assertEqual(virsh.returncode, 0, virsh.stdout.read() if virsh.stdout else "")
        self.assertEqual(self.lab.virsh(target, "domstate", name), "running")
        self.assertNotIn(name, self.lab.virsh(source, "list", "--all", "--name"))

    def test_the_host_with_an_ordinary_qemu_user_refuses_post_copy(self) -> None:
        self.assertEqual(self.lab.status()["by_name"]["h3"]["qemu_user"], "libvirt-qemu")
        with self.guest("puller") as watcher:
            refused = self.lab("virsh", "h1", "--", "migrate", "puller", "qemu+tcp://h3/system", *MOVE, "--postcopy",
                               check=False)
            self.assertIn("Postcopy is not supported", refused.stderr)
            self.await_beats(watcher, 5)

    def test_guests_have_the_memory_that_survives_a_move(self) -> None:
        """QEMU 7.2 loses writes of a moving TCG guest whose memory is a multiple of 64 pages (ballast_lab/qemu.py)."""
        with self.guest("odd", "--memory-mib", "96"):
            (qemu,) = self.lab.status()["by_name"]["h1"]["qemu_pids"]
            words = pathlib.Path(f"/proc/{qemu}/cmdline").read_text(encoding="utf-8").split("\0")
            self.assertEqual(f"{96 * 1024 + 8}k", words[words.index("-m") + 1])
            (memory,) = [word for word in words if '"id":"pc.ram"' in word]
            self.assertEqual((96 << 20) + 8192, json.loads(memory)["size"])
            self.assertIn("Max memory:     98304 KiB", self.lab.virsh("h1", "dominfo", "odd"))
            wait_until(lambda: "Used memory:    98304 KiB" in self.lab.virsh("h1", "dominfo", "odd"), 30,
                       "the balloon takes the odd pages back")

    def test_the_guest_reports_harm_to_its_disk(self) -> None:
        """What the tests above rely on: a foreign writer on its disk makes the guest say CORRUPT."""
        with self.guest("victim", "--disk", "100") as watcher:
            wait_until(lambda: watcher.poll() >= 0 and watcher.disk_writes > 10, 60, "the guest writes its disk")
            disk = pathlib.Path(self.lab.status()["shared_dir"], "victim.qcow2")
            self.lab.virsh("h1", "suspend", "victim")
            subprocess.run(["qemu-io", "--image-opts", "-c", "write -q -P 90 1028k 60k",
                            f"driver=qcow2,file.driver=file,file.filename={disk},file.locking=off"], check=True)
            self.lab.virsh("h1", "resume", "victim")
            wait_until(lambda: watcher.poll() >= 0 and watcher.corrupt, 60, "the guest sees the foreign blocks")

    def test_the_power_button_shuts_the_guest_down(self) -> None:
        with self.guest("button") as watcher:
            self.await_beats(watcher, 10)
            self.lab.virsh("h1", "shutdown", "button")
            wait_until(lambda: self.lab.virsh("h1", "domstate", "button") == "shut off", 60, "the guest powers off")

    def test_a_guest_answers_ping_from_the_other_host(self) -> None:
        address = self.lab.status()["gateway"].rpartition(".")[0] + ".101"
        with self.guest("pinged", "--ip", f"{address}/24"):
            wait_until(lambda: self.lab("exec", "h2", "--", "busybox", "ping", "-c", "1", "-W", "1", address,
                                        check=False).returncode == 0, 60, f"{address} answers h2")

    def reaches(self, host: str) -> bool:
        """Whether the host's libvirtd is reached by TCP from the switch within a second."""
        address = self.lab.status()["by_name"][host]["migration_address"]
        probe = f"import socket; socket.create_connection(('{address}', 16509), timeout=1)"
        return self.lab("exec", "switch", "--", "python3", "-c", probe, check=False).returncode == 0

    def test_a_cut_host_is_unreachable_until_it_is_healed(self) -> None:
        for how in ((), ("--silent",)):
            with self.subTest(how=how):
                self.assertTrue(self.reaches("h2"))
                self.lab("cut", "h2", *how)
                self.assertFalse(self.reaches("h2"))
                self.assertTrue(self.reaches("h1"))
                self.lab("heal", "h2")
                wait_until(lambda: self.reaches("h2"), 10, "h2 is reached again")

    def seconds_to_send(self, megabytes: int) -> float:
        """How long h1 takes to bring so much to h2."""
        server = ("import socket; s = socket.create_server(('', 5001)); print('up', flush=True); c, _ = s.accept()\n"
                  "while c.recv(65536): pass\nprint('done', flush=True)")
        client = (f"import socket; c = socket.create_connection(('h2', 5001)); c.sendall(bytes({megabytes} << 20))")
        with subprocess.Popen([LAB, "--name", self.lab.name, "exec", "h2", "--", "python3", "-c", server],
                              stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                self.assertEqual(process.stdout.readline(), "up\n")
                started = time.monotonic()
                self.lab("exec", "h1", "--", "python3", "-c", client)
                self.assertEqual(process.stdout.readline(), "done\n")
                return time.monotonic() - started
            finally:
                process.kill()  # a client that failed must not leave the test waiting for its server

    def test_a_slow_wire_carries_what_it_was_told_to(self) -> None:
        self.lab("slow", "h2", "40mbit")  # 4 MiB at 5 MB/s: 0.8 s
        slow = self.seconds_to_send(4)
        self.assertGreater(slow, 0.6)
        self.assertEqual(self.lab.status()["by_name"]["h2"]["rate"], "40mbit")
        self.lab("slow", "h2", "off")
        self.assertLess(self.seconds_to_send(4), slow)

    def test_a_crashed_host_loses_its_guests_and_keeps_their_definitions_and_disks(self) -> None:
        with self.guest("lost", "--disk", "50") as watcher:
            wait_until(lambda: watcher.poll() >= 0 and watcher.disk_writes > 3, 60, "the guest writes its disk")
            qemus = self.lab.status()["by_name"]["h1"]["qemu_pids"]
            self.assertEqual(len(qemus), 1)
            self.lab("crash", "h1", "--silent")
            wait_until(lambda: self.lab.status()["by_name"]["h1"]["qemu_pids"] == [], 20, "its QEMUs are gone")
            crashed = self.lab.status()["by_name"]["h1"]
            self.assertEqual((crashed["state"], crashed["link"], crashed["qemu_pids"]), ("down", "dark", []))
            self.assertFalse(self.reaches("h1"))
            self.lab("revive", "h1")
            wait_until(lambda: self.reaches("h1"), 10, "h1 is reached again")
            self.assertEqual(self.lab.virsh("h1", "domstate", "lost"), "shut off")
            console = pathlib.Path(self.lab.status()["console_dir"], "lost.log")
            self.lab.virsh("h1", "start", "lost")
            wait_until(lambda: console.read_text(errors="replace").count("DISK start") == 2, 90, "the guest is back")
            text = console.read_text(errors="replace")
            self.assertNotIn("CORRUPT", text)
            self.assertGreater(int(text.rpartition("DISK start seq=")[2].split()[0]), 3)

    def test_guests_outlive_their_libvirtd(self) -> None:
        with self.guest("orphan") as watcher:
            self.lab("crash", "h1", "--libvirtd-only")
            self.await_beats(watcher, 5)
            self.lab("revive", "h1")
            self.assertEqual(self.lab.virsh("h1", "domstate", "orphan"), "running")
            self.await_beats(watcher, 5)
            self.assertTrue(watcher.contiguous())

    def test_a_stopped_libvirtd_answers_nobody_until_it_goes_on(self) -> None:
        self.lab("stop", "h2")
        self.assertEqual(self.lab.status()["by_name"]["h2"]["state"], "stopped")
        with self.assertRaises(subprocess.TimeoutExpired):
            self.lab.virsh("h2", "list", timeout=2)
        self.lab.virsh("h1", "list", timeout=5)
        self.lab("cont", "h2")
        self.lab.virsh("h2", "list", timeout=10)

    def test_the_same_path_is_shared_in_one_pool_and_separate_in_the_other(self) -> None:
        for pool in ("shared", "local"):
            self.lab.virsh("h1", "vol-create-as", pool, f"mark-{pool}", "64K")
            self.lab.virsh("h2", "pool-refresh", pool)
        path = self.lab.virsh("h1", "vol-path", "mark-local", "--pool", "local")
        self.assertEqual(path, "/var/lib/ballast-local/mark-local")
        self.assertIn("mark-shared", self.lab.virsh("h2", "vol-list", "shared"))
        self.assertNotIn("mark-local", self.lab.virsh("h2", "vol-list", "local"))

    def test_up_again_reuses_what_lives(self) -> None:
        before = [h["libvirtd_pid"] for h in self.lab.status()["hosts"]]
        self.lab("up", "--hosts", "3", "--memory-mib-per-host", "1024")
        self.assertEqual([h["libvirtd_pid"] for h in self.lab.status()["hosts"]], before)

    def test_a_host_has_its_own_name_and_identity(self) -> None:
        self.assertEqual([self.lab.virsh(h, "hostname") for h in ("h1", "h2")], ["h1", "h2"])
        hosts = self.lab.status()["hosts"]
        self.assertNotEqual(hosts[0]["host_uuid"], hosts[1]["host_uuid"])
        self.assertIn(hosts[1]["host_uuid"], self.lab.virsh("h2", "capabilities"))
        self.assertNotIn("<domain type='kvm'", self.lab.virsh("h1", "capabilities"))

    def test_wrong_names_are_refused_with_the_way_out(self) -> None:
        self.assertIn("it has h1, h2, h3", self.lab("cut", "h9", check=False).stderr)
        self.assertIn("up --hosts", LabCommand("no-such-lab")("cut", "h1", check=False).stderr)


class HalfLabs(unittest.TestCase):
    """`down` ends a lab in any state, and nothing is left."""

    lab = LabCommand("labtest-half")

    def setUp(self) -> None:
        self.lab("down")
        self.addCleanup(self.lab, "down")

    def test_down_leaves_nothing_even_without_a_record_and_with_a_guest_running(self) -> None:
        self.lab("up", "--hosts", "1")
        xml = pathlib.Path(self.lab.status()["shared_dir"], "g.xml")
        xml.write_text(self.lab("guest", "xml", "g").stdout, encoding="utf-8")
        self.lab.virsh("h1", "create", str(xml))
        self.assertTrue(leftovers(self.lab.name), "the search must find a living lab")
        pathlib.Path("/run/ballast-lab", self.lab.name, "state.json").unlink()
        subprocess.run(["ip", "netns", "delete", f"bl-{self.lab.name}-h1"], check=True)
        self.lab("down")
        self.assertEqual(leftovers(self.lab.name), [])

    def test_down_and_up_work_after_up_was_killed_half_way(self) -> None:
        with subprocess.Popen([LAB, "--name", self.lab.name, "up", "--hosts", "2"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            wait_until(pathlib.Path(f"/run/netns/bl-{self.lab.name}-h1").exists, 20, "the first namespace is there")
            os.kill(process.pid, signal.SIGKILL)
        self.lab("up", "--hosts", "2")
        self.assertEqual([h["state"] for h in self.lab.status()["hosts"]], ["up", "up"])
        self.lab("down")
        self.assertEqual(leftovers(self.lab.name), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
