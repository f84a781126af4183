#!/usr/bin/python3
"""One VM as a person has it in hand: its console in a terminal, a disk plugged in for one run (SAFETY.md 10), an image that its pool has no
room for."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pty
import subprocess
import termios
import unittest
from collections.abc import Iterator
from typing import Any

from harness.base import BALLAST, say, wait_for
from harness.cluster import MIB, Cluster

cluster = Cluster(2, 1024)
LEAVE = b"\x1d"  # Ctrl-]
LOCAL_FLAGS = 3  # where termios.tcgetattr keeps ECHO, ICANON, ISIG


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    cluster.down()


class Terminal:
    """`ballast WORDS` in a terminal of its own. `text` is what a person has seen so far."""

    def __init__(self, *words: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        os.set_blocking(self.master, False)
        self.process = subprocess.Popen([str(BALLAST), *words], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env=cluster.daemon.environment(), start_new_session=True)
        self._seen = b""

    def text(self) -> str:
        """Everything on the screen, read as it comes."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._seen += os.read(self.master, 65536)
        return self._seen.decode(errors="replace")

    def type(self, keys: bytes) -> None:
        """Presses keys."""
        os.write(self.master, keys)

    def shows(self, wanted: str, seconds: float = 20, times: int = 1) -> str:
        """Waits until it is on the screen."""
        wait_for(lambda: self.text().count(wanted) >= times, seconds, f"the terminal shows '{wanted}'")
        return self.text()

    def settings(self) -> list[Any]:
        """How the terminal is set now."""
        return termios.tcgetattr(self.slave)

    def close(self) -> None:
        """Ends the program, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    """A terminal that is closed at the end."""
    with contextlib.closing(Terminal(*words)) as opened:
        yield opened


class Console(unittest.TestCase):
    """`ballast vm console` in a real (pseudo) terminal, against a real guest."""

    def setUp(self) -> None:
        self.vm = cluster.create("talker")["id"]
        self.addCleanup(cluster.delete, self.vm)
        cluster.beats("talker")

    def test_what_is_typed_reaches_the_guest_and_ctrl_bracket_leaves(self) -> None:
        with terminal("vm", "console", "talker") as tty:
            tty.shows("connected to the serial console of talker; Ctrl-] leaves")
            tty.shows("HB seq=")
            flags = tty.settings()[LOCAL_FLAGS]
            self.assertEqual(0, flags & (termios.ECHO | termios.ICANON | termios.ISIG), "the terminal is not raw")
            tty.type(b"help\r")
            tty.shows("HELP load=MIB:PAGES_PER_SECOND")
            tty.type(b"\x03")  # Ctrl-C is the guest's, not ours
            tty.type(b"\r" b"hb=50\r")
            tty.shows("SET hb=50")
            self.assertIsNone(tty.process.poll(), "a key of the guest's ended the program")
            tty.type(LEAVE)
            self.assertEqual(0, tty.process.wait(10))
            tty.shows("left the console of talker (left)")
            self.assertEqual(tty.before, tty.settings(), "the terminal was not set back")
        self.assertEqual("running", cluster.api.vm(self.vm)["state"])

    def test_it_ends_and_sets_the_terminal_back_when_the_guest_or_the_daemon_ends(self) -> None:
        with terminal("vm", "console", "talker") as tty:
            tty.shows("HB seq=")
            cluster.api.run_job(f"/vms/{self.vm}/destroy")
            self.assertEqual(0, tty.process.wait(20))
            say(f"the guest ended: {tty.text().splitlines()[-1]}")
            self.assertEqual(tty.before, tty.settings())
        cluster.api.run_job(f"/vms/{self.vm}/start")
        with terminal("vm", "console", "talker") as tty:
            tty.shows("HB seq=", 60)
            cluster.daemon.kill9()
            self.addCleanup(cluster.await_hosts)
            self.addCleanup(cluster.daemon.start)
            tty.process.wait(20)
            say(f"the daemon died: {tty.text().splitlines()[-1]}")
            tty.shows("left the console of talker")
            self.assertEqual(tty.before, tty.settings())


class PluggedIn(unittest.TestCase):
    """A volume that a domain uses in one of its two configurations only is in use (SAFETY.md 10)."""

    def plug(self, how: str) -> None:
        """A volume that virsh plugs into a VM, live or for the next start, is not deleted while it is there."""
        vm = cluster.create("holder", "h1")["id"]
        self.addCleanup(cluster.delete, vm)
        name = f"plug{how}.qcow2"
        made = cluster.api.run_job("/volumes", {"name": name, "host": "h1", "capacity_bytes": 8 * MIB})
        path, volume = made["result"]["path"], made["result"]["volume"]
        cluster.lab.virsh("h1", "attach-disk", vm, path, "vdb", "--targetbus", "virtio", "--driver", "qemu",
                          "--subdriver", "qcow2", how)
        shown = cluster.lab.virsh("h1", "dumpxml", vm, *(["--inactive"] if how == "--live" else []))
        self.assertNotIn(path, shown, f"it was to be plugged in {how} only")
        refused = cluster.daemon.ballast("volume", "delete", name, "--yes", check=False)
        say(f"plugged in {how}: {refused.stderr.strip()}")
        self.assertNotEqual(0, refused.returncode)
        self.assertIn(path, refused.stderr)
        self.assertIn("holder", refused.stderr)
        self.assertTrue(pathlib.Path(path).exists())
        self.assertIn(volume, [row["id"] for row in cluster.api.items("/volumes")])
        if how == "--live":
            cluster.lab.virsh("h1", "destroy", vm)  # its run is over, and so is the plugging in
        else:
            cluster.lab.virsh("h1", "detach-disk", vm, "vdb", how)
        wait_for(lambda: not any(disk["path"] == path for disk in cluster.api.vm(vm)["spec"]["disks"]), 20,
                 "the inventory says that it is unplugged")
        cluster.daemon.ballast("volume", "delete", name, "--yes")
        self.assertFalse(pathlib.Path(path).exists())

    def test_a_disk_plugged_in_for_one_run_is_not_deleted(self) -> None:
        self.plug("--live")

    def test_a_disk_plugged_in_for_the_next_start_is_not_deleted(self) -> None:
        self.plug("--config")


class FullPool(unittest.TestCase):
    """h1 has a pool of 24 MiB (a tmpfs in its own view of the file system)."""

    FOLDER = "/var/lib/libvirt/small"

    def setUp(self) -> None:
        lab = cluster.lab
        lab("exec", "h1", "--", "mkdir", "-p", self.FOLDER)
        lab("exec", "h1", "--", "mount", "-t", "tmpfs", "-o", "size=24m", "small", self.FOLDER)
        self.addCleanup(lab, "exec", "h1", "--", "umount", self.FOLDER)
        lab.virsh("h1", "pool-define-as", "small", "dir", "--target", self.FOLDER)
        self.addCleanup(lab.virsh, "h1", "pool-undefine", "small")
        lab.virsh("h1", "pool-start", "small")
        self.addCleanup(lab.virsh, "h1", "pool-destroy", "small")
        self.free_of_pool(lambda free: free > 20 * MIB)

    def free_of_pool(self, holds: Any) -> None:
        """Waits until Ballast knows the pool with so much room."""
        def known() -> bool:
            rows = [pool for pool in cluster.api.items("/pools") if pool["name"] == "small"]
            return bool(rows) and holds(rows[0]["available_bytes"])
        wait_for(known, 30, "the small pool is in the inventory")

    def in_pool(self) -> str:
        """The files that lie there."""
        return str(cluster.lab("exec", "h1", "--", "ls", "-A", self.FOLDER).stdout.strip())

    def refused(self, name: str, mib: int) -> str:
        """Imports a raw disk of so many MiB, incompressible; why that failed."""
        disk = bytearray(os.urandom(mib * MIB))
        disk[510:512] = b"\x55\xaa"  # a boot sector: it is an image
        cluster.api.call("PUT", f"/uploads/{name}", raw=bytes(disk), Content_Type="application/octet-stream", timeout=120)
        why = cluster.api.refusal("/images", {"name": name, "disk_file": name, "pool": "small", "host": "h1"}, 120)
        say(f"full pool: {why}")
        return why

    def assert_nothing_left(self, name: str) -> None:
        """No row, no upload, and not a byte in the pool but what was there."""
        self.assertNotIn(name, [image["name"] for image in cluster.api.items("/images")])
        self.assertFalse((cluster.daemon.state / "uploads" / name).exists(), "the upload was left")
        events = [e["kind"] for e in cluster.api.events() if e["kind"].startswith("image.") and name in e["message"]]
        self.assertNotIn("image.imported", events)

    def test_an_import_that_can_not_fit_is_refused_before_it_writes(self) -> None:
        why = self.refused("big", 32)
        self.assertTrue(why.startswith("resource_exhausted"), why)
        for word in ("pool 'small'", "h1", "32 MiB"):
            self.assertIn(word, why)
        self.assertEqual("", self.in_pool())
        self.assert_nothing_left("big")

    def test_an_import_into_a_pool_that_fills_up_meanwhile_is_taken_back(self) -> None:
        seen = cluster.api.last_seq()
        cluster.lab("exec", "h1", "--", "dd", "if=/dev/zero", f"of={self.FOLDER}/others", "bs=1M", "count=16")
        why = self.refused("half", 12)  # Ballast knows 24 MiB free from its last look
        self.assertTrue(why.startswith("resource_exhausted"), why)
        for word in ("pool 'small'", "h1", "12 MiB"):
            self.assertIn(word, why)
        self.assertEqual("others", self.in_pool())
        self.assert_nothing_left("half")
        kinds = [e["kind"] for e in cluster.api.events(seen)]
        self.assertIn("image.creating", kinds, "it was refused before it wrote, so this proves nothing")
        self.assertIn("image.import_failed", kinds)


if __name__ == "__main__":
    unittest.main(verbosity=2)
