"""One ballastd with a state folder of its own, and the `ballast` command beside it."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
from typing import Any

from harness.api import Api
from harness.base import BALLAST, BALLASTD, wait_for

SERVES = re.compile(r"serves https://127\.0\.0\.1:(\d+)")


class Daemon:
    """Started, stopped and killed by pid. The state folder lives until `remove`."""

    def __init__(self, *sets: str) -> None:
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="ballast-e2e-"))
        self.store = self.state / "ballast.db"
        self.log = self.state / "ballastd.log"
        self.sets = sets
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.api: Api = None  # type: ignore[assignment]  # set by start()

    def arguments(self) -> list[str]:
        """The command line."""
        sets = (f"store.path={self.store}", "server.port=0", "cluster.default_pool=shared", *self.sets)
        return [str(BALLASTD), *(word for key in sets for word in ("--set", key))]

    def launch(self, **environment: str) -> None:
        """Starts the process and no more."""
        with open(self.log, "ab") as log:
            self._log_from = log.tell()
            self.process = subprocess.Popen(self.arguments(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={"PATH": os.environ["PATH"], **environment})

    def start(self, **environment: str) -> Api:
        """Starts it and waits until it serves."""
        self.launch(**environment)
        self.port = int(wait_for(self._bound, 30, f"ballastd serves; its log: {self.tail()}"))
        token = wait_for(lambda: self._token(), 30, "the first token is written")
        self.api = Api(self.port, token, str(self.state / "tls" / "server.crt"))
        return self.api

    def _bound(self) -> str | None:
        found = SERVES.search(self.own_log())
        if not found and not self.runs():
            raise AssertionError(f"ballastd ended at once: {self.own_log()[-2000:]}")
        return found[1] if found else None

    def _token(self) -> str:
        path = self.state / "first-token"
        return path.read_text().strip() if path.exists() else ""

    def own_log(self) -> str:
        """What this run has logged."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            log.seek(self._log_from)
            return log.read()

    def tail(self, characters: int = 3000) -> str:
        """The log's end."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def runs(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def wait_end(self, seconds: float) -> int:
        """Its exit code, negative for a signal."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self, seconds: float = 15) -> int | None:
        """SIGTERM, and its exit code; kills it when that takes too long."""
        if not self.runs():
            return None
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"ballastd did not stop within {seconds} s: {self.tail()}") from None

    def kill9(self) -> None:
        """As if the power went."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def restart(self, **environment: str) -> Api:
        """Stops it in order and starts it again."""
        self.stop()
        return self.start(**environment)

    def remove(self, keep: bool = False) -> None:
        """Ends it and removes its folder."""
        self.kill9()
        if not keep:
            shutil.rmtree(self.state, ignore_errors=True)

    def environment(self, token: str = "") -> dict[str, str]:
        """What makes the command line client find this daemon."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.state), "BALLAST_URL": f"https://127.0.0.1:{self.port}",
                "BALLAST_CA": str(self.state / "tls" / "server.crt"), "BALLAST_TOKEN": token or self.api.token}

    def ballast(self, *words: str, check: bool = True, timeout: float = 120,
                token: str = "") -> subprocess.CompletedProcess[str]:
        """The command line client."""
        done = subprocess.run([str(BALLAST), *words], capture_output=True, text=True, timeout=timeout, check=False,
                              env=self.environment(token))
        if check and done.returncode != 0:
            raise AssertionError(f"ballast {' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def ballast_json(self, *words: str) -> Any:
        """What `-o json` prints."""
        return json.loads(self.ballast(*words, "-o", "json").stdout)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the daemon."""
        assert self.process is not None
        self.process.send_signal(number)
