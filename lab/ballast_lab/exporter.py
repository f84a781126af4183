"""A node exporter for every host of a lab, in one process on a loopback port: a lab host is a memory cgroup, of which libvirt knows nothing.

`http://127.0.0.1:PORT/h1/metrics` says in a node exporter's words what the cgroup of h1 has and uses. It ends by itself when its lab is gone.
"""

from __future__ import annotations

import http.server
import pathlib
import subprocess
import sys
import threading
import time

from ballast_lab import cgroup
from ballast_lab.shell import LabError, Process
from ballast_lab.state import RUN_ROOT, Host, Lab, find_lab

FOLDER = pathlib.Path(__file__).resolve().parent.parent


def start(lab: Lab) -> None:
    """Starts it unless it runs; the port is kept in the lab's record."""
    if lab.exporter is not None and lab.exporter.alive():
        return
    child = subprocess.Popen([sys.executable, "-m", "ballast_lab.exporter", lab.name], cwd=FOLDER, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    assert child.stdout is not None
    port = child.stdout.readline().strip()
    if not port:
        raise LabError(f"the exporter of lab '{lab.name}' did not start")
    lab.exporter, lab.exporter_port = Process.of(child.pid), int(port)


def url_of(lab: Lab, host: Host) -> str:
    """Where it speaks of the host; empty when it does not run."""
    alive = lab.exporter is not None and lab.exporter.alive()
    return f"http://127.0.0.1:{lab.exporter_port}/{host.name}/metrics" if alive else ""


def text_of(host: Host, limit: int) -> str:
    """The host's cgroup in a node exporter's words. Labs have no swap, so nothing was ever swapped in."""
    used = cgroup.used_bytes(host)
    lines = {"node_memory_MemTotal_bytes": limit, "node_memory_MemFree_bytes": max(limit - used, 0), "node_memory_Buffers_bytes": 0,
             "node_memory_Cached_bytes": cgroup.cached_bytes(host), "node_vmstat_pswpin": 0}
    text = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in lines.items())
    if (waited := cgroup.memory_pressure_seconds(host)) is not None:
        text += f"node_pressure_memory_waiting_seconds_total {waited:.6f}\n"
    room = _available(host.store_dir)
    return text + f'node_filesystem_avail_bytes{{device="lab",fstype="lab",mountpoint="/"}} {room}\n'


def _available(folder: pathlib.Path) -> int:
    done = subprocess.run(["df", "--output=avail", "-B1", str(folder)], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[-1]) if done.returncode == 0 else 0


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET /HOST/metrics."""

    lab_name = ""

    def do_GET(self) -> None:
        """One scrape."""
        lab = find_lab(self.lab_name)
        host = next((h for h in lab.hosts if self.path == f"/{h.name}/metrics"), None) if lab is not None else None
        body = text_of(host, cgroup.limit_bytes(host)).encode() if host is not None else b"no such host\n"
        self.send_response(200 if host is not None else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # pylint: disable=redefined-builtin
        """Scrapes are not worth a line."""


def serve(name: str) -> None:
    """Serves until the lab's run directory is gone."""
    _Handler.lab_name = name
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    while (RUN_ROOT / name).exists():
        time.sleep(0.5)


if __name__ == "__main__":
    serve(sys.argv[1])
