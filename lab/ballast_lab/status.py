"""What a lab looks like from outside, as data and as a table."""

from __future__ import annotations

from typing import Any

from ballast_lab import certificates, cgroup, exporter, host as hosts
from ballast_lab.state import LOCAL_POOL, Host, Lab


def describe(lab: Lab) -> dict[str, Any]:
    """The lab for `status --json`."""
    return {
        "name": lab.name,
        "subnet": f"{lab.subnet}.0/24",
        "gateway": lab.gateway,
        "switch_netns": lab.switch_netns,
        "shared_dir": str(lab.shared_dir),
        "console_dir": str(lab.console_dir),
        "network": "lab",
        "hosts": [_describe_host(lab, h) for h in lab.hosts],
    }


def _describe_host(lab: Lab, host: Host) -> dict[str, Any]:
    return {
        "name": host.name,
        "state": hosts.state(host),
        "link": host.link,
        "rate": host.rate or None,
        "uri": host.uri,
        "tcp_uri": host.tcp_uri,
        "peer_uri": host.peer_uri,
        "migration_address": host.address,
        "netns": host.netns,
        "host_uuid": host.host_uuid,
        "qemu_user": host.qemu_user,
        "holder_pid": host.holder.pid if host.holder and host.holder.alive() else None,
        "libvirtd_pid": host.libvirtd.pid if host.libvirtd and host.libvirtd.alive() else None,
        "qemu_pids": hosts.qemu_pids(host),
        "memory_limit_bytes": cgroup.limit_bytes(host),
        "memory_used_bytes": cgroup.used_bytes(host),
        "oom_kills": cgroup.oom_kills(host),
        "exporter": exporter.url_of(lab, host),
        "cgroup": str(cgroup.host_group(host)),
        "pools": {"shared": str(lab.shared_dir), "local": str(LOCAL_POOL)},
        "local_pool_backing": str(host.store_dir / "local"),
        "certificates": str(certificates.folder_of(host)),
        "console_dir": str(lab.console_dir),
        "log_dir": str(host.store_dir / "log"),
    }


def table(lab: Lab) -> str:
    """The lab for a person."""
    facts = describe(lab)
    lines = [f"lab {lab.name}: {facts['subnet']}, {lab.memory_mib} MiB per host, shared pool {lab.shared_dir}"]
    lines.append(f"{'HOST':<6}{'STATE':<9}{'LINK':<8}{'QEMUS':<7}{'USED MIB':<10}{'QEMU USER':<14}URI")
    for h in facts["hosts"]:
        link = h["rate"] if h["link"] == "up" and h["rate"] else h["link"]
        lines.append(f"{h['name']:<6}{h['state']:<9}{link:<8}{len(h['qemu_pids']):<7}"
                     f"{h['memory_used_bytes'] // cgroup.MIB:<10}{h['qemu_user']:<14}{h['uri']}")
    return "\n".join(lines)
