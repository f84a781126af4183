"""The tiny guest: kernel, initramfs and a base image, built once per version of their sources.

Decides what the guest is made of. Never installs a kernel on this machine: the package is only unpacked.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import gzip
import hashlib
import pathlib
import shutil
import tempfile

from ballast_lab.shell import LabError, run, say
from ballast_lab.state import Lab, make_uuid

SOURCES = pathlib.Path(__file__).resolve().parent.parent / "guest"
CACHE = pathlib.Path("/var/cache/ballast-lab")
IMAGE_MIB = 64
CMDLINE = "console=ttyS0 quiet mitigations=off no_timer_check nokaslr panic=1"
CONFIG_MAGIC = b"ballast-guest\n"


@dataclasses.dataclass(frozen=True)
class Guest:
    """Where the built guest lies."""

    folder: pathlib.Path

    def describe(self) -> dict[str, str]:
        """Paths and command line, for `guest info`."""
        return {"kernel": str(self.folder / "vmlinuz"), "initrd": str(self.folder / "initramfs.cpio.gz"),
                "image": str(self.folder / "tiny.qcow2"), "cmdline": CMDLINE,
                "load_parameter": "ballast.load=MIB:PAGES_PER_SECOND:idle|sequential|random|hot|sawtooth",
                "disk_parameter": "ballast.disk=BLOCKS_PER_SECOND", "ip_parameter": "ballast.ip=ADDRESS/MASK"}


def build() -> Guest:
    """The guest of these sources, built if it is not cached. Safe to call from several commands at once."""
    digest = hashlib.sha256()
    for path in (*sorted(SOURCES.iterdir()), pathlib.Path(__file__)):
        digest.update(path.read_bytes())
    guest = Guest(CACHE / f"guest-{digest.hexdigest()[:12]}")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not guest.folder.is_dir():
            _build_into(guest.folder)
    return guest


def _build_into(folder: pathlib.Path) -> None:
    """Builds beside the final name and renames, so that a half-built guest is never found."""
    draft = pathlib.Path(tempfile.mkdtemp(prefix="draft-", dir=CACHE))
    try:
        kernel = _unpack_kernel()
        say("building the tiny guest")
        shutil.copy(next((kernel / "boot").glob("vmlinuz-*")), draft / "vmlinuz")
        _make_initramfs(kernel, draft)
        run(["qemu-img", "create", "-q", "-f", "qcow2", str(draft / "tiny.qcow2"), f"{IMAGE_MIB}M"])
        for path in draft.iterdir():
            path.chmod(0o644)
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unpack_kernel() -> pathlib.Path:
    """Debian's cloud kernel, downloaded and unpacked into the cache once."""
    package = _kernel_package()
    unpacked = CACHE / "kernel" / package
    if unpacked.is_dir():
        return unpacked
    say(f"downloading {package}")
    work = pathlib.Path(tempfile.mkdtemp(prefix="kernel-", dir=CACHE))
    try:
        run(["env", "-C", str(work), "apt-get", "download", package], timeout=600,
            hint="run 'apt-get update' and check that this machine reaches its Debian mirror")
        run(["dpkg-deb", "-x", str(next(work.glob("*.deb"))), str(work / "tree")])
        unpacked.parent.mkdir(exist_ok=True)
        (work / "tree").rename(unpacked)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return unpacked


def _kernel_package() -> str:
    """The package with the kernel itself, on which linux-image-cloud-amd64 depends."""
    found = [p.name for p in (CACHE / "kernel").glob("linux-image-*")]
    if found:
        return sorted(found)[-1]  # no apt, no network once a kernel is there
    for line in run(["apt-cache", "depends", "linux-image-cloud-amd64"], hint="run 'apt-get update'").splitlines():
        if line.strip().startswith("Depends: linux-image-"):
            return line.split()[-1]
    raise LabError("apt knows no linux-image-cloud-amd64: run 'apt-get update'")


def _make_initramfs(kernel: pathlib.Path, draft: pathlib.Path) -> None:
    """busybox, init, the load program and the virtio modules in a compressed cpio archive."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="root-", dir=CACHE))
    try:
        for name in ("bin", "modules"):
            (root / name).mkdir()
        shutil.copy("/bin/busybox", root / "bin" / "busybox")
        shutil.copy(SOURCES / "init", root / "init")
        (root / "init").chmod(0o755)
        run(["gcc", "-static", "-O2", "-s", "-o", str(root / "bin" / "load"), str(SOURCES / "load.c")])
        names = (SOURCES / "modules").read_text(encoding="utf-8").split()
        for name in names:
            shutil.copy(next((kernel / "lib" / "modules").rglob(f"{name}.ko")), root / "modules")
        (root / "modules" / "order").write_text("\n".join(names) + "\n", encoding="utf-8")
        run(["sh", "-c", 'cd "$0" && find . | sort | busybox cpio -o -H newc >"$1"', str(root), str(draft / "cpio")])
        with gzip.open(draft / "initramfs.cpio.gz", "wb", compresslevel=6) as packed:
            packed.write((draft / "cpio").read_bytes())
        (draft / "cpio").unlink()
    except FileNotFoundError as error:
        raise LabError(f"{error.filename} is missing: apt-get install busybox-static") from error
    finally:
        shutil.rmtree(root, ignore_errors=True)


def configure(image: str, settings: list[str]) -> None:
    """Writes settings into the first 4 KiB of a qcow2 image that no VM uses: they win over the kernel command line."""
    text = CONFIG_MAGIC + "\n".join(settings).encode() + b"\n"
    if len(text) > 4096:
        raise LabError(f"settings for {image} take {len(text)} bytes, 4096 is all there is room for")
    with tempfile.NamedTemporaryFile() as block:
        block.write(text.ljust(4096, b"\0"))
        block.flush()
        run(["qemu-io", "-f", "qcow2", "-c", f"write -s {block.name} 0 4096", image],
            hint="is the image in use by a running VM?")


DOMAIN = """\
<domain type='qemu'>
  <name>{vm}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{cmdline} ballast.load={load} ballast.disk={disk}{ip}</cmdline>
  </os>
  <features><acpi/><tcg><tb-cache unit='MiB'>32</tb-cache></tcg></features>
  <cpu mode='custom'><model>qemu64</model></cpu>
  <on_reboot>restart</on_reboot>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='{shared}/{vm}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'><source network='lab'/><model type='virtio'/></interface>
    <serial type='file'><source path='{console}/{vm}.log' append='on'/><target port='0'/></serial>
    <memballoon model='virtio' freePageReporting='on'><stats period='2'/></memballoon>
  </devices>
</domain>"""


def domain_xml(lab: Lab, guest: Guest, options: argparse.Namespace) -> str:
    """A domain to try the lab with by virsh alone; makes its disk, a child of the base image, if it is not there."""
    disk = lab.shared_dir / f"{options.vm}.qcow2"
    files = guest.describe()
    if not disk.exists():
        size = [f"{options.disk_mib}M"] if options.disk_mib else []
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", files["image"], str(disk), *size])
    return DOMAIN.format(vm=options.vm, uuid=make_uuid(lab.name, "vm", options.vm), memory=options.memory_mib,
                         load=options.load, disk=options.disk, shared=lab.shared_dir, console=lab.console_dir,
                         ip=f" ballast.ip={options.ip}" if options.ip else "",
                         kernel=files["kernel"], initrd=files["initrd"], cmdline=files["cmdline"])
