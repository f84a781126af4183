#!/usr/bin/python3
"""The cluster levels itself by real live migrations: `ballast rebalance --apply` spreads what crowds one host, a second run finds nothing worth
moving; `ballast host maintenance` empties a host and `--off` brings it back; a plan that is being carried out survives kill -9."""

from __future__ import annotations

import json
import unittest

from harness.base import say, wait_for
from harness.cluster import Cluster, CopyWatch

from ballast_lab.heartbeat import Watcher

# The statistics are swept often, so that the load is known soon.
cluster = Cluster(3, 2048, "hosts.sweep_interval=1s")
NAMES = ("crowd1", "crowd2", "crowd3", "crowd4")
CROWD = (*NAMES, "crowd5", "crowd6")  # six sixths of a core: two on each host is the only state in which nothing is worth a move
LOAD = "32:400:random"
BUSY = "32:150000:random"  # as fast as it can: a sixth to a half of a core
NOTHING_TO_DO, PLAN_MADE = 8, 9


def setUpModule() -> None:
    cluster.up()
    for host in cluster.lab.hosts:  # all of them share this machine's two cores
        cluster.daemon.ballast("host", "set", host, "--cpus", "1", "--cpu-overcommit", "8")


def tearDownModule() -> None:
    cluster.down()


class Balance(unittest.TestCase):
    """Busy VMs, all on h1, which counts as one core."""

    def setUp(self) -> None:
        self.hearts: dict[str, Watcher] = {}
        busy = "crowd" in self.id()
        self.names = CROWD if busy else NAMES
        for name in self.names:
            cluster.create(name, "h1", load=BUSY if busy else LOAD)
            self.addCleanup(cluster.delete, name)
        for name in self.names:
            self.hearts[name] = Watcher(str(cluster.beats(name)))
            self.addCleanup(self.hearts[name].close)

    def await_load(self) -> None:
        """Until the load history knows every one of them as busy."""
        ids = [cluster.api.vm(name)["id"] for name in self.names]

        def known() -> bool:
            load = cluster.api.get("/load")["vms"]
            return all(load.get(vm, {}).get("cpu_mean", 0) > 0.12 for vm in ids)

        try:
            wait_for(known, 180, "the load of all of them is known")
        except AssertionError as error:
            raise AssertionError(f"{error}: {cluster.api.get('/load')['vms']}") from error

    def on(self, host: str) -> list[str]:
        """Which of them run there, by the inventory."""
        return [name for name in self.names if cluster.host_name(cluster.api.vm(name)["host"]) == host]

    def assert_beats_on(self) -> None:
        """Every guest lives, with every beat in order and no page but its own."""
        for name, heart in self.hearts.items():
            goal = len(heart.sequence) + 5
            wait_for(lambda h=heart, g=goal: h.poll() >= 0 and len(h.sequence) >= g, 60, f"{name} beats on")
            report = heart.report()
            self.assertTrue(report["ok"], f"{name}: {report}")

    def test_a_crowd_is_levelled_and_a_second_run_finds_nothing(self) -> None:
        """The first by its name: what the others move counts against the hosts' bound for an hour."""
        self.await_load()
        dry = cluster.daemon.ballast("rebalance", "--dry-run", check=False)
        say(dry.stdout)
        self.assertEqual(PLAN_MADE, dry.returncode, dry.stdout + dry.stderr)
        self.assertEqual(sorted(self.names), sorted(self.on("h1")), "a dry run moves nothing")
        with CopyWatch(cluster.lab, cluster.api.vm(NAMES[0])["id"]) as watch:
            applied = cluster.daemon.ballast("rebalance", "--apply", check=False, timeout=600)
        say(applied.stdout)
        self.assertEqual(0, applied.returncode, applied.stdout + applied.stderr)
        self.assertEqual([], watch.doubled)
        crowds = {host: self.on(host) for host in cluster.lab.hosts}
        self.assertLessEqual(max(len(crowd) for crowd in crowds.values()), 3, crowds)
        self.assertEqual(len(self.names), sum(len(crowd) for crowd in crowds.values()), crowds)
        cluster.assert_true_inventory(self)
        self.assert_beats_on()
        again = cluster.daemon.ballast("rebalance", "--apply", check=False)
        say(again.stdout)
        self.assertEqual(NOTHING_TO_DO, again.returncode, again.stdout + again.stderr)
        self.assertIn("nothing worth moving", again.stdout.lower())

    def test_maintenance_empties_a_host_and_off_brings_it_back(self) -> None:
        done = cluster.daemon.ballast("host", "maintenance", "h1", check=False, timeout=600)
        self.addCleanup(cluster.daemon.ballast, "host", "maintenance", "h1", "--off", check=False)
        say(done.stdout)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertEqual([], self.on("h1"))
        for name in NAMES:
            self.assertEqual("running", cluster.api.vm(name)["state"])
            where = cluster.lab.where(cluster.api.vm(name)["id"], "--state-running")
            self.assertEqual(1, len(where), where)
            self.assertNotIn("h1", where)
        self.assertTrue(cluster.api.host("h1")["maintenance"])
        self.assert_beats_on()
        cluster.assert_true_inventory(self)
        cluster.daemon.ballast("host", "maintenance", "h1", "--off")
        self.assertFalse(cluster.api.host("h1")["maintenance"])
        cluster.await_hosts("h1")
        cluster.create("back", "h1")
        self.addCleanup(cluster.delete, "back")
        self.assertEqual("h1", cluster.host_name(cluster.api.vm("back")["host"]))

    def test_a_plan_goes_on_after_kill_9_and_moves_nothing_twice(self) -> None:
        made = cluster.daemon.ballast("rebalance", "--goal", "evacuate", "--host", "h1", "-o", "json", check=False)
        self.assertEqual(PLAN_MADE, made.returncode, made.stderr)
        plan = json.loads(made.stdout)
        cluster.api.post(f"/plans/{plan['id']}/approve")
        job = cluster.api.post(f"/plans/{plan['id']}/apply")["id"]
        wait_for(lambda: len(cluster.api.items("/jobs?kind=vm.migrate&state=running")) > 0, 60, "a move is under way")
        cluster.daemon.kill9()
        cluster.daemon.start()
        cluster.await_hosts()
        ended = cluster.api.wait_job(job, 600)
        self.assertEqual("succeeded", ended["state"], ended["error"])
        self.assertEqual("applied", cluster.api.get(f"/plans/{plan['id']}")["state"])
        self.assertEqual([], self.on("h1"))
        cluster.assert_true_inventory(self)
        self.assert_beats_on()

    def test_a_second_run_names_the_one_that_runs(self) -> None:
        plans = []
        for _ in range(2):
            made = cluster.daemon.ballast("rebalance", "--goal", "evacuate", "--host", "h1", "-o", "json", check=False)
            plans.append(json.loads(made.stdout)["id"])
        job = cluster.api.post(f"/plans/{plans[0]}/apply")["id"]
        why = cluster.api.refusal(f"/plans/{plans[1]}/apply", {}, 10)
        self.assertIn(job, str(why))
        cluster.api.post(f"/plans/{plans[0]}/cancel")
        cluster.api.wait_job(job, 300)
        cluster.assert_true_inventory(self)


if __name__ == "__main__":
    unittest.main(verbosity=2)
