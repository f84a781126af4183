"""The test bed: two hosts, a link between them, one ballastd, and each guest twice: `NAME` belongs to Ballast, `NAME-peer` to virsh.

Only the guest that is measured runs; the others are suspended, so that they take no CPU time from it. Everything is ended by down().
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import threading
import time
from typing import Any

from harness.api import ENDED, ApiError, EventStream
from harness.base import say, wait_for
from harness.cluster import Cluster

from ballast_lab.heartbeat import HEARTBEAT, Watcher
from migration.loads import Guest, Link
from migration.outcome import Move

OTHER = {"h1": "h2", "h2": "h1"}
SETTLE_S = 0.7
SAWTOOTH_S = 20.0


class Bed:
    """`limit_ms` is the downtime limit of everybody, `give_up_s` the time after which a move is stopped."""

    def __init__(self, limit_ms: int, give_up_s: float) -> None:
        self.cluster = Cluster(2, 6144)
        self.limit_ms, self.give_up_s = limit_ms, give_up_s
        self.peer_at: dict[str, str] = {}
        self.link = Link("free")
        self.stream: EventStream | None = None

    @property
    def api(self) -> Any:
        """Ballast's."""
        return self.cluster.api

    def up(self, guests: list[Guest]) -> None:
        """Lab, daemon and guests; every guest suspended once its heart beats."""
        self.cluster.up()
        for host in self.cluster.lab.hosts:  # one guest runs at a time, the others are suspended
            settings = {**self.cluster.host_body(host)["settings"], "cpu_overcommit": 16}
            self.api.call("PATCH", f"/hosts/{host}", {"settings": settings})
        self.stream = self.api.stream()
        for guest in guests:
            self._create(guest)
        for guest in guests:
            for name in (guest.name, f"{guest.name}-peer"):
                self._filled(guest, name)
                self._suspend(name)

    def down(self) -> None:
        """Ends all of it."""
        try:
            if self.stream is not None:
                self.stream.close()
        finally:
            self.cluster.down()

    def _create(self, guest: Guest) -> None:
        self.cluster.create(guest.name, "h1", memory_mib=guest.memory_mib, load=f"{guest.load} ballast.hb=20")
        peer = f"{guest.name}-peer"
        xml = self.cluster.lab.guest_xml(peer, "--memory-mib", str(guest.memory_mib), "--load", guest.load)
        xml.write_text(xml.read_text().replace("ballast.disk=", "ballast.hb=20 ballast.disk="))
        self.cluster.lab.virsh("h1", "define", str(xml))
        self.cluster.lab.virsh("h1", "start", peer)
        self.peer_at[peer] = "h1"

    def _filled(self, guest: Guest, name: str) -> None:
        """Until the load has touched all its memory."""
        console = self.cluster.beats(name)

        def full() -> bool:
            beats = HEARTBEAT.findall(console.read_text(errors="replace")[-4000:])
            text = console.read_text(errors="replace")[-4000:]
            pages = [int(count) for count in re.findall(r"pages=(\d+)", text)]
            return bool(beats) and len(pages) > 5 and pages[-1] > 0 and pages[-1] == pages[-5]

        wait_for(full, 120, f"{name} has filled {guest.set_mib} MiB", 0.3)

    # --- the world around a move ---

    def set_link(self, link: Link) -> None:
        """Both hosts' wires, and what Ballast is told about them."""
        for host in self.cluster.lab.hosts:
            self.cluster.lab("slow", host, link.rate)
            settings = {**self.cluster.host_body(host)["settings"], "link_speed_bytes_per_second": link.speed}
            self.api.call("PATCH", f"/hosts/{host}", {"settings": settings})
        self.link = link

    def where(self, name: str) -> str:
        """The host of a guest."""
        if name in self.peer_at:
            return self.peer_at[name]
        return self.cluster.host_name(self.api.vm(name)["host"])

    def _suspend(self, name: str) -> None:
        self.cluster.lab.virsh(self.where(name), "suspend", name)
        if name not in self.peer_at:
            wait_for(lambda: self.api.vm(name)["state"] == "paused", 20, f"{name} is seen suspended")

    def _resume(self, name: str) -> None:
        self.cluster.lab.virsh(self.where(name), "resume", name)
        if name not in self.peer_at:
            wait_for(lambda: self.api.vm(name)["state"] == "running", 20, f"{name} is seen running")

    def _guest_time(self, name: str) -> float:
        text = self.cluster.lab.console(name).read_text(errors="replace")[-4000:]
        times = [float(beat) for beat in re.findall(r"HB seq=\d+ t=([\d.]+) pages", text)]
        return times[-1] if times else 0.0

    def _settle(self, guest: Guest, name: str, phase: float) -> None:
        """Long enough for the load to be itself again; a saw-tooth is met at the same point of its period by every contender."""
        time.sleep(SETTLE_S)
        if guest.pattern != "sawtooth":
            return
        wait_for(lambda: (self._guest_time(name) - phase * SAWTOOTH_S) % SAWTOOTH_S < 0.5, 2 * SAWTOOTH_S,
                 f"{name} is at {phase:.2f} of its period", 0.05)

    def warm(self, guest: Guest) -> dict[str, Any]:
        """The curve of Ballast's guest, known; gives the forecast."""
        self._resume(guest.name)
        try:
            target = OTHER[self.where(guest.name)]

            def measured() -> Any:
                forecast = self.forecast(guest, target)
                curve = forecast["input"]["curve"]
                return forecast if curve and curve["source"] != "nothing" else None  # samples, or rounds of its own moves

            found: dict[str, Any] = wait_for(measured, 40, f"the curve of {guest.name} is measured", 0.5)
            return found
        finally:
            self._suspend(guest.name)

    def forecast(self, guest: Guest, target: str) -> dict[str, Any]:
        """What Ballast says before a move."""
        found: dict[str, Any] = self.api.get(f"/vms/{guest.name}/migration-forecast?to={target}&post_copy=true")["items"][0]["forecast"]
        return found

    # --- the moves ---

    def by_ballast(self, contender: str, guest: Guest, body: dict[str, Any], phase: float = 0, give_up_s: float = 0) -> Move:
        """One move by Ballast. The wait is from the call to the event that says that the job has ended."""
        name, source = guest.name, self.where(guest.name)
        self._resume(name)
        self._settle(guest, name, phase)
        policy = {"max_downtime_ms": self.limit_ms, **body.get("policy", {})}
        with Ending(self.cluster.lab.hosts[source]["uri"], name) as ending, Gap(self.cluster.lab.console(name)) as gap:
            begin = time.monotonic()
            job = self.api.post(f"/vms/{name}/migrate", {**body, "to": OTHER[source], "policy": policy})["id"]
            end, done = self._job_end(job, give_up_s or self.give_up_s)
            ending.wait(done["state"] == "succeeded")
        row = self._row_or_none(job)
        self._await_rest(name)
        self._suspend(name)
        error = done.get("error") or {}
        in_time = (end - begin) <= (give_up_s or self.give_up_s)
        move = Move(contender, source, done["state"] == "succeeded" and in_time, (end - begin) * 1000, error=error.get("message", "")[:300], row=row)
        if row is not None:
            move.total_ms, move.downtime_ms, move.sent = row["total_ms"], row["downtime_ms"], row["sent_bytes"]
        if move.done:
            move.gap_ms = gap.longest_ms
            if move.downtime_ms is None or move.sent is None:  # libvirt may know what Ballast's row lacks
                move.downtime_ms, move.sent = ending.figures()
        else:
            move.wait_ms = max(move.wait_ms, (give_up_s or self.give_up_s) * 1000)  # aborted by the engine: not done either
        return move

    def _row_or_none(self, job: str) -> dict[str, Any] | None:
        """A move that was refused beforehand has none."""
        try:
            row: dict[str, Any] = self.api.get(f"/migrations/{job}")
            return row
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def _job_end(self, job: str, give_up_s: float) -> tuple[float, dict[str, Any]]:
        def ended(event: dict[str, Any]) -> bool:
            return event.get("subject_id") == job and event.get("kind") in [f"job.{word}" for word in ENDED]

        assert self.stream is not None
        try:
            arrival, _ = self.stream.wait(ended, give_up_s, "the job has ended")
        except AssertionError:
            say(f"stopped after {give_up_s:.0f} s")
            try:
                self.api.post(f"/jobs/{job}/cancel")
            except ApiError as error:
                say(f"can't be stopped: {error.detail}")
            arrival, _ = self.stream.wait(ended, 240, "the job was cancelled, or ended at last")
        return arrival, self.api.job(job)

    def _await_rest(self, name: str) -> None:
        wait_for(lambda: self.api.vm(name)["state"] == "running" and not self.api.vm(name).get("job"), 30, f"{name} runs again")

    def by_virsh(self, contender: str, guest: Guest, flags: tuple[str, ...] = (), phase: float = 0, give_up_s: float = 0) -> Move:
        """One move by virsh. The wait is that of the command."""
        name, lab = f"{guest.name}-peer", self.cluster.lab
        source = self.peer_at[name]
        self._resume(name)
        self._settle(guest, name, phase)
        lab.virsh(source, "migrate-setmaxdowntime", name, str(self.limit_ms))
        words = ["virsh", "-q", "-c", lab.hosts[source]["uri"], "migrate", name, lab.hosts[OTHER[source]]["peer_uri"], "--live", "--p2p",
                 "--unsafe", "--persistent", "--undefinesource", *flags]
        with Gap(lab.console(name)) as gap:
            begin = time.monotonic()
            done, error = self._run_command(words, source, name, give_up_s or self.give_up_s)
            waited = (time.monotonic() - begin) * 1000
        move = Move(contender, source, done, waited, error="" if done else error[:300])
        if done:
            self.peer_at[name] = OTHER[source]
            move.total_ms, move.downtime_ms, move.sent = self.completed(name)
            move.gap_ms = gap.longest_ms
        self._suspend(name)
        return move

    def _run_command(self, words: list[str], source: str, name: str, give_up_s: float) -> tuple[bool, str]:
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as command:
            try:
                output, _ = command.communicate(timeout=give_up_s)
            except subprocess.TimeoutExpired:
                self.cluster.lab.virsh(source, "domjobabort", name, check=False)
                output, _ = command.communicate(timeout=60)
                return False, f"stopped after {give_up_s:.0f} s: {output.strip()}"
            except BaseException:
                command.kill()
                raise
            if command.returncode != 0:
                raise AssertionError(f"{' '.join(words)}: {output}")
            return True, output

    def completed(self, name: str) -> tuple[float, float, float]:
        """QEMU's total, downtime (ms) and bytes of the last completed move, as virsh shows them on the target."""
        text = self.cluster.lab.virsh(self.where(name), "domjobinfo", name, "--completed")

        def number(key: str) -> float:
            found = re.search(rf"{key}:\s+([\d.]+)(?: (\w+))?", text)
            if found is None:
                raise AssertionError(f"{name}: virsh domjobinfo says no {key}: {text}")
            unit = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}.get(found[2] or "", 1)
            return float(found[1]) * unit

        return number("Time elapsed"), number("Total downtime"), number("Memory processed")


class Gap:
    """Watches a guest's heartbeat during a move, on a thread of its own."""

    def __init__(self, console: pathlib.Path) -> None:
        self._watcher = Watcher(str(console))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._end.wait(0.01):
            self._watcher.poll()

    def __enter__(self) -> "Gap":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """A silence that is not over yet is waited for."""
        heard, deadline = len(self._watcher.sequence), time.monotonic() + 2
        while len(self._watcher.sequence) == heard and time.monotonic() < deadline:
            time.sleep(0.01)
        self._end.set()
        self._thread.join(5)
        self._watcher.close()

    @property
    def longest_ms(self) -> float:
        """The longest silence."""
        return self._watcher.longest_gap_s * 1000


class Ending:
    """What the source's libvirt says of the job's end, in its own event: of post-copy nothing else has QEMU's figures."""

    def __init__(self, uri: str, name: str) -> None:
        self._words = ["virsh", "-q", "-c", uri, "event", "--domain", name, "--event", "job-completed"]
        self._text = ""

    def __enter__(self) -> "Ending":
        self._process = subprocess.Popen(self._words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def wait(self, expected: bool) -> None:
        """The event comes with the job's end, or not at all."""
        try:
            self._text, _ = self._process.communicate(timeout=3 if expected else 0.1)
        except subprocess.TimeoutExpired:
            self._text = ""

    def figures(self) -> tuple[float | None, float | None]:
        """Downtime in ms and bytes of memory; None where nothing was said."""

        def number(key: str) -> float | None:
            found = re.search(rf"{key}: (\d+)", self._text)
            return float(found[1]) if found else None

        return number("downtime"), number("memory_processed")
