#!/usr/bin/env python3
"""`ballast` against a real `ballastd` that drives libvirt's own test driver: no root, no lab.

Usage: cli_test.py BALLASTD BALLAST [unittest arguments]
"""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BALLASTD, BALLAST = sys.argv[1:3]
PATIENCE = 30


class Daemon:
    """One ballastd with a folder of its own, on a port that stays the same over restarts."""

    def __init__(self, folder):
        self.folder = folder
        self.log = os.path.join(folder, "log")
        self.port = 0
        self.start()

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [BALLASTD, "--set", f"store.path={self.folder}/b.db", "--set", f"server.port={self.port}"],
                stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with open(self.log, encoding="utf-8") as log:
                text = log.read()
            serving = re.search(r"serves https://127\.0\.0\.1:(\d+) \(key (sha256:[0-9a-f]+)\)", text)
            if serving:
                self.port, self.key = int(serving[1]), serving[2]
                return
            if self.process.poll() is not None:
                break
            select.select([], [], [], 0.05)
        raise AssertionError(f"ballastd does not serve: {text}")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def token(self):
        path = os.path.join(self.folder, "first-token")
        end = time.monotonic() + PATIENCE
        while not os.path.exists(path) and time.monotonic() < end:
            select.select([], [], [], 0.05)
        with open(path, encoding="utf-8") as file:
            return file.read().strip()


class LosingProxy:
    """Hands TLS through, but cuts its first connection when the answer to the request is on its way: the request was
    done, the client does not know."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.lost_bytes = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.relay, args=(client, self.connections == 1), daemon=True).start()

    def relay(self, client, loses):
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            flights = 0  # of the client after its hello: the end of the handshake, then the request
            while True:
                ready, _, _ = select.select([client, server], [], [], PATIENCE)
                for side in ready:
                    data = side.recv(65536)
                    if not data:
                        return
                    if side is client:
                        flights += data.count(b"\x17\x03\x03")
                        server.sendall(data)
                    elif loses and flights >= 2 and len(data) < 600:
                        client.sendall(data)  # session tickets
                    elif loses and flights >= 2:
                        self.lost_bytes = len(data)
                        return
                    else:
                        client.sendall(data)

    def close(self):
        self.listener.close()


class CliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="ballast-cli-e2e-")
        cls.daemon = Daemon(cls.folder)
        cls.secret = cls.daemon.token()
        run = cls.run_ballast("host", "add", "test:///default", "--name", "t1", "--manage", "--memory", "64G")
        assert run.returncode == 0, run.stderr

    @classmethod
    def tearDownClass(cls):
        cls.daemon.end()
        shutil.rmtree(cls.folder)

    @classmethod
    def run_ballast(cls, *words, token=None, pin=None, port=None, stdin=""):
        environment = {
            "PATH": os.environ["PATH"],
            "BALLAST_CONFIG": os.path.join(cls.folder, "config.toml"),
            "BALLAST_URL": f"https://127.0.0.1:{port or cls.daemon.port}",
            "BALLAST_FINGERPRINT": cls.daemon.key if pin is None else pin,
            "BALLAST_TOKEN": cls.secret if token is None else token,
        }
        return subprocess.run([BALLAST, *words], env=environment, input=stdin, capture_output=True, text=True,
                              timeout=PATIENCE, check=False)

    def ok(self, *words, **more):
        run = self.run_ballast(*words, **more)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def refused(self, code, *words, **more):
        run = self.run_ballast(*words, **more)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        self.assertRegex(run.stderr, r"(?m)^error: ")
        return run.stderr

    def test_a_vm_is_created_shown_stopped_started_and_deleted(self):
        self.assertEqual(self.ok("vm", "create", "life", "--memory", "64M"), "life runs on t1\n")
        row = json.loads(self.ok("vm", "show", "life", "-o", "json"))
        self.assertEqual((row["state"], row["spec"]["memory_bytes"]), ("running", 64 << 20))
        self.assertEqual(self.ok("vm", "destroy", "life", "--yes"), "life is off\n")
        self.assertEqual(self.ok("vm", "start", "life"), "life runs\n")
        self.refused(1, "vm", "delete", "life", "--yes")
        self.ok("vm", "delete", "life", "--yes", "--force")
        self.assertNotIn("life\n", self.ok("vm", "list", "-o", "name"))

    def test_documents_make_vms_and_change_what_may_change(self):
        document = "kind: vm\nname: doc\nstart: false\nspec:\n  memory: 64M\n  labels: {tier: 1}\n"
        self.assertIn("created", self.ok("vm", "apply", "-f", "-", stdin=document))
        self.assertIn("as the document says", self.ok("vm", "apply", "-f", "-", stdin=document))
        self.assertIn("changed", self.ok("vm", "apply", "-f", "-", stdin=document.replace("tier: 1", "tier: 2")))
        self.assertIn("memory_bytes", self.refused(4, "vm", "apply", "-f", "-", stdin=document.replace("64M", "65M")))
        self.assertIn("spec.memroy", self.refused(2, "vm", "apply", "-f", "-", stdin=document.replace("memory", "memroy")))

    def test_exit_codes_tell_what_kind_of_failure_it_was(self):
        self.refused(2, "vm", "create", "x", "--memory", "lots")
        self.refused(3, "vm", "show", "nobody")
        self.refused(4, "host", "add", "test:///default", "--name", "twin")
        self.refused(5, "vm", "list", token="blt_wrong")
        self.refused(5, "vm", "list", pin="sha256:" + "0" * 64)
        self.refused(6, "vm", "list", port=1)
        self.refused(7, "vm", "create", "huge", "--memory", "60G")  # fits the empty host, not what is left

    def test_an_unknown_certificate_is_refused_with_its_key(self):
        self.assertIn(self.daemon.key, self.refused(5, "vm", "list", pin=""))

    def test_a_viewer_may_look_but_not_touch(self):
        secret = self.ok("token", "create", "looker", "--right", "viewer").strip()
        self.ok("vm", "list", token=secret)
        self.refused(5, "vm", "create", "mine", "--memory", "64M", token=secret)
        self.ok("token", "revoke", "looker", "--yes")
        self.refused(5, "vm", "list", token=secret)
        self.refused(4, "token", "revoke", "first", "--yes")

    def test_a_login_is_kept_and_used(self):
        url = f"https://127.0.0.1:{self.daemon.port}"
        environment = {"PATH": os.environ["PATH"], "BALLAST_CONFIG": os.path.join(self.folder, "login.toml")}
        login = [BALLAST, "login", url, "--token", self.secret, "--fingerprint", self.daemon.key]
        subprocess.run(login, env=environment, capture_output=True, timeout=PATIENCE, check=True)
        run = subprocess.run([BALLAST, "host", "list", "-o", "name"], env=environment, capture_output=True, text=True,
                             timeout=PATIENCE, check=False)
        self.assertEqual((run.returncode, run.stdout), (0, "t1\n"), run.stderr)

    def test_a_write_whose_answer_was_lost_is_sent_again_and_done_once(self):
        proxy = LosingProxy(self.daemon.port)
        self.addCleanup(proxy.close)
        made = self.ok("vm", "create", "once", "--memory", "64M", "--no-wait", "-o", "name", port=proxy.port).strip()
        self.assertGreaterEqual(proxy.connections, 2)
        self.assertGreater(proxy.lost_bytes, 0)
        jobs = json.loads(self.ok("job", "list", "--kind", "vm.create", "--limit", "0", "-o", "json"))
        self.assertEqual([job["id"] for job in jobs if job["subject"] == "once"], [made])
        self.ok("job", "watch", made)

    def test_a_watched_list_shows_what_changes(self):
        environment = {"PATH": os.environ["PATH"], "BALLAST_URL": f"https://127.0.0.1:{self.daemon.port}",
                       "BALLAST_FINGERPRINT": self.daemon.key, "BALLAST_TOKEN": self.secret,
                       "BALLAST_CONFIG": "/nonexistent"}
        with subprocess.Popen([BALLAST, "vm", "list", "-o", "name", "--watch"], env=environment, stdout=subprocess.PIPE,
                              text=True) as watcher:
            self.addCleanup(watcher.kill)
            self.assertEqual(watcher.stdout.readline()[-1:], "\n")
            self.ok("vm", "create", "seen", "--memory", "64M")
            end = time.monotonic() + PATIENCE
            lines = []
            while "seen\n" not in lines and time.monotonic() < end:
                self.assertTrue(select.select([watcher.stdout], [], [], PATIENCE)[0], "nothing new was printed")
                lines.append(watcher.stdout.readline())
            watcher.kill()
            self.assertIn("seen\n", lines)

    def test_what_was_made_survives_a_kill_of_the_daemon(self):
        self.ok("vm", "create", "kept", "--memory", "64M", "--no-start")
        self.daemon.end(signal.SIGKILL)
        self.refused(6, "vm", "list")
        self.daemon.start()
        self.assertIn("kept\n", self.ok("vm", "list", "-o", "name"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
