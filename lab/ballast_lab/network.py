"""The lab's wires: network namespaces, the switch's bridge, link faults and speeds.

Everything lives in namespaces of the lab's own; the machine's network is not touched.
A fault is set on the switch's end of a host's wire, where a host can't see who did it.
"""

from __future__ import annotations

import json
import pathlib

from ballast_lab.shell import LabError, end_all, run
from ballast_lab.state import Host, Lab

BRIDGE = "br0"
UPLINK = "eth0"
DARK = "dark"  # cut silently by a crash, as by a loss of power: mended by the revival


def make_network(lab: Lab) -> None:
    """Makes the switch and every host's namespace and wire; what exists is left as it is."""
    existing = set(namespaces(lab.name))
    if lab.switch_netns not in existing:
        _make_namespace(lab.switch_netns)
        _ip(lab.switch_netns, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "stp_state", "0")
        _ip(lab.switch_netns, "address", "add", f"{lab.gateway}/24", "dev", BRIDGE)
        _ip(lab.switch_netns, "link", "set", BRIDGE, "up")
    for host in lab.hosts:
        if host.netns not in existing:
            _wire(lab, host)


def _make_namespace(name: str) -> None:
    run(["ip", "netns", "add", name], hint="the lab needs root and network namespaces")
    _ip(name, "link", "set", "lo", "up")


def _wire(lab: Lab, host: Host) -> None:
    """A veth pair from the switch to the host's own bridge, which carries the host's address and its guests."""
    _make_namespace(host.netns)
    number = int(host.address.rpartition(".")[2])
    mac = f"52:54:97:{int(lab.subnet.split('.')[2]):02x}:00:{number:02x}"
    _ip(lab.switch_netns, "link", "add", host.name, "type", "veth", "peer", "name", UPLINK, "netns", host.netns)
    _ip(lab.switch_netns, "link", "set", host.name, "master", BRIDGE, "up")
    _ip(host.netns, "link", "add", BRIDGE, "address", mac, "type", "bridge", "forward_delay", "0", "stp_state", "0")
    _ip(host.netns, "link", "set", UPLINK, "master", BRIDGE, "up")
    _ip(host.netns, "address", "add", f"{host.address}/24", "dev", BRIDGE)
    _ip(host.netns, "link", "set", BRIDGE, "up")
    _ip(host.netns, "route", "add", "default", "via", lab.gateway)


def _ip(namespace: str, *words: str) -> None:
    run(["ip", "-n", namespace, *words])


def namespaces(lab_name: str) -> list[str]:
    """The lab's network namespaces that exist."""
    listed = json.loads(run(["ip", "-j", "netns", "list"]) or "[]")
    return [n["name"] for n in listed if _belongs(n["name"], lab_name)]


def _belongs(namespace: str, lab_name: str) -> bool:
    """Whether a namespace is this lab's and not that of a lab whose name only begins alike."""
    head, _, tail = namespace.rpartition("-")
    return head == f"bl-{lab_name}" and (tail == "switch" or tail[1:].isdigit())


def remove_network(lab_name: str) -> None:
    """Ends what still runs in the lab's namespaces and removes them with all wires."""
    for name in namespaces(lab_name):
        end_all(lambda n=name: pids(n), f"namespace {name}")
        run(["ip", "netns", "delete", name])


def pids(namespace: str) -> list[int]:
    """Every process whose network is this namespace."""
    return [int(p) for p in run(["ip", "netns", "pids", namespace], check=False).split()]


def cut(lab: Lab, host: Host, *, silent: bool) -> None:
    """Cuts the host's wire: hard (no carrier), or silently (frames vanish both ways, carrier stays)."""
    heal(lab, host)
    if silent:
        rules = (f"table bridge {_table(host)} {{\n"
                 f" chain from_host {{ type filter hook prerouting priority -300; iifname \"{host.name}\" drop; }}\n"
                 f" chain to_host {{ type filter hook postrouting priority 300; oifname \"{host.name}\" drop; }}\n}}\n")
        run(["ip", "netns", "exec", lab.switch_netns, "nft", "-f", "-"], stdin=rules)
    else:
        _ip(lab.switch_netns, "link", "set", host.name, "down")
    host.link = "silent" if silent else "cut"


def heal(lab: Lab, host: Host) -> None:
    """Undoes `cut`."""
    run(["ip", "netns", "exec", lab.switch_netns, "nft", "delete", "table", "bridge", _table(host)], check=False)
    _ip(lab.switch_netns, "link", "set", host.name, "up")
    host.link = "up"


def _table(host: Host) -> str:
    return f"cut_{host.name}"


def slow(lab: Lab, host: Host, rate: str) -> None:
    """Limits the host's wire to `rate` in both directions; 'off' lifts it."""
    for namespace, device in ((host.netns, UPLINK), (lab.switch_netns, host.name)):
        if rate == "off":
            run(["tc", "-n", namespace, "qdisc", "delete", "dev", device, "root"], check=False)
        else:
            run(["tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", "tbf", "rate", rate,
                 "burst", "256kb", "latency", "50ms"], hint="give a rate as tc does, e.g. 100mbit, or 'off'")
    host.rate = "" if rate == "off" else rate


def enter(namespace: str) -> list[str]:
    """Command prefix that runs the rest inside a network namespace."""
    if not pathlib.Path("/run/netns", namespace).exists():
        raise LabError(f"namespace {namespace} is gone: run 'lab/lab up' again")
    return ["ip", "netns", "exec", namespace]
