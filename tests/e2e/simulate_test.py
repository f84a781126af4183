#!/usr/bin/python3
"""`ballastd --simulate`: the same daemon on hosts in memory, as people run it. Needs no root, no libvirt and no lab.

simulate_test.py BALLASTD BALLAST
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

if len(sys.argv) > 2:
    os.environ["BALLAST_BIN_DIR"] = str(pathlib.Path(sys.argv[1]).resolve().parent.parent)

from harness.base import BALLAST, BALLASTD, ROOT, wait_for  # noqa: E402
from harness.daemon import Daemon  # noqa: E402

EXAMPLE = ROOT / "docs" / "examples" / "cluster.json"


class Simulated(Daemon):
    """A daemon on the example's cluster."""

    def arguments(self) -> list[str]:
        return [*super().arguments(), "--simulate", str(EXAMPLE), "--speed", "20"]


class Simulate(unittest.TestCase):
    """Each test has a daemon of its own."""

    def refused(self, *arguments: str) -> str:
        """What a ballastd says that must not start."""
        with tempfile.TemporaryDirectory(prefix="ballast-e2e-") as folder:
            done = subprocess.run([str(BALLASTD), "--set", f"store.path={folder}/ballast.db", "--set", "server.port=0", *arguments],
                                  capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
        self.assertNotEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_it_serves_the_cluster_of_the_file_and_moves_a_vm(self) -> None:
        daemon = Simulated()
        self.addCleanup(daemon.remove)
        daemon.start()

        def listed(*words: str) -> list[dict]:
            found = daemon.ballast_json(*words)
            return found["items"] if isinstance(found, dict) else found

        wait_for(lambda: sum(host["state"] == "up" for host in listed("host", "list")) == 20, 60, "every simulated host is up")
        wait_for(lambda: sum(vm["managed"] for vm in listed("vm", "list")) == 200, 60, "every VM is adopted")
        vms = {vm["name"]: vm for vm in listed("vm", "list")}
        hosts = {host["id"]: host["name"] for host in listed("host", "list")}
        self.assertEqual("ask", vms["db1"]["spec"]["moves"])
        self.assertEqual({"app": "web"}, vms["web1"]["spec"]["labels"])
        target = next(name for name in hosts.values() if name != hosts[vms["web1"]["host"]])
        daemon.ballast("vm", "migrate", "web1", "--to", target)
        self.assertEqual(target, hosts[daemon.ballast_json("vm", "show", "web1")["host"]])
        refused = daemon.ballast("host", "add", "test:///default", "--name", "real", check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertIn("sim://", refused.stdout + refused.stderr)

    def test_room_is_reserved_taken_and_given_back_when_it_expires(self) -> None:
        daemon = Simulated()
        self.addCleanup(daemon.remove)
        daemon.start()
        wait_for(lambda: daemon.ballast("vm", "explain", "--count", "2", "--memory", "256M", check=False).returncode == 0, 60,
                 "two VMs find a host")
        daemon.ballast("reservation", "create", "shop", "--count", "2", "--memory", "256M", "--for", "1h")
        daemon.ballast("vm", "create", "shop-2", "--memory", "256M", "--reservation", "shop")
        left = daemon.ballast_json("reservation", "show", "shop")
        self.assertEqual(["shop/shop-1"], [claim["name"] for claim in left["claims"]])
        refused = daemon.ballast("vm", "create", "big", "--memory", "512M", "--reservation", "shop", check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertIn("largest open place", refused.stderr)
        daemon.ballast("reservation", "delete", "shop")
        daemon.ballast("reservation", "create", "sale", "--memory", "256M", "--for", "1s")
        wait_for(lambda: daemon.ballast("reservation", "show", "sale", check=False).returncode != 0, 20, "it expires by itself")

    def test_it_refuses_a_policy_that_there_is_not(self) -> None:
        self.assertIn("there are spread, pack, latency, power", self.refused("--set", "placement.policy=fastest"))

    def test_it_refuses_a_file_that_is_wrong_with_the_path_in_it(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"hosts": [{"name": "h", "cpu": 4}]}')
            file.flush()
            said = self.refused("--simulate", file.name)
        self.assertIn("hosts[0].cpu: unknown key", said)
        self.assertIn(file.name, said)
        self.assertIn("can't be read", self.refused("--simulate", "/nowhere/cluster.json"))

    def test_it_refuses_a_speed_that_is_none_and_options_that_go_with_nothing(self) -> None:
        self.assertIn("--speed takes", self.refused("--simulate", str(EXAMPLE), "--speed", "0"))
        self.assertIn("--simulate", self.refused("--speed", "2"))

    def test_it_refuses_a_store_that_holds_hosts(self) -> None:
        daemon = Simulated()
        self.addCleanup(daemon.remove)
        daemon.start()
        daemon.stop()
        done = subprocess.run(daemon.arguments(), capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(1, done.returncode)
        self.assertIn("begins anew", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
