#!/usr/bin/python3
"""The lab's pure parts: names, records, processes, the judgement of a heartbeat. No root, no namespaces."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import tempfile
import unittest
from unittest import mock

import support  # noqa: F401  (puts lab/ on the path)

from ballast_lab import certificates, cgroup, config, lifecycle, network, state
from ballast_lab.heartbeat import Watcher
from ballast_lab.shell import LabError, Process, end_all
from ballast_lab.state import Host, Lab


class Records(unittest.TestCase):
    """A lab's record in a directory of the test's own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        patch = mock.patch.object(state, "RUN_ROOT", self.root)
        patch.start()
        self.addCleanup(patch.stop)

    def make(self, name: str = "one") -> Lab:
        lab = Lab(name=name, subnet=state.pick_subnet(), memory_mib=512)
        lab.hosts = [Host(name, "h1", f"{lab.subnet}.11", holder=Process.of(os.getpid()))]
        lab.save()
        return lab

    def test_a_saved_lab_is_found_as_it_was(self) -> None:
        self.assertEqual(state.find_lab("one"), None)
        lab = self.make()
        self.assertEqual(state.find_lab("one"), lab)

    def test_two_labs_get_two_subnets(self) -> None:
        self.assertNotEqual(self.make("one").subnet, self.make("two").subnet)

    def test_pids_of_an_earlier_boot_are_forgotten(self) -> None:
        lab = self.make()
        lab.boot = "another boot"
        lab.save()
        found = state.find_lab("one")
        assert found is not None
        self.assertIsNone(found.hosts[0].holder)

    def test_a_broken_record_is_no_record(self) -> None:
        self.make()
        for text in ("", "{", '{"name": "one", "unheard": 1, "hosts": []}', '{"name": "one"}'):
            (self.root / "one" / "state.json").write_text(text, encoding="utf-8")
            self.assertIsNone(state.find_lab("one"))

    def test_names_that_do_not_fit_are_refused(self) -> None:
        for name in ("", "A", "9", "a/b", "..", "x" * 25):
            with self.assertRaises(LabError):
                state.check_name(name)
        self.assertEqual(state.check_name("ci-2"), "ci-2")

    def test_of_three_hosts_the_last_runs_qemu_as_an_ordinary_user_of_two_none(self) -> None:
        lab = Lab(name="one", subnet="10.97.1")
        users = {n: [lifecycle._new_host(lab, i, n).qemu_user for i in range(1, n + 1)] for n in (2, 3)}
        self.assertEqual(users, {2: ["root", "root"], 3: ["root", "root", config.NON_ROOT_USER]})

    def test_a_lab_whose_name_begins_like_another_keeps_its_namespaces(self) -> None:
        self.assertTrue(network._belongs("bl-ci-h1", "ci"))
        self.assertTrue(network._belongs("bl-ci-switch", "ci"))
        self.assertFalse(network._belongs("bl-ci-two-h1", "ci"))
        self.assertTrue(network._belongs("bl-ci-two-h1", "ci-two"))


class Certificates(unittest.TestCase):
    """Made by the real openssl, in a directory of the test's own."""

    def test_each_host_has_one_by_its_name_and_address_that_the_labs_authority_signed(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        with mock.patch.object(state, "STORE_ROOT", pathlib.Path(folder.name)):
            lab = Lab(name="one", subnet="10.97.1", hosts=[Host("one", "h1", "10.97.1.11"), Host("one", "h2", "10.97.1.12")])
            for host in lab.hosts:
                certificates.make(lab, host)
            first, second = (certificates.folder_of(host) for host in lab.hosts)
            signed = subprocess.run(["openssl", "verify", "-CAfile", first / "ca-cert.pem", "-verify_hostname", "h2", "-verify_ip",
                                     "10.97.1.12", second / "server-cert.pem"], capture_output=True, text=True, check=False)
            self.assertEqual((0, ""), (signed.returncode, signed.stderr))
            before = (second / "server-cert.pem").read_bytes()
            certificates.make(lab, lab.hosts[1])
            self.assertEqual(before, (second / "server-cert.pem").read_bytes(), "what is there stays")
            (second / "server-cert.pem").unlink()
            certificates.make(lab, lab.hosts[1])
            self.assertNotEqual(before, (second / "server-cert.pem").read_bytes())
            self.assertEqual(0o600, (second / "client-key.pem").stat().st_mode & 0o777)


class Cgroups(unittest.TestCase):
    """The cgroup version 2 files, in a directory that stands in for the mount."""

    def test_version_2_hands_the_memory_controller_down_and_sets_the_limit(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for level in ("", "ballast-lab", "ballast-lab/one"):
                (root / level).mkdir(exist_ok=True)
                (root / level / "cgroup.subtree_control").write_text("cpu", encoding="utf-8")
            lab = Lab(name="one", memory_mib=64, hosts=[Host("one", "h1", "10.97.1.11")])
            with mock.patch.multiple(cgroup, V1_ROOT=root / "absent", V2_ROOT=root):
                group = cgroup.host_group(lab.hosts[0])
                group.mkdir()
                (group / "memory.max").write_text("max", encoding="utf-8")
                (group / "memory.events").write_text("oom 3\noom_kill 2\n", encoding="utf-8")
                cgroup.make_groups(lab)
                self.assertEqual(cgroup.oom_kills(lab.hosts[0]), 2)
                self.assertEqual((group / "memory.max").read_text(encoding="utf-8"), str(64 << 20))
                self.assertEqual((root / "ballast-lab/one/cgroup.subtree_control").read_text(encoding="utf-8"), "+memory")


class Processes(unittest.TestCase):
    """Only the very process that was started is ever signalled."""

    def start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(["sleep", "60"])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def test_a_reused_pid_is_not_killed(self) -> None:
        child = self.start()
        real = Process.of(child.pid)
        stranger = Process(child.pid, real.start - 1)
        self.assertFalse(stranger.alive())
        stranger.signal(signal.SIGKILL)
        stranger.end()
        self.assertTrue(real.alive())

    def test_ends_everything_that_a_list_names_over_and_over(self) -> None:
        children = [self.start(), self.start()]
        end_all(lambda: [c.pid for c in children], "the test")
        self.assertEqual([Process(c.pid, 0).alive() for c in children], [False, False])
        self.assertEqual([c.wait() for c in children], [-signal.SIGKILL] * 2)


class Heartbeats(unittest.TestCase):
    """What the watcher makes of a console file."""

    def judge(self, *lines: str) -> dict[str, object]:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as console:
            watcher = Watcher(console.name)
            for line in lines:
                console.write(line)
                console.flush()
                watcher.poll()
            watcher.close()
            return watcher.report()

    def test_accepts_beats_in_order_also_when_a_line_arrives_in_pieces(self) -> None:
        report = self.judge("HB seq=1 t=0.1 ok\nHB se", "q=2 t=0.2 ok\n", "DISK seq=1 slot=1 ok\n")
        self.assertEqual((report["ok"], report["heartbeats"], report["disk_writes"]), (True, 2, 1))

    def test_refuses_a_lost_a_doubled_and_a_corrupt_beat_and_silence(self) -> None:
        for lines in (("HB seq=1 t=1 ok\nHB seq=3 t=2 ok\n",), ("HB seq=1 t=1 ok\nHB seq=1 t=2 ok\n",),
                      ("HB seq=1 t=1 bad=1 CORRUPT\n",), ()):
            self.assertFalse(self.judge(*lines)["ok"], lines)


if __name__ == "__main__":
    unittest.main(verbosity=2)
