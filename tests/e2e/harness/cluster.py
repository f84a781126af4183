"""A lab, a daemon that manages it, and the questions that every test asks of both."""

from __future__ import annotations

import os
import pathlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.api import Api, ApiError
from harness.base import Lab, say, wait_for
from harness.daemon import Daemon

MIB = 1024 * 1024


class Cluster:
    """Made in setUpModule, ended in tearDownModule: `with`-less so that a module may hold it."""

    def __init__(self, hosts: int = 3, memory_mib: int = 2048, *sets: str) -> None:
        self.lab = Lab()
        self.daemon = Daemon(*sets)
        self.count, self.memory_mib = hosts, memory_mib

    @property
    def api(self) -> Api:
        """The API of the daemon as it runs now."""
        return self.daemon.api

    def up(self, managed: bool = True, image: bool = True) -> "Cluster":
        """Lab, daemon, hosts, image."""
        try:
            self.lab.up(self.count, self.memory_mib)
            self.daemon.start()
            for name in self.lab.hosts:
                self.add_host(name, managed)
            self.await_hosts()
            if managed:
                self.await_pairs()
            if image:
                self.import_image()
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """Ends all of it, whatever state it is in."""
        try:
            self.daemon.remove(keep=os.environ.get("BALLAST_E2E_KEEP") == "1")
        finally:
            self.lab.down()

    def host_body(self, name: str, managed: bool = True) -> dict[str, Any]:
        """What registers one lab host."""
        host = self.lab.hosts[name]
        return {"name": name, "uri": host["uri"], "managed": managed,
                "settings": {"peer_uri": host["peer_uri"], "migration_address": host["migration_address"],
                             "memory_capacity_bytes": host["memory_limit_bytes"], "cpu_capacity": 2,
                             "exporter": host["exporter"]}}

    def add_host(self, name: str, managed: bool = True) -> dict[str, Any]:
        """Registers one lab host."""
        row: dict[str, Any] = self.api.post("/hosts?wait=true", self.host_body(name, managed), timeout=40)
        return row

    def set_host(self, name: str, **settings: Any) -> None:
        """Changes settings of the host; what was set before stays."""
        now = self.api.host(name)["settings"]
        self.api.call("PATCH", f"/hosts/{name}", {"settings": {**now, **settings}})

    def memory_of(self, name: str) -> dict[str, Any]:
        """Where every byte of the host is; empty while it was not looked at."""
        try:
            view: dict[str, Any] = self.api.get(f"/hosts/{name}/memory")
        except ApiError:
            return {}
        return view

    def limit_memory(self, name: str, mib: int) -> None:
        """What the host may use at most from now on; only its exporter tells Ballast."""
        self.lab("memory", name, str(mib))

    def await_hosts(self, *names: str, state: str = "up", seconds: float = 60) -> None:
        """Until the hosts (all without names) are in `state`."""
        for name in names or tuple(self.lab.hosts):
            wait_for(lambda: self.api.host(name)["state"] == state, seconds, f"{name} is {state}")

    def revive_fallen(self) -> None:
        """Starts a libvirtd that died by itself, as systemd would: 9.0 can fall over a client that is killed while it registers for events
        (SIGSEGV after "could not find event callback for deletion", seen once)."""
        for host in self.lab.refresh()["hosts"]:
            if host["state"] == "down":
                say(f"libvirtd of {host['name']} died by itself; it is started again")
                self.lab("revive", host["name"])

    def await_pairs(self) -> None:
        """Until the shared pool is proven shared between any two hosts: before that, nothing is placed away from its image."""
        pairs = len(self.lab.hosts) * (len(self.lab.hosts) - 1)
        wait_for(lambda: sum("shared" in pair["shared_pools"] for pair in self.api.items("/pairs")) == pairs, 60,
                 f"{pairs} pairs share the pool")

    def import_image(self) -> None:
        """The tiny guest as image `tiny`."""
        files = self.lab.guest_files()
        self.daemon.ballast("image", "import", "tiny", "--disk", files["image"], "--kernel", files["kernel"],
                            "--initrd", files["initrd"], "--cmdline", files["cmdline"])
        self.cmdline = files["cmdline"]

    def vm_body(self, name: str, host: str = "", start: bool = True, memory_mib: int = 128, load: str = "",
                disks: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
        """A VM of the tiny guest."""
        boot = {"cmdline": f"{self.cmdline} ballast.load={load or '8:50:idle'}"}
        return {"name": name, "host": host, "start": start,
                "spec": {"vcpus": 1, "memory_bytes": memory_mib * MIB, "boot": boot,
                         "serial": {"log_path": str(self.lab.console(name))},
                         "disks": [{"image": "tiny"}] if disks is None else disks, **spec}}

    def create(self, name: str, host: str = "", **more: Any) -> dict[str, Any]:
        """Creates a VM and gives its row."""
        self.api.run_job("/vms", self.vm_body(name, host, **more))
        return self.api.vm(name)

    def delete(self, name: str) -> None:
        """Deletes a VM, running or not."""
        self.api.run_job(f"/vms/{name}/delete", {"force": True})

    def host_name(self, identity: str | None) -> str:
        """The name of a host by its id; "" for none."""
        return str(self.api.host(identity)["name"]) if identity else ""

    def beats(self, name: str, seconds: float = 120) -> pathlib.Path:
        """Waits until the guest's heart beats; its console."""
        console = self.lab.console(name)
        wait_for(lambda: console.exists() and "HB seq=" in console.read_text(errors="replace"), seconds, f"{name} beats")
        return console

    def pool_files(self, prefix: str = "") -> set[str]:
        """What lies in the shared pool and looks like a VM's volume of that prefix."""
        folder = pathlib.Path(self.lab.facts["shared_dir"])
        return {path.name for path in folder.iterdir() if path.name.startswith(prefix) and path.suffix != ".xml"}

    def assert_true_inventory(self, test: Any) -> None:
        """The inventory and the hosts say the same: which VMs there are, where, and which of them run."""

        def difference() -> str:
            rows = {vm["id"]: vm for vm in self.api.items("/vms")}
            hosts = {host["id"]: host["name"] for host in self.api.items("/hosts")}
            said = {(uuid, hosts[d["host"]]) for uuid, vm in rows.items() for d in vm["definitions"]}
            real = {(uuid, host) for host in self.lab.hosts for uuid in self.lab.domains(host)}
            run_said = {(uuid, hosts[vm["host"]]) for uuid, vm in rows.items() if vm["state"] == "running"}
            run_real = {(uuid, host) for host in self.lab.hosts
                        for uuid in self.lab.domains(host, "--state-running")}
            return "" if said == real and run_said == run_real else \
                f"inventory {said ^ real} differ in definition, {run_said ^ run_real} in running"

        try:
            wait_for(lambda: difference() == "", 15, "the inventory equals the hosts", 0.2)
        except AssertionError:
            test.fail(difference() or "the inventory equalled the hosts only late")

    def assert_no_orphans(self, test: Any) -> None:
        """Every volume file in the shared pool belongs to a row, and every row has its file."""
        folder = pathlib.Path(self.lab.facts["shared_dir"])
        rows = {volume["path"] for volume in self.api.items("/volumes")}
        files = {str(folder / name) for name in self.pool_files() if "-vd" in name}
        test.assertEqual(rows, files, "rows of volumes and files in the pool")


class CopyWatch:
    """Looks on all hosts, again and again, whether two copies of one VM run at once."""

    def __init__(self, lab: Lab, vm: str) -> None:
        self.lab, self.vm = lab, vm
        self.looks = 0
        self.doubled: list[str] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _runs(self, host: str) -> bool:
        return self.lab.state(host, self.vm).startswith("running")

    def _look(self) -> None:
        running = [host for host in self.lab.hosts if self._runs(host)]
        self.looks += 1
        # The hosts are asked one after the other, so a move in between looks like two copies. Asked again in the same
        # and in the opposite order, both must still run to be two.
        if len(running) > 1 and all(self._runs(h) for h in running) and all(self._runs(h) for h in reversed(running)):
            self.doubled.append(f"running at once on {', '.join(running)}")

    def _watch(self) -> None:
        while not self._end.is_set():
            self._look()

    def __enter__(self) -> "CopyWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Says how long a block took."""
    import time
    begin = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - begin:.2f} s")
