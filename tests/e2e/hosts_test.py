#!/usr/bin/python3
"""Hosts that hang, can't be reached, are full or must stay apart: the others never notice, and every refusal names the limit and the way out."""

from __future__ import annotations

import concurrent.futures
import statistics
import time
import unittest
from typing import Any

from harness.api import ApiError
from harness.base import say, wait_for
from harness.cluster import MIB, Cluster

cluster = Cluster(3, 1024)


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    cluster.down()


class HungHost(unittest.TestCase):
    """A libvirtd that is stopped dead (SIGSTOP) answers nothing and closes nothing."""

    def latencies(self, host: str, rounds: int) -> list[float]:
        """Seconds of calls that go through to the libvirtd of `host`."""
        took = []
        for _ in range(rounds):
            begin = time.monotonic()
            cluster.api.get(f"/hosts/{host}/pools/shared/volumes")
            took.append(time.monotonic() - begin)
        return took

    def job_seconds(self, name: str) -> float:
        """A create and a delete on h2."""
        begin = time.monotonic()
        cluster.create(name, "h2", start=False)
        self.addCleanup(lambda: cluster.delete(name) if cluster.api.vm_or_none(name) else None)
        return time.monotonic() - begin

    def test_the_others_keep_their_latency_and_it_comes_back(self) -> None:
        calm, calm_job = self.latencies("h2", 25), self.job_seconds("calm")
        cluster.lab("stop", "h1")
        self.addCleanup(cluster.lab, "cont", "h1", check=False)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            blocked = [pool.submit(cluster.api.call, "GET", "/hosts/h1/pools/shared/volumes", timeout=120) for _ in range(4)]
            hung, hung_job = self.latencies("h2", 25), self.job_seconds("hung")
            wait_for(lambda: cluster.api.host("h1")["state"] in ("slow", "unreachable"), 60, "h1 is seen as slow or gone")
            state = cluster.api.host("h1")
            say(f"h1 is {state['state']}: {state['state_reason']}")
            hung += self.latencies("h2", 25)
            for call in blocked:
                with self.assertRaises(ApiError) as refused:
                    call.result(120)
                self.assertIn(refused.exception.code, ("unavailable", "deadline_exceeded"))
        say(f"h2 calm: median {statistics.median(calm) * 1000:.1f} ms, worst {max(calm) * 1000:.1f} ms, job {calm_job:.2f} s; "
            f"h1 hung: median {statistics.median(hung) * 1000:.1f} ms, worst {max(hung) * 1000:.1f} ms, job {hung_job:.2f} s")
        self.assertLess(statistics.median(hung), 5 * statistics.median(calm) + 0.05)
        self.assertLess(max(hung), 2.0, "one call waited for the hung host")
        self.assertLess(hung_job, 5 * calm_job + 2)
        cluster.lab("cont", "h1")
        cluster.await_hosts("h1")
        self.latencies("h1", 3)
        kinds = [e["kind"] for e in cluster.api.events(subject_kind="host", subject="h1")]
        self.assertIn("host.up", kinds[1:])
        self.assertTrue({"host.slow", "host.unreachable"} & set(kinds), kinds)


class BadHosts(unittest.TestCase):
    """Hosts that can't be added, or only in vain."""

    def test_an_unknown_uri_scheme_is_refused(self) -> None:
        why = cluster.api.refusal("/hosts", {"name": "odd", "uri": "gopher://h9/system"})
        self.assertTrue(why.startswith("invalid_argument"), why)
        self.assertIn("gopher", why)
        self.assertNotIn("odd", [host["name"] for host in cluster.api.items("/hosts")])

    def test_a_host_that_can_not_be_reached_says_so_and_delays_nobody(self) -> None:
        begin = time.monotonic()
        cluster.api.post("/hosts", {"name": "far", "uri": "qemu+tcp://127.0.0.1:9/system"})
        self.assertLess(time.monotonic() - begin, 3)
        self.addCleanup(cluster.api.call, "DELETE", "/hosts/far")
        wait_for(lambda: cluster.api.host("far")["state"] == "unreachable", 30, "far is unreachable")
        say(f"unreachable: {cluster.api.host('far')['state_reason']}")
        self.assertTrue(cluster.api.host("far")["state_reason"])

    def test_nothing_is_changed_on_a_host_that_is_only_observed(self) -> None:
        cluster.api.post("/hosts/h3/observe")
        self.addCleanup(cluster.api.post, "/hosts/h3/manage")
        before = cluster.lab.domains("h3"), cluster.pool_files()
        for path, body in (("/vms", cluster.vm_body("ob", "h3")), ("/volumes", {"name": "ob.qcow2", "host": "h3",
                           "capacity_bytes": MIB}), ("/pairs/check", {"from": "h1", "to": "h3"})):
            with self.subTest(path=path):
                self.assertIn("ballast host manage h3", cluster.api.refusal(path, body))
        self.assertEqual(before, (cluster.lab.domains("h3"), cluster.pool_files()))


class Room(unittest.TestCase):
    """Memory that is not there is never given away. Each host counts 1 GiB."""

    def test_a_vm_larger_than_any_host_names_each_with_its_numbers(self) -> None:
        why = cluster.api.refusal("/vms", cluster.vm_body("huge", memory_mib=4096))
        say(f"too large: {why}")
        for host in cluster.lab.hosts:
            self.assertIn(host, why)
        self.assertIn("memory_fit", why)
        self.assertIn("4 GiB", why)
        self.assertIsNone(cluster.api.vm_or_none("huge"))

    def test_a_minimum_above_the_maximum_is_refused(self) -> None:
        why = cluster.api.refusal("/vms", cluster.vm_body("odd", memory_mib=64, memory_minimum_bytes=128 * MIB))
        self.assertIn("memory_minimum", why)

    def test_two_creates_at_once_never_claim_the_same_room(self) -> None:
        names = [f"r{number}" for number in range(6)]
        body = [cluster.vm_body(name, "h2", start=False, memory_mib=300) for name in names]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            jobs = [job["id"] for job in pool.map(lambda b: cluster.api.post("/vms", b), body)]
        ended = [cluster.api.wait_job(job) for job in jobs]
        for name in names:
            if cluster.api.vm_or_none(name):
                self.addCleanup(cluster.delete, name)
        made = [job for job in ended if job["state"] == "succeeded"]
        refused = [job["error"]["message"] for job in ended if job["state"] == "failed"]
        say(f"room of 1 GiB for 300 MiB each: {len(made)} of 6; refused: {refused[:1]}")
        self.assertIn(len(made), (1, 2, 3), "more were made than the host has room for")
        self.assertEqual(6, len(made) + len(refused))
        self.assertTrue(all("memory_fit" in message or "memory" in message for message in refused), refused)
        self.assertEqual({job["subject"] for job in made}, cluster.lab.names("h2") & set(names))
        self.assertEqual(set(), {f for f in cluster.pool_files() for job in ended
                                 if job["state"] == "failed" and f.startswith(job["subject"] + "-vd")})

    def test_vms_of_one_anti_affinity_group_never_share_a_host(self) -> None:
        names = [f"apart{number}" for number in range(4)]
        bodies = [cluster.vm_body(name, start=False, memory_mib=64, anti_affinity="db") for name in names]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            jobs = [job["id"] for job in pool.map(lambda b: cluster.api.post("/vms", b), bodies)]
        ended = [cluster.api.wait_job(job) for job in jobs]
        made = [job["subject"] for job in ended if job["state"] == "succeeded"]
        for name in made:
            self.addCleanup(cluster.delete, name)
        where = {name: [host for host in cluster.lab.hosts if name in cluster.lab.names(host)] for name in made}
        say(f"anti-affinity: {where}")
        self.assertEqual(3, len(made), "three hosts hold three of a group")
        self.assertEqual(3, len({tuple(hosts) for hosts in where.values()}), where)
        (refused,) = [job["error"]["message"] for job in ended if job["state"] == "failed"]
        self.assertIn("anti_affinity", refused)


class BadImages(unittest.TestCase):
    """What is no image, or does not fit, leaves nothing behind."""

    def import_of(self, name: str, content: bytes) -> str:
        """Uploads and imports; why that was refused."""
        cluster.api.call("PUT", f"/uploads/{name}", raw=content, Content_Type="application/octet-stream")
        body: dict[str, Any] = {"name": name, "disk_file": name}
        return cluster.api.refusal("/images", body, 120)

    def test_an_image_that_is_none_is_refused(self) -> None:
        why = self.import_of("fake", b"QFI\xfb" + b"\0\0\0\x63" + b"not an image" * 100)
        say(f"no image: {why}")
        self.assertTrue(why.startswith("invalid_argument") or why.startswith("failed_precondition"), why)
        self.assertEqual(set(), cluster.pool_files("fake"))
        self.assertNotIn("fake", [image["name"] for image in cluster.api.items("/images")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
