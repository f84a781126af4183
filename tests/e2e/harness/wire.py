"""What an eavesdropper on the lab's switch sees of a migration's stream."""

from __future__ import annotations

import json
import subprocess

from harness.base import LAB
from harness.cluster import Cluster

# Runs inside the switch until its standard input ends: counts frames of the migration's ports, those that name QEMU's RAM block or the guest's
# kernel, and TLS records.
EAR = r"""
import json, select, socket, struct, sys
heard = {"frames": 0, "plain": 0, "tls": 0}
ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
print("listening", flush=True)
while True:
    ready, _, _ = select.select([ear, sys.stdin], [], [])
    if sys.stdin in ready:
        break
    frame = ear.recv(65535)
    if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
        continue
    tcp = 14 + (frame[14] & 15) * 4
    ports = struct.unpack("!HH", frame[tcp:tcp + 4])
    data = frame[tcp + (frame[tcp + 12] >> 4) * 4:]
    if not data or not any(49152 <= port <= 49215 for port in ports):
        continue
    heard["frames"] += 1
    heard["plain"] += b"pc.ram" in data or b"Linux version" in data
    heard["tls"] += data[:1] in (b"\x16", b"\x17") and data[1:3] == b"\x03\x03"
print(json.dumps(heard), flush=True)
"""


class Eavesdropper:
    """Listens while the block runs; `heard` says afterwards what came by."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.heard: dict[str, int] = {}

    def __enter__(self) -> "Eavesdropper":
        self._ear = subprocess.Popen([LAB, "--name", self.cluster.lab.name, "exec", "switch", "--", "/usr/bin/python3", "-c", EAR],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._ear.stdout is not None
        if self._ear.stdout.readline().strip() != "listening":
            raise AssertionError("nobody listens on the switch")
        return self

    def __exit__(self, *_: object) -> None:
        out, _ = self._ear.communicate(timeout=20)  # ends its input
        self.heard = json.loads(out.strip().splitlines()[-1])
