"""One host's life: its private view of the file system, its libvirtd, crash and revival.

The view is kept alive by a holder process; everything of the host runs by entering it. libvirtd and its QEMUs are
in the host's memory cgroup, the holder is not, so that the OOM killer never takes the host's file system away.
"""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess

from ballast_lab import cgroup, config, network, qemu
from ballast_lab.shell import LabError, Process, run, wait_until
from ballast_lab.state import LOCAL_POOL, Host

START_SECONDS = 60.0

# Runs inside the new namespaces. $1 host name, $2 store, $3 run dir, $4 conf dir, $5 local pool's path.
HOLDER_SCRIPT = r"""
set -e
bind() { mount --bind "$1" "$2"; }
hostname "$1"
mkdir -p /run/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /etc/libvirt
bind "$2/etc" /etc/libvirt
bind "$2/lib" /var/lib/libvirt
bind "$2/log" /var/log/libvirt
bind "$2/cache" /var/cache/libvirt
bind "$2/local" "$5"
bind "$3" /run/libvirt
bind "$4/hosts" /etc/hosts
bind "$4/resolv.conf" "$(readlink -f /etc/resolv.conf)"
if [ -e /dev/kvm ]; then bind "$4/no-kvm" /dev/kvm; mount -o remount,bind,ro /dev/kvm; fi
if [ -d /run/dbus ]; then mount -t tmpfs -o size=4k,mode=755 none /run/dbus; fi
echo ready
exec >/dev/null 2>&1
exec sleep infinity
"""


def start_holder(host: Host) -> None:
    """Makes the host's private mounts and name, kept by a process that only sleeps."""
    if host.holder is not None and host.holder.alive():
        return
    words = [host.name, str(host.store_dir), str(host.run_dir), str(host.conf_dir), str(LOCAL_POOL)]
    child = subprocess.Popen(
        network.enter(host.netns) + ["unshare", "--mount", "--uts", "--propagation", "private",
                                     "sh", "-c", HOLDER_SCRIPT, "ballast-lab-holder", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None and child.stderr is not None
    if child.stdout.readline().strip() != "ready":
        raise LabError(f"host {host.name} could not make its private mounts: {child.stderr.read().strip()}")
    host.holder = Process.of(child.pid)


def inside(host: Host) -> list[str]:
    """Command prefix that runs the rest inside the host."""
    if host.holder is None or not host.holder.alive():
        raise LabError(f"host {host.name} has lost its namespaces: run 'lab/lab --name {host.lab} up' again")
    return ["nsenter", "--target", str(host.holder.pid), "--net", "--mount", "--uts"]


def launch_libvirtd(host: Host) -> None:
    """Starts the host's libvirtd inside its memory cgroup, unless it runs; does not wait for it."""
    if host.libvirtd is not None and host.libvirtd.alive():
        return
    if host.crashed:
        config.forget_run_state(host)
        host.crashed = False
    (host.run_dir / "libvirtd.pid").unlink(missing_ok=True)
    join = 'echo $$ > "$0" && exec "$@"'
    log = open(host.store_dir / "log" / "libvirtd.stderr", "ab")  # the child's own; closed here below
    with log:
        child = subprocess.Popen(
            ["sh", "-c", join, str(cgroup.host_group(host) / "cgroup.procs"), *inside(host),
             "libvirtd", "--listen", "--pid-file", "/run/libvirt/libvirtd.pid"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
            env=qemu.environment(host))
    host.libvirtd = Process.of(child.pid)


def await_libvirtd(host: Host) -> None:
    """Waits until libvirtd answers and has probed QEMU (about 5 s the first time), so that no caller pays for it."""
    socket = host.run_dir / "libvirt-sock"

    def answering() -> bool:
        if host.libvirtd is None or not host.libvirtd.alive():
            raise LabError(f"libvirtd of {host.name} ended at its start; see {host.store_dir}/log/libvirtd.stderr "
                           f"and {host.store_dir}/log/libvirtd.log")
        return socket.exists() and virsh(host, "version", check=False) != ""

    wait_until(answering, START_SECONDS, f"libvirtd of {host.name} answers on {socket}")
    virsh(host, "domcapabilities", "--virttype", "qemu")


def virsh(host: Host, *words: str, check: bool = True) -> str:
    """Runs virsh on the host's own socket."""
    return run(["virsh", "-q", "-c", host.uri, *words], check=check,
               hint=f"see {host.store_dir}/log/libvirtd.log")


def crash(host: Host, *, libvirtd_only: bool) -> None:
    """Kills the host's libvirtd, and with it its QEMUs unless told otherwise, without a word of warning."""
    if host.libvirtd is not None:
        host.libvirtd.end()
        host.libvirtd = None
    if not libvirtd_only:
        cgroup.end_host(host)
        host.crashed = True


def pause(host: Host, number: signal.Signals) -> None:
    """Stops (SIGSTOP) or continues (SIGCONT) the host's libvirtd."""
    if host.libvirtd is None or not host.libvirtd.alive():
        raise LabError(f"libvirtd of {host.name} does not run: 'lab/lab --name {host.lab} revive {host.name}'")
    host.libvirtd.signal(number)


def state(host: Host) -> str:
    """up, stopped (SIGSTOP) or down."""
    letter = host.libvirtd.state() if host.libvirtd is not None else ""
    return {"": "down", "T": "stopped"}.get(letter, "up")


def qemu_pids(host: Host) -> list[int]:
    """The host's QEMU processes (a probe of libvirtd's counts while it lasts)."""
    return [p for p in cgroup.pids(host) if _command(p).startswith("qemu-system")]


def _command(pid: int) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8")
    except OSError:
        return ""


def pids_by_view(lab_name: str) -> list[int]:
    """Every process that sees a file system of this lab's hosts: finds them when nothing else is recorded of them."""
    own = os.readlink("/proc/self/ns/mnt")
    return [int(p.name) for p in pathlib.Path("/proc").glob("[0-9]*") if _sees(p, lab_name, own)]


def _sees(process: pathlib.Path, lab_name: str, own_namespace: str) -> bool:
    """Whether the process is in another mount namespace than ours, with a host of the lab at /etc/libvirt."""
    try:
        if os.readlink(process / "ns" / "mnt") == own_namespace:
            return False
        lines = (process / "mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    views = [fields[3] for fields in map(str.split, lines) if fields[4] == "/etc/libvirt"]
    return any(re.search(rf"/ballast-lab/{re.escape(lab_name)}/h\d+/etc$", view) for view in views)
