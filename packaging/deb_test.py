#!/usr/bin/python3
"""The Debian package, installed for real in a throwaway root: the machine's own file system under an overlay, in a mount namespace of its own.
Nothing of this machine is touched. Needs root and a build folder with the programs in it.

    packaging/deb_test.py BUILD_FOLDER
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None

# $1 an empty folder. Everything of it ends with the namespace.
ENTER = r"""
set -e
mount -t tmpfs -o size=256m deb-test "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs run "$1/root/run"
mount -t tmpfs tmp "$1/root/tmp"
mount --bind "$2" "$1/root/mnt"
exec chroot "$1/root" /bin/bash -c "$3"
"""

# Inside: no systemd runs there (/run is empty), as in a container; what asks for it must not fail.
SCENARIO = r"""
set -eu
say() { echo "== $*"; }
cd /
say install
dpkg --install /mnt/*.deb
say version
ballastd --version
ballast --help | head -1
say files
for file in /lib/systemd/system/ballastd.service /usr/lib/systemd/system/ballastd.service; do [ ! -e $file ] || unit=$file; done
echo "unit $unit"
grep -q '^ExecStart=/usr/bin/ballastd$' "$unit"
systemd-analyze verify --man=no "$unit"
folder=$(dirname "$unit")
systemd-analyze verify --man=no "$folder/ballast-rebalance.service" "$folder/ballast-rebalance.timer"
grep -q 'ballast rebalance --apply' /usr/share/doc/ballast/examples/ballast.cron && echo "cron example"
getent passwd ballast
id -nG ballast
stat -c '%U %a' /var/lib/ballast
for page in man1/ballast.1 man5/ballastd.toml.5 man8/ballastd.8; do gzip -t /usr/share/man/$page.gz; done
bash -c 'source /usr/share/bash-completion/completions/ballast && complete -p ballast'
ballastd --print-config >/dev/null
say run
runuser -u ballast -- ballastd --set server.port=0 >/tmp/log 2>&1 &
pid=$!
tries=0
until grep -q 'serves https://' /tmp/log; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] && kill -0 $pid || { cat /tmp/log; exit 1; }
    read -rt 0.1 <> <(:) || true
done
port=$(grep -o '127.0.0.1:[0-9]*' /tmp/log | head -1 | cut -d: -f2)
BALLAST_URL=https://127.0.0.1:$port BALLAST_CA=/var/lib/ballast/tls/server.crt BALLAST_TOKEN=$(cat /var/lib/ballast/first-token) \
    ballast host list -o json
kill -TERM $pid
wait $pid || true
say remove
dpkg --remove ballast
[ ! -e /usr/bin/ballastd ] && [ ! -e /usr/bin/ballast ] && [ ! -e "$unit" ] && echo "programs gone"
[ -e /etc/ballast/ballastd.toml ] && echo "configuration kept"
[ -e /var/lib/ballast/ballast.db ] && echo "inventory kept"
say purge
dpkg --purge ballast
[ ! -e /etc/ballast/ballastd.toml ] && echo "configuration gone"
[ -e /var/lib/ballast/ballast.db ] && echo "inventory still kept"
say end
"""


class Package(unittest.TestCase):
    """Built once, installed once."""

    def test_it_installs_runs_and_leaves_nothing_but_the_inventory(self) -> None:
        assert BUILD is not None, "name the build folder"
        with tempfile.TemporaryDirectory(prefix="ballast-deb-") as out, tempfile.TemporaryDirectory(prefix="ballast-root-") as root:
            subprocess.run(["cmake", "--build", str(BUILD), "--target", "package_files"], stdout=subprocess.DEVNULL, check=True)
            packed = subprocess.run(["cpack", "--config", str(BUILD / "CPackConfig.cmake"), "-B", out], cwd=BUILD, capture_output=True,
                                    text=True, check=False)
            self.assertEqual(0, packed.returncode, packed.stdout + packed.stderr)
            (package,) = pathlib.Path(out).glob("*.deb")
            done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                                   "sh", "-c", ENTER, "deb-test", root, out, SCENARIO], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False, env={"PATH": os.environ["PATH"]})
            print(package.name, f"{package.stat().st_size >> 10} KiB\n{done.stdout}", file=sys.stderr)
        self.assertEqual(0, done.returncode)
        for wanted in ("== end", "programs gone", "configuration kept", "inventory kept", "configuration gone", "inventory still kept",
                       "ballast 700", "libvirt"):
            self.assertIn(wanted, done.stdout)
        self.assertNotIn("warning", done.stdout.lower())


if __name__ == "__main__":
    unittest.main(verbosity=2)
