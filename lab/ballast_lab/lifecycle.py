"""`up` and `down`: a whole lab made, completed or removed.

`up` goes on from whatever is there; `down` needs no state file, only the lab's name.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

from ballast_lab import certificates, cgroup, config, exporter, host as hosts, network, qemu
from ballast_lab.shell import LabError, end_all, say
from ballast_lab.state import (LOCAL_POOL, MAX_HOSTS, RUN_ROOT, STORE_ROOT, Host, Lab, boot_id, find_lab, living_names,
                               locked, pick_subnet)

FIRST_ADDRESS = 11


def up(name: str, count: int, memory_mib: int, *, sound_qemu: bool = False) -> Lab:
    """Brings up a lab of `count` hosts or completes the one that is there."""
    if not 1 <= count <= MAX_HOSTS:
        raise LabError(f"a lab has 1 to {MAX_HOSTS} hosts, not {count}")
    lab = _lab_to_make(name, count, memory_mib)
    lab.sound_qemu = lab.sound_qemu or sound_qemu  # its domains name the wrapper
    config.make_directories(lab)
    qemu.write(lab)
    cgroup.make_groups(lab)
    with locked(".global"):  # `ip netns add` prepares /run/netns, not safely twice at once
        network.make_network(lab)
    for host in lab.hosts:
        config.write_files(lab, host)
        certificates.make(lab, host)
        hosts.start_holder(host)
        lab.save()
        hosts.launch_libvirtd(host)
        lab.save()
    exporter.start(lab)
    lab.save()
    say(f"{count} hosts started, waiting until each has probed its QEMU")
    with ThreadPoolExecutor(max_workers=count) as pool:
        for done in [pool.submit(hosts.await_libvirtd, h) for h in lab.hosts]:
            done.result()
    return lab


def _lab_to_make(name: str, count: int, memory_mib: int) -> Lab:
    """The recorded lab, grown if asked, or a new record."""
    with locked(".global"):
        lab = find_lab(name)
        if lab is None:
            _clear_leftovers(name)
            lab = Lab(name=name, subnet=pick_subnet(), memory_mib=memory_mib)
        elif lab.boot != boot_id():
            lab.boot = boot_id()
        if len(lab.hosts) > count:
            raise LabError(f"lab '{name}' has {len(lab.hosts)} hosts already, you asked for {count}: "
                           f"'lab/lab --name {name} down' first")
        lab.memory_mib = memory_mib
        lab.hosts += [_new_host(lab, number, count) for number in range(len(lab.hosts) + 1, count + 1)]
        lab.save()
    return lab


def _new_host(lab: Lab, number: int, count: int) -> Host:
    """Of three or more hosts the last runs its QEMUs as an ordinary user."""
    user = config.NON_ROOT_USER if count >= 3 and number == count else "root"
    return Host(lab=lab.name, name=f"h{number}", address=f"{lab.subnet}.{FIRST_ADDRESS - 1 + number}", qemu_user=user)


def _clear_leftovers(name: str) -> None:
    """A lab without a record that left something behind is removed before it is made anew."""
    if network.namespaces(name) or cgroup.lab_group(name).exists() or hosts.pids_by_view(name):
        _remove(name)


def down(name: str) -> None:
    """Ends and removes everything of the lab, whatever state it is in."""
    _remove(name)
    with locked(".global"):
        if living_names():
            return
        cgroup.remove_top()
        for path in (LOCAL_POOL, STORE_ROOT):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def _remove(name: str) -> None:
    """Processes first (by cgroup, by namespace, by record, by what they see), then what they held."""
    lab = find_lab(name)
    cgroup.remove_groups(name)
    network.remove_network(name)
    for host in lab.hosts if lab is not None else []:
        for process in (host.libvirtd, host.holder):
            if process is not None:
                process.end()
    if lab is not None and lab.exporter is not None:
        lab.exporter.end()
    end_all(lambda: hosts.pids_by_view(name), f"lab {name}")
    for root in (STORE_ROOT, RUN_ROOT):
        if (root / name).exists():
            shutil.rmtree(root / name)
