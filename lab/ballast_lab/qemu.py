"""QEMU as a lab runs it that is brought up with --sound-qemu: Debian's own, with 8 KiB more memory for each guest.

Why: QEMU before 9.0 loses writes of a TCG guest while it is migrated. Once a round it takes the dirty bitmap of the
guest's memory 64 pages at a time, and then forgets to tell the translator's TLB, so that what is written next by the
same entry is marked nowhere (fixed upstream by 03bfc2188f06, "physmem: Fix migration dirty bitmap coherency with TCG
memory access"; not in Debian 12's 7.2, and KVM is not concerned). Measured here with plain virsh: of 120 moves of a busy
guest 4 harmed it, each of several rounds: a stale page, or a kernel that jumped to nowhere; none of 120 did with this.
Memory whose size is no multiple of 64 pages is walked page by page, and that path is right. It is slower too: downtimes
of 80 to 900 ms were seen where 100 are usual. So tests of what becomes of a guest want it, and measurements do not.

Writes one file; starts nothing. libvirtd finds it because its folder comes first in libvirtd's PATH.
"""

from __future__ import annotations

import os
import pathlib

from ballast_lab.state import Host, Lab

BINARY = "qemu-system-x86_64"

# libvirt's own balloon target takes the two pages back, so that every figure but -m is what libvirt asked for.
SCRIPT = r"""#!/bin/sh
# Written by lab/ballast_lab/qemu.py, which says why.
case "$*" in
*'"id":"pc.ram","size":'*)
    before=
    for word; do
        shift
        case $before:$word in
        -m:*[!0-9]*) ;;
        -m:*) word=$((word * 1024 + 8))k ;;
        -object:*'"id":"pc.ram","size":'*)
            size=${word##*:}
            word=${word%:*}:$((${size%\}} + 8192))} ;;
        esac
        before=$word
        set -- "$@" "$word"
    done ;;
esac
exec /usr/bin/@BINARY@ "$@"
""".replace("@BINARY@", BINARY)


def folder(lab_store: pathlib.Path) -> pathlib.Path:
    """Where it lies: one path on all hosts of a lab, for it is part of each domain's definition."""
    return lab_store / "bin"


def write(lab: Lab) -> None:
    """Puts it there, or takes it away from a lab that is to run QEMU as it is."""
    path = folder(lab.store_dir) / BINARY
    if not lab.sound_qemu:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPT, encoding="utf-8")
    path.chmod(0o755)


def environment(host: Host) -> dict[str, str]:
    """What the host's libvirtd is started with."""
    return {**os.environ, "PATH": f"{folder(host.store_dir.parent)}:{os.environ.get('PATH', os.defpath)}"}
