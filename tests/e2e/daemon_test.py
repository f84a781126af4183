#!/usr/bin/python3
"""ballastd as a process: what it refuses to start on, how it stops, who may come in, and where a stream goes on after a restart. libvirt's own
test driver is the host: no lab."""

from __future__ import annotations

import hashlib
import socket
import sqlite3
import subprocess
import time
import unittest
import uuid

from harness.api import Api, ApiError
from harness.base import BALLASTD, say
from harness.daemon import Daemon


class OneDaemon(unittest.TestCase):
    """Each test has a daemon of its own."""

    def setUp(self) -> None:
        self.daemon = Daemon()
        self.addCleanup(self.daemon.remove)

    def run_refused(self, *arguments: str, seconds: float = 30) -> str:
        """What a ballastd says that must not start."""
        done = subprocess.run([str(BALLASTD), *arguments], capture_output=True, text=True, timeout=seconds, check=False,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        return done.stdout + done.stderr


class Start(OneDaemon):
    """What it says when it can't, or should not."""

    def test_a_port_in_use_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            said = self.run_refused("--set", f"store.path={self.daemon.store}", "--set", f"server.port={port}")
        self.assertIn(str(port), said)
        self.assertRegex(said, "in use|already")

    def test_an_unknown_key_names_the_nearest(self) -> None:
        said = self.run_refused("--set", "server.prot=1")
        self.assertIn("server.prot", said)
        self.assertIn("server.port", said)
        file = self.daemon.state / "ballastd.toml"
        file.write_text("[store]\npth = '/x'\n")
        said = self.run_refused("--config", str(file))
        self.assertIn("pth", said)
        self.assertIn("path", said)

    def test_a_second_daemon_on_the_same_database_is_refused_with_the_first_ones_pid(self) -> None:
        self.daemon.start()
        said = self.run_refused("--set", f"store.path={self.daemon.store}", "--set", "server.port=0")
        self.assertIn("another ballastd", said)
        self.assertIn(str(self.daemon.process.pid), said)
        self.assertTrue(self.daemon.runs())
        self.daemon.api.get("/hosts")

    def test_a_database_newer_than_the_binary_is_refused_and_left_as_it_is(self) -> None:
        self.daemon.start()
        self.daemon.stop()
        with sqlite3.connect(self.daemon.store) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            self.assertGreater(version, 0, "the schema's number is not in user_version")
            database.execute(f"PRAGMA user_version = {version + 7}")
        database.close()
        before = self.daemon.store.read_bytes()
        said = self.run_refused(*self.daemon.arguments()[1:])
        self.assertIn(f"schema {version + 7}", said)
        self.assertIn("newer", said)
        self.assertEqual(before, self.daemon.store.read_bytes())

    def test_a_corrupt_database_is_shown_read_only_and_nothing_is_overwritten(self) -> None:
        api = self.daemon.start()
        for number in range(40):
            api.post("/tokens", {"name": f"t{number}", "right": "viewer"})
        self.daemon.stop()
        with sqlite3.connect(self.daemon.store) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        damaged = bytearray(self.daemon.store.read_bytes())
        for page in range(8192, len(damaged), 8192):  # every second page, not the first two
            damaged[page:page + 2048] = b"\xa5" * 2048
        self.daemon.store.write_bytes(damaged)
        for name in ("ballast.db-wal", "ballast.db-shm"):
            (self.daemon.state / name).unlink(missing_ok=True)
        digest = hashlib.sha256(self.daemon.store.read_bytes()).hexdigest()
        self.daemon.start()
        say(f"corrupt: {[line for line in self.daemon.own_log().splitlines() if 'serves' not in line][:2]}")
        self.assertRegex(self.daemon.own_log(), "(?i)damaged|corrupt|malformed")
        connection = self.daemon.api.connect(10)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        self.assertEqual(503, answer.status, said)
        self.daemon.stop()
        self.assertEqual(digest, hashlib.sha256(self.daemon.store.read_bytes()).hexdigest(), "it was written to")
        self.assertFalse([p.name for p in self.daemon.state.glob("ballast.db-wal") if p.stat().st_size], "a WAL was left")


class Life(OneDaemon):
    """While it runs, and how it ends."""

    def test_sigterm_stops_it_within_ten_seconds_though_streams_are_open(self) -> None:
        api = self.daemon.start()
        api.post("/hosts?wait=true", {"name": "t", "uri": "test:///default"})
        with api.stream():
            begin = time.monotonic()
            self.assertEqual(0, self.daemon.stop(12))
            took = time.monotonic() - begin
        say(f"SIGTERM to the end: {took:.2f} s")
        self.assertLess(took, 10)
        self.assertIn("stopped", self.daemon.own_log())

    def test_token_recover_makes_an_admin_while_the_daemon_is_down(self) -> None:
        self.daemon.start()
        refused = self.run_refused(*self.daemon.arguments()[1:], "token", "recover")
        self.assertIn("another ballastd", refused)
        self.daemon.stop()
        done = subprocess.run([*self.daemon.arguments(), "token", "recover"], capture_output=True, text=True, timeout=30,
                              check=True)
        secret = done.stdout.strip().splitlines()[-1]
        first = self.daemon.start().token
        self.assertNotEqual(first, secret)
        recovered = Api(self.daemon.port, secret, str(self.daemon.state / "tls" / "server.crt"))
        recovered.post("/tokens", {"name": "made-by-the-recovered", "right": "viewer"})

    def test_a_viewer_sees_and_does_not_write(self) -> None:
        api = self.daemon.start()
        secret = api.post("/tokens", {"name": "eyes", "right": "viewer"})["secret"]
        viewer = Api(self.daemon.port, secret, str(self.daemon.state / "tls" / "server.crt"))
        self.assertEqual([], viewer.items("/hosts"))
        for path in ("/hosts", "/vms", "/tokens"):
            with self.assertRaises(ApiError) as refused:
                viewer.post(path, {"name": "x"})
            self.assertEqual((403, "permission_denied"), (refused.exception.status, refused.exception.code), path)
        stranger = Api(self.daemon.port, "0" * 64, str(self.daemon.state / "tls" / "server.crt"))
        with self.assertRaises(ApiError) as refused:
            stranger.get("/hosts")
        self.assertEqual(401, refused.exception.status)
        self.assertEqual([], api.items("/hosts"))

    def test_the_last_admin_can_not_lock_itself_out(self) -> None:
        api = self.daemon.start()
        (first,) = api.items("/tokens")
        with self.assertRaises(ApiError) as refused:
            api.call("DELETE", f"/tokens/{first['id']}")
        self.assertEqual("failed_precondition", refused.exception.code)
        api.get("/hosts")

    def test_a_stream_goes_on_after_a_restart_where_it_was(self) -> None:
        api = self.daemon.start()
        with api.stream(0) as stream:
            api.post("/tokens", {"name": "one", "right": "viewer"})
            _, last = stream.wait(lambda e: e.get("subject_kind") == "token" and e["subject_name"] == "one", 10, "one")
        api.post("/tokens", {"name": "two", "right": "viewer"})
        self.daemon.kill9()
        api = self.daemon.start()
        api.post("/tokens", {"name": "three", "right": "viewer"})
        with api.stream(last["seq"]) as stream:
            stream.wait(lambda e: e.get("subject_kind") == "token" and e["subject_name"] == "three", 10, "three")
            numbers = [event["seq"] for event in stream.seen if "seq" in event]
        self.assertEqual(list(range(last["seq"] + 1, last["seq"] + 1 + len(numbers))), numbers, "a gap or a repetition")
        self.assertTrue(any(e["subject_name"] == "two" for e in stream.seen), "what came in between is missing")

    def test_a_reused_key_with_another_body_is_refused(self) -> None:
        api = self.daemon.start()
        key = str(uuid.uuid4())
        made = api.post("/tokens", {"name": "once", "right": "viewer"}, key=key)
        again = api.post("/tokens", {"name": "once", "right": "viewer"}, key=key)
        self.assertEqual(made["token"]["id"], again["token"]["id"])
        with self.assertRaises(ApiError) as refused:
            api.post("/tokens", {"name": "twice", "right": "viewer"}, key=key)
        self.assertEqual("conflict", refused.exception.code)
        self.assertEqual(1, sum(token["name"] in ("once", "twice") for token in api.items("/tokens")))

    def test_killed_at_any_moment_it_keeps_what_it_acknowledged(self) -> None:
        api = self.daemon.start()
        kept = []
        for number in range(25):
            kept.append(api.post("/tokens", {"name": f"k{number}", "right": "viewer"})["token"]["id"])
        self.daemon.kill9()
        api = self.daemon.start()
        self.assertEqual([], [t for t in kept if t not in {row["id"] for row in api.items("/tokens")}])


if __name__ == "__main__":
    unittest.main(verbosity=2)
