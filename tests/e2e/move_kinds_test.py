#!/usr/bin/python3
"""Moves that are not the everyday one, on real hosts: of a VM that somebody has paused, over an encrypted stream, and with its disk copied
along to a target that has no room for it."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import unittest
from collections.abc import Iterator

from harness.base import say, wait_for
from harness.cluster import MIB, Cluster
from harness.traveller import MOVED, STAYED, Traveller
from harness.wire import Eavesdropper

cluster = Cluster(2)
guest = Traveller(cluster, "k")


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    guest.close()
    cluster.down()


class Paused(unittest.TestCase):
    """It is moved as it is, and is paused wherever it ends."""

    maxDiff = None

    def setUp(self) -> None:
        guest.settle()
        guest.look()
        cluster.lab.virsh(guest.source, "suspend", guest.vm)
        wait_for(lambda: cluster.api.vm(guest.vm)["state"] == "paused", 20, "the inventory sees that it is paused")

    def tearDown(self) -> None:
        for host in cluster.lab.hosts:
            cluster.lab.virsh(host, "resume", guest.vm, check=False)

    def assert_paused_on(self, host: str) -> None:
        """There, nowhere else, and not a beat further; resumed, it goes on where it was."""
        beats = guest.beats()
        wait_for(lambda: cluster.api.vm(guest.vm)["state"] == "paused", 30, "the inventory says so")
        self.assertEqual(host, guest.owner_by_inventory())
        self.assertEqual([host], cluster.lab.where(guest.vm))
        self.assertTrue(cluster.lab.state(host, guest.vm).startswith("paused (user)"), cluster.lab.state(host, guest.vm))
        self.assertEqual([], cluster.lab.where(guest.vm, "--state-running"))
        self.assertEqual(beats, guest.beats(), "it ran meanwhile")
        cluster.lab.virsh(host, "resume", guest.vm)
        guest.assert_settled(self, host)

    def test_it_arrives_paused(self) -> None:
        job = cluster.api.run_job(f"/vms/{guest.vm}/migrate", {"to": guest.target, "policy": {"post_copy": True}})
        row = cluster.api.get(f"/migrations/{job['id']}")
        say(f"a paused VM moved in {row['total_ms']} ms, {len(row['rounds'])} rounds, mode {row['mode']}")
        self.assertEqual((True, "pre_copy", None), (row["paused"], row["mode"], row["downtime_ms"]))
        self.assert_paused_on(guest.target)

    def test_it_stays_paused_at_home_when_the_move_is_cancelled(self) -> None:
        guest.ask("pre_copy")
        guest.reach("push")
        cluster.api.post(f"/jobs/{guest.job}/cancel")
        self.assertEqual("cancelled", cluster.api.wait_job(guest.job, 60)["state"])
        self.assert_paused_on(guest.source)

    def test_it_stays_paused_at_home_when_the_targets_libvirtd_dies_in_the_push(self) -> None:
        guest.ask("pre_copy")
        guest.reach("push")
        cluster.lab("crash", guest.target, "--libvirtd-only")
        cluster.lab("revive", guest.target)
        guest.mend()
        self.assertEqual("failed", cluster.api.wait_job(guest.job, 90)["state"])
        cluster.await_hosts()
        self.assert_paused_on(guest.source)

    def test_it_arrives_paused_also_when_ballastd_dies_in_the_push(self) -> None:
        guest.ask("pre_copy")
        guest.reach("push")
        cluster.daemon.kill9()
        guest.mend()
        cluster.daemon.start()
        self.assertEqual("succeeded", cluster.api.wait_job(guest.job, 90)["state"])
        self.assert_paused_on(guest.target)

    def test_it_does_not_move_by_post_copy(self) -> None:
        for mode in ("post_copy", "hybrid"):
            why = cluster.api.refusal(f"/vms/{guest.vm}/migrate", {"to": guest.target, "mode": mode, "policy": {"post_copy": True}})
            self.assertIn("is paused, and post-copy is for guests that run", why)
        self.assert_paused_on(guest.source)


class Encrypted(unittest.TestCase):
    """QEMU's own TLS, with the certificates that the lab makes for its hosts."""

    maxDiff = None

    def setUp(self) -> None:
        guest.settle()
        guest.look()

    def body(self) -> dict[str, object]:
        """A move with TLS."""
        return {"to": guest.target, "mode": "pre_copy", "knobs": {"tls": True}}

    @contextlib.contextmanager
    def away(self, host: str, *files: str) -> Iterator[None]:
        """Without these files of its certificates."""
        folder = pathlib.Path(cluster.lab.hosts[host]["certificates"])
        moved = [(folder / name, folder / f"{name}.away") for name in files]
        for path, aside in moved:
            path.rename(aside)
        try:
            yield
        finally:
            for path, aside in moved:
                aside.rename(path)

    def parameters(self, host: str) -> str:
        """What QEMU itself says of the migration."""
        return cluster.lab.virsh(host, "qemu-monitor-command", guest.vm, "--hmp", "info migrate_parameters", check=False)

    def met_in_the_push(self, body: dict[str, object]) -> str:
        """Moves it over a slow wire; QEMU's parameters on the source meanwhile."""
        cluster.lab("slow", guest.source, "100mbit")
        guest.job = str(cluster.api.post(f"/vms/{guest.vm}/migrate", body)["id"])
        guest.reach("push")
        said = self.parameters(guest.source)
        guest.full_speed()
        guest.assert_ending(self, (MOVED,))
        return next(line for line in said.splitlines() if line.startswith("tls-creds"))

    def test_a_move_with_tls_is_encrypted_as_qemu_and_the_wire_say(self) -> None:
        with Eavesdropper(cluster) as ear:
            plain = self.met_in_the_push({"to": guest.target, "mode": "pre_copy"})
        say(f"without: {plain}; heard {ear.heard}")
        self.assertGreater(ear.heard["plain"], 0, "the ear is deaf")
        self.assertEqual("tls-creds: ''", plain.strip())
        guest.settle()
        guest.look()
        with Eavesdropper(cluster) as ear:
            said = self.met_in_the_push(self.body())
        say(f"with: {said}; heard {ear.heard}")
        self.assertIn("migrate_tls", said)
        self.assertGreater(ear.heard["tls"], 0)
        self.assertEqual(0, ear.heard["plain"], "memory went over the wire as it is")
        self.assertTrue(cluster.api.get(f"/migrations/{guest.job}")["knobs"]["tls"])
        back = {**self.body(), "to": guest.source}
        self.assertEqual("ok" if self.has_gone(guest.target, guest.source) else "unknown", self.verdict(back))
        cluster.api.run_job(f"/vms/{guest.vm}/migrate", back)
        self.assertEqual("ok", self.verdict(self.body()), "it has just gone that way")

    @staticmethod
    def has_gone(source: str, target: str) -> bool:
        """Whether a move with TLS went that way before."""
        way = (cluster.api.host(source)["id"], cluster.api.host(target)["id"])
        return any((m["from"], m["to"]) == way and m["knobs"]["tls"] and m["phase"] == "succeeded" for m in cluster.api.items("/migrations"))

    @staticmethod
    def verdict(body: dict[str, object]) -> str:
        """What the preflight says of certificates."""
        plan = cluster.api.post(f"/vms/{guest.vm}/migrate?dry_run=true", body)
        (found,) = [check["verdict"] for check in plan["preflight"] if check["name"] == "tls"]
        return str(found)

    def test_a_post_copy_with_tls_too(self) -> None:
        cluster.api.run_job(f"/vms/{guest.vm}/migrate", {**self.body(), "mode": "post_copy", "policy": {"post_copy": True}})
        guest.assert_settled(self, guest.target)

    def test_a_host_without_certificates_refuses_it_before_the_first_byte_and_says_what_it_needs(self) -> None:
        for host in (guest.target, guest.source):
            for files in (("ca-cert.pem",), ("server-key.pem", "client-key.pem")):
                with self.subTest(without=f"{files} on {host}"), self.away(host, *files):
                    why = cluster.api.refusal(f"/vms/{guest.vm}/migrate", self.body())
                    say(f"without {files} on {host}: {why}")
                    self.assertIn("each host needs ca-cert.pem", why)
                    self.assertIn("or leave tls out", why)
                    row = max(cluster.api.items("/migrations"), key=lambda each: each["started"])
                    if "Unable to access" in why:  # else it is the target that does not believe a source without a certificate
                        self.assertIn(row["sent_bytes"], (None, 0))
                    guest.assert_settled(self, guest.source, STAYED)
        cluster.api.run_job(f"/vms/{guest.vm}/migrate", self.body())
        guest.assert_settled(self, guest.target)

    def test_a_host_with_anothers_certificate_is_not_believed(self) -> None:
        folders = {name: pathlib.Path(host["certificates"]) for name, host in cluster.lab.hosts.items()}
        with self.away(guest.target, "server-cert.pem", "server-key.pem"):
            for name in ("server-cert.pem", "server-key.pem"):
                (folders[guest.target] / name).write_bytes((folders[guest.source] / name).read_bytes())
            why = cluster.api.refusal(f"/vms/{guest.vm}/migrate", self.body())
        say(f"with another's certificate: {why}")
        self.assertRegex(why, "TLS channel|Certificate does not match", "which side complains first is chance")
        self.assertIn("made out to the migration address of the host", why)
        guest.assert_settled(self, guest.source, STAYED)


class NoRoomForTheDisk(unittest.TestCase):
    """The VM's disk lies in the pool that each host has for itself; the target's is small."""

    maxDiff = None

    def setUp(self) -> None:
        self.crowded = Traveller(cluster, "crowded")
        self.addCleanup(self.crowded.close)
        self.addCleanup(self.remove)
        self.backing = pathlib.Path(cluster.lab.hosts["h1"]["local_pool_backing"])
        self.pool = cluster.lab.hosts["h1"]["pools"]["local"]
        self.addCleanup(self.unmount)

    def make(self, mebibytes: int) -> Traveller:
        """An adopted VM on h1 whose disk of that many MiB is full of what no compression makes less."""
        raw = self.backing / "noise.raw"
        with open("/dev/urandom", "rb") as noise, raw.open("wb") as file:
            file.write(noise.read(mebibytes * MIB))
        disk = self.backing / "crowded1.qcow2"
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, disk], check=True)
        raw.unlink()
        xml = cluster.lab.guest_xml("crowded1", "--load", "16:200:random")
        shared = f"{cluster.lab.facts['shared_dir']}/crowded1.qcow2"
        xml.write_text(xml.read_text(encoding="utf-8").replace(shared, f"{self.pool}/crowded1.qcow2"), encoding="utf-8")
        for host in cluster.lab.hosts:
            cluster.lab.virsh(host, "pool-refresh", "local")
        cluster.lab.virsh("h1", "define", str(xml))
        cluster.lab.virsh("h1", "start", "crowded1")
        one = self.crowded
        one.generation = 1
        one.vm = cluster.lab.virsh("h1", "domuuid", "crowded1").strip()
        wait_for(lambda: cluster.api.vm_or_none(one.vm), 30, "it is seen")
        cluster.api.post("/vms/adopt", {"names": ["crowded1"]})
        cluster.beats("crowded1")
        cluster.await_pairs()
        return one

    def mount(self, size: str) -> None:
        """The pool of h2 is on a file system of this size from now on."""
        cluster.lab("exec", "h2", "--", "mount", "-t", "tmpfs", "-o", f"size={size}", "none", self.pool)
        cluster.lab.virsh("h2", "pool-refresh", "local")

    def unmount(self) -> None:
        cluster.lab("exec", "h2", "--", "umount", self.pool, check=False)
        cluster.lab.virsh("h2", "pool-refresh", "local", check=False)

    def remove(self) -> None:
        """The VM and its files, wherever they are."""
        for host, facts in cluster.lab.hosts.items():
            cluster.lab.virsh(host, "destroy", "crowded1", check=False)
            cluster.lab.virsh(host, "undefine", "crowded1", check=False)
            (pathlib.Path(facts["local_pool_backing"]) / "crowded1.qcow2").unlink(missing_ok=True)
        if cluster.api.vm_or_none("crowded1"):
            wait_for(lambda: cluster.api.vm("crowded1")["state"] == "missing", 30, "its definition is seen to be gone")
            cluster.delete("crowded1")

    @staticmethod
    def body() -> dict[str, object]:
        """A move with its disk."""
        return {"to": "h2", "mode": "pre_copy", "knobs": {"copy_disks": "full"}}

    def test_a_pool_that_is_too_small_is_refused_before_the_start(self) -> None:
        one = self.make(40)
        self.mount("24m")
        one.look()
        why = cluster.api.refusal(f"/vms/{one.vm}/migrate", self.body())
        say(f"40 MiB into 24 MiB: {why}")
        self.assertRegex(why, r"disk vda needs 40(\.\d)? MiB, pool local of h2 has .* left")
        self.assertEqual([], [row for row in cluster.api.items("/migrations") if row["vm"] == one.vm], "it was begun")
        one.assert_settled(self, "h1", STAYED)
        self.unmount()
        cluster.api.run_job(f"/vms/{one.vm}/migrate", self.body())
        one.assert_settled(self, "h2", MOVED)

    def test_a_pool_that_somebody_fills_before_its_turn_leaves_the_vm_where_it_is(self) -> None:
        """libvirt allocates the whole file before the first byte: what can still break is between Ballast's look and that."""
        one = self.make(40)
        self.mount("60m")
        guest.settle()
        if guest.owner_by_inventory() != "h1":
            cluster.api.run_job(f"/vms/{guest.vm}/migrate", {"to": "h1"})
        guest.begin("pre_copy")
        guest.reach("push")
        one.look()
        one.job = str(cluster.api.post(f"/vms/{one.vm}/migrate", self.body())["id"])
        wait_for(lambda: one.job in [each["job"] for each in cluster.api.get("/migrations/queue")["items"]], 30, "it waits for its lane")
        cluster.lab("exec", "h2", "--", "dd", "if=/dev/zero", f"of={self.pool}/filler", "bs=1M", "count=50")
        guest.mend()
        guest.assert_ending(self, (MOVED,))
        ended = cluster.api.wait_job(one.job, 120)
        say(f"filled before its turn: {ended['state']}: {ended['error']}")
        self.assertEqual("failed", ended["state"])
        self.assertIn("No space left", str(ended["error"]))
        one.seq = guest.seq  # both moves' claims were made after that
        one.assert_settled(self, "h1", STAYED)
        self.assertEqual(0, self.copied(), "the half copy still takes room")

    def copied(self) -> int:
        """What the disk's copy takes on h2."""
        out = cluster.lab("exec", "h2", "--", "du", "-k", f"{self.pool}/crowded1.qcow2", check=False).stdout.split()
        return int(out[0]) * 1024 if out else 0


if __name__ == "__main__":
    unittest.main(verbosity=2)
