"""The memory cgroup of a host, version 1 or 2, whichever has the memory controller.

Decides nothing; it gives a host its capacity as a limit that the OOM killer really enforces.
"""

from __future__ import annotations

import pathlib

from ballast_lab.shell import LabError, end_all, wait_until
from ballast_lab.state import Host, Lab

V1_ROOT = pathlib.Path("/sys/fs/cgroup/memory")
V2_ROOT = pathlib.Path("/sys/fs/cgroup")
MIB = 1024 * 1024


def _is_v1() -> bool:
    return (V1_ROOT / "memory.limit_in_bytes").exists()


def lab_group(lab_name: str) -> pathlib.Path:
    """The cgroup that holds the lab's hosts."""
    return (V1_ROOT if _is_v1() else V2_ROOT) / "ballast-lab" / lab_name


def host_group(host: Host) -> pathlib.Path:
    """The cgroup in which the host's libvirtd and QEMUs live."""
    return lab_group(host.lab) / host.name


def make_groups(lab: Lab) -> None:
    """Makes one limited cgroup per host; an existing one gets the new limit."""
    if not _is_v1():
        _enable_v2(lab)
    for host in lab.hosts:
        group = host_group(host)
        group.mkdir(parents=True, exist_ok=True)
        set_limit(host, lab.memory_mib * MIB)
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0", encoding="utf-8")


def set_limit(host: Host, limit: int) -> None:
    """What the host may use at most from now on. Version 1 wants memory <= memory+swap at every moment: the upper one first when raising, last when
    lowering."""
    group = host_group(host)
    if not _is_v1():
        (group / "memory.max").write_text(str(limit), encoding="utf-8")
        return
    files = [f for f in (group / "memory.limit_in_bytes", group / "memory.memsw.limit_in_bytes") if f.exists()]
    if int(files[0].read_text(encoding="utf-8")) < limit:
        files.reverse()
    for file in files:
        try:
            file.write_text(str(limit), encoding="utf-8")
        except OSError as error:
            raise LabError(f"host {host.name} can't be given {limit // MIB} MiB ({error.strerror}), it uses "
                           f"{used_bytes(host) // MIB} MiB: end guests first or ask for more") from error


def _enable_v2(lab: Lab) -> None:
    """Hands the memory controller down to the hosts' groups."""
    base = V2_ROOT / "ballast-lab"
    (base / lab.name).mkdir(parents=True, exist_ok=True)
    for level in (V2_ROOT, base, base / lab.name):
        control = level / "cgroup.subtree_control"
        if "memory" in control.read_text(encoding="utf-8").split():
            continue
        try:
            control.write_text("+memory", encoding="utf-8")
        except OSError as error:
            raise LabError(f"{control} does not accept +memory ({error.strerror}): mount a cgroup hierarchy with the "
                           "memory controller, or run the lab outside a container") from error


def pids(host: Host) -> list[int]:
    """Every process of the host: its libvirtd and its QEMUs."""
    return _pids_of(host_group(host))


def _pids_of(group: pathlib.Path) -> list[int]:
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text(encoding="utf-8").split()]
    except (FileNotFoundError, OSError):
        return []


def used_bytes(host: Host) -> int:
    """Memory charged to the host."""
    name = "memory.usage_in_bytes" if _is_v1() else "memory.current"
    try:
        return int((host_group(host) / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return 0


def limit_bytes(host: Host) -> int:
    """What the host may use at most."""
    name = "memory.limit_in_bytes" if _is_v1() else "memory.max"
    try:
        return int((host_group(host) / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return 0


def cached_bytes(host: Host) -> int:
    """Page cache charged to the host."""
    key = "total_cache " if _is_v1() else "file "
    try:
        lines = (host_group(host) / "memory.stat").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)


def memory_pressure_seconds(host: Host) -> float | None:
    """Time in which some process of the host waited for memory; version 1 does not count it."""
    try:
        text = (host_group(host) / "memory.pressure").read_text(encoding="utf-8")
    except OSError:
        return None
    some = next(line for line in text.splitlines() if line.startswith("some "))
    return int(some.rpartition("total=")[2]) / 1e6


def oom_kills(host: Host) -> int:
    """How often the OOM killer struck in the host since `up`."""
    name = "memory.oom_control" if _is_v1() else "memory.events"
    try:
        lines = (host_group(host) / name).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def end_host(host: Host) -> None:
    """Kills every process of the host."""
    end_all(lambda: pids(host), f"host {host.name}")


def remove_groups(lab_name: str) -> None:
    """Kills what is left in the lab's cgroups and removes them."""
    top = lab_group(lab_name)
    if not top.is_dir():
        return
    for group in [p for p in top.iterdir() if p.is_dir()]:
        end_all(lambda g=group: _pids_of(g), f"cgroup {group}")
        wait_until(lambda g=group: _removed(g), 10, f"cgroup {group} is removed")
    wait_until(lambda: _removed(top), 10, f"cgroup {top} is removed")


def _removed(group: pathlib.Path) -> bool:
    """Tries to remove a cgroup: the kernel says busy for a moment after its last process."""
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def remove_top() -> None:
    """Removes the cgroup over all labs, if no lab is left in it."""
    _removed(lab_group("x").parent)
