"""Certificates with which the lab's QEMUs trust each other: one authority per lab, one certificate per host, by its name and address.

For QEMU's native TLS of the migration stream and of disks that are copied along (`migrate_tls_x509_cert_dir` in qemu.conf). Made once, by
`openssl`; a host whose files are taken away is a host without TLS, until `up` makes them anew.
"""

from __future__ import annotations

import os
import pathlib
import pwd

from ballast_lab.shell import run
from ballast_lab.state import Host, Lab

FOLDER = "pki"  # of the host's /etc/libvirt
DAYS = "30"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

AUTHORITY = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = Ballast lab {lab}
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

MEMBER = """\
[req]
prompt = no
distinguished_name = name
[name]
CN = {name}
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:{name}, IP:{address}
"""


def folder_of(host: Host) -> pathlib.Path:
    """Where the host's files lie, as the machine sees them."""
    return host.store_dir / "etc" / FOLDER


def make(lab: Lab, host: Host) -> None:
    """The authority and the host's files, where they are not there yet."""
    home = lab.store_dir / "authority"
    if not (home / "ca-cert.pem").exists():
        _make_authority(lab, home)
    if not all((folder_of(host) / name).exists() for name in ("ca-cert.pem", "server-cert.pem", "client-key.pem")):
        _make_member(home, host)


def _make_authority(lab: Lab, home: pathlib.Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    recipe = home / "authority.cnf"
    recipe.write_text(AUTHORITY.format(lab=lab.name), encoding="utf-8")
    run(["openssl", "req", "-x509", *KEY, "-config", str(recipe), "-days", DAYS, "-keyout", str(home / "ca-key.pem"),
         "-out", str(home / "ca-cert.pem")])


def _make_member(home: pathlib.Path, host: Host) -> None:
    """QEMU wants one pair as a server and one as a client; of the same host they may be the same."""
    folder = folder_of(host)
    folder.mkdir(parents=True, exist_ok=True)
    recipe, request = home / f"{host.name}.cnf", home / f"{host.name}.csr"
    recipe.write_text(MEMBER.format(name=host.name, address=host.address), encoding="utf-8")
    key = folder / "server-key.pem"
    run(["openssl", "req", "-new", *KEY, "-config", str(recipe), "-keyout", str(key), "-out", str(request)])
    run(["openssl", "x509", "-req", "-in", str(request), "-CA", str(home / "ca-cert.pem"), "-CAkey",
         str(home / "ca-key.pem"), "-CAcreateserial", "-days", DAYS, "-extfile", str(recipe), "-extensions",
         "extensions", "-out", str(folder / "server-cert.pem")])
    (folder / "ca-cert.pem").write_bytes((home / "ca-cert.pem").read_bytes())
    (folder / "client-cert.pem").write_bytes((folder / "server-cert.pem").read_bytes())
    (folder / "client-key.pem").write_bytes(key.read_bytes())
    owner = pwd.getpwnam(host.qemu_user)
    for path in folder.glob("*-key.pem"):
        os.chown(path, owner.pw_uid, owner.pw_gid)
        path.chmod(0o600)
