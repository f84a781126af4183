"""The files a host finds under /etc: libvirt's configuration, its pools and network, names.

Decides what makes a host's libvirtd a separate one. Writes files only; starts nothing.
"""

from __future__ import annotations

import pathlib
import pwd
import shutil

from ballast_lab import certificates
from ballast_lab.shell import LabError
from ballast_lab.state import LOCAL_POOL, Host, Lab, make_uuid

NON_ROOT_USER = "libvirt-qemu"

LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
host_uuid = "{uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

QEMU_CONF = """\
user = "{user}"
group = "{group}"
dynamic_ownership = {dynamic_ownership}
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
migration_host = "{address}"
migrate_tls_x509_cert_dir = "/etc/libvirt/{certificates}"
migrate_tls_x509_verify = 1
"""

POOL = """\
<pool type='dir'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <target><path>{path}</path></target>
</pool>
"""

NETWORK = """\
<network>
  <name>lab</name>
  <uuid>{uuid}</uuid>
  <forward mode='bridge'/>
  <bridge name='br0'/>
</network>
"""


def make_directories(lab: Lab) -> None:
    """Makes every directory that a host sees or that hosts share."""
    for path in (lab.run_dir, lab.shared_dir):
        path.mkdir(parents=True, exist_ok=True)
    lab.console_dir.mkdir(parents=True, exist_ok=True)
    lab.console_dir.chmod(0o1777)
    LOCAL_POOL.mkdir(parents=True, exist_ok=True)
    for host in lab.hosts:
        for path in (host.run_dir, host.conf_dir):
            path.mkdir(parents=True, exist_ok=True)
        for name in ("etc", "lib", "log", "cache", "local"):
            (host.store_dir / name).mkdir(parents=True, exist_ok=True)


def write_files(lab: Lab, host: Host) -> None:
    """Writes all of the host's configuration; definitions of domains that are there stay."""
    etc = host.store_dir / "etc"
    (etc / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=host.host_uuid), encoding="utf-8")
    (etc / "qemu.conf").write_text(_qemu_conf(host), encoding="utf-8")
    names = "".join(f"{h.address} {h.name}\n" for h in lab.hosts)
    (host.conf_dir / "hosts").write_text(f"127.0.0.1 localhost\n{lab.gateway} switch\n{names}", encoding="utf-8")
    (host.conf_dir / "resolv.conf").write_text("# the lab resolves names by /etc/hosts only\n", encoding="utf-8")
    # Hides /dev/kvm. A read-only plain file: with /dev/null libvirt finds KVM "usable" but not probed, and so probes
    # QEMU anew, 5 s each, at every define and start.
    (host.conf_dir / "no-kvm").write_bytes(b"")
    for name, path in (("shared", lab.shared_dir), ("local", LOCAL_POOL)):
        pool_uuid = make_uuid(lab.name, "pool", name) if name == "shared" else make_uuid(lab.name, host.name, name)
        _define(etc, "storage", name, POOL.format(name=name, uuid=pool_uuid, path=path))
    _define(etc, "qemu/networks", "lab", NETWORK.format(uuid=make_uuid(lab.name, "network")))


def _qemu_conf(host: Host) -> str:
    """Root hosts leave file owners alone; a non-root one must own what its QEMUs open."""
    non_root = host.qemu_user != "root"
    group = "root"
    if non_root:
        try:
            group = str(pwd.getpwnam(host.qemu_user).pw_gid)
        except KeyError as error:
            raise LabError(f"host {host.name} wants user '{host.qemu_user}', which the package libvirt-daemon-system "
                           "makes: apt-get install libvirt-daemon-system") from error
    return QEMU_CONF.format(user=host.qemu_user, group=f"+{group}" if non_root else group,
                            dynamic_ownership=int(non_root), address=host.address, certificates=certificates.FOLDER)


def _define(etc: pathlib.Path, kind: str, name: str, xml: str) -> None:
    """Puts an object's definition where libvirtd reads it at its start, to be started at once."""
    folder = etc / kind
    (folder / "autostart").mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.xml").write_text(xml, encoding="utf-8")
    link = folder / "autostart" / f"{name}.xml"
    link.unlink(missing_ok=True)
    link.symlink_to(f"/etc/libvirt/{kind}/{name}.xml")  # the path as the host sees it: libvirtd compares the text


def forget_run_state(host: Host) -> None:
    """Empties what a reboot would: /run is a memory file system on a real host."""
    for entry in host.run_dir.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
