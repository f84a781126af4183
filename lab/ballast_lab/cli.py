"""The command line of `lab/lab`: parses, takes the lab's lock, calls, prints."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from typing import Any

from ballast_lab import cgroup, guest, heartbeat, host as hosts, lifecycle, network, status
from ballast_lab.shell import LabError, say
from ballast_lab.state import Lab, check_name, load_lab, locked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Several real libvirt hosts on one machine.")
    parser.add_argument("--name", default="lab", help="which lab (several can be up side by side)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="bring the lab up, or complete it")
    up.add_argument("--hosts", type=int, default=3)
    up.add_argument("--memory-mib-per-host", type=int, default=2048, metavar="M")
    up.add_argument("--sound-qemu", action="store_true", help="no guest is harmed by a move, which takes longer")
    commands.add_parser("down", help="end and remove everything of the lab")
    commands.add_parser("status", help="what runs, with URIs, pids and paths")
    cut = _on_host(commands, "cut", "cut the host's wire")
    cut.add_argument("--silent", action="store_true", help="drop every frame instead of taking the carrier away")
    _on_host(commands, "heal", "mend a cut wire")
    _on_host(commands, "slow", "limit the host's wire").add_argument("rate", help="as tc writes it, e.g. 100mbit, or off")
    _on_host(commands, "memory", "let the host have so much from now on").add_argument("mib", type=int)
    crash = _on_host(commands, "crash", "kill -9 the host's libvirtd and QEMUs")
    crash.add_argument("--libvirtd-only", action="store_true", help="leave the QEMUs running")
    crash.add_argument("--silent", action="store_true", help="take it off the wire first, as a loss of power would")
    _on_host(commands, "revive", "bring a crashed host back")
    _on_host(commands, "stop", "SIGSTOP the host's libvirtd")
    _on_host(commands, "cont", "SIGCONT it")
    for name, text in (("exec", "run a command inside the host, or inside 'switch'"), ("virsh", "run virsh on the host")):
        _on_host(commands, name, text).add_argument("words", nargs=argparse.REMAINDER, metavar="-- WORDS")
    _guest_parser(commands)
    return parser


def _on_host(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text)
    parser.add_argument("host")
    return parser


def _guest_parser(commands: Any) -> None:
    verbs = commands.add_parser("guest", help="the tiny guest").add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="make kernel, initramfs and base image, unless cached")
    info = verbs.add_parser("info", help="their paths and a kernel command line")
    info.add_argument("--json", action="store_true", dest="info_json")
    xml = verbs.add_parser("xml", help="print a domain for virsh, with a fresh disk in the shared pool")
    xml.add_argument("vm")
    xml.add_argument("--memory-mib", type=int, default=128)
    xml.add_argument("--load", default="16:200:random", help="MIB:PAGES_PER_SECOND:PATTERN")
    xml.add_argument("--disk", default="0", help="blocks written per second")
    xml.add_argument("--disk-mib", type=int, default=0, help="size of its disk, the base image's without")
    xml.add_argument("--ip", default="", help="ADDRESS/MASK of the guest's eth0")
    watch = verbs.add_parser("watch", help="judge a serial console file: sequence, gaps, corruption")
    watch.add_argument("file")
    watch.add_argument("--seconds", type=float, default=5.0)
    configure = verbs.add_parser("configure", help="write a load into an image that is not in use")
    configure.add_argument("image")
    configure.add_argument("settings", nargs="+", metavar="KEY=VALUE")


def main(argv: list[str]) -> int:
    """Runs one command; 0 when it did what it says, 1 with a sentence when not."""
    options = _parser().parse_args(argv)
    os.umask(0o022)  # the host with an ordinary user must reach its paths
    try:
        check_name(options.name)
        if os.geteuid() != 0:
            raise LabError("the lab makes namespaces and cgroups: run it as root")
        return _dispatch(options)
    except LabError as error:
        say(f"error: {error}")
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: let the last flush go nowhere
        return 0
    except OSError as error:
        say(f"error: {error.filename or 'the system'}: {error.strerror}")
        return 1
    except KeyboardInterrupt:
        say("interrupted: the same command goes on from here, 'down' removes everything")
        return 130


def _dispatch(options: argparse.Namespace) -> int:
    if options.command == "guest":
        return _guest(options)
    if options.command in ("exec", "virsh"):
        return _run_inside(options)
    if options.command == "status":
        _show(load_lab(options.name), options.json)
        return 0
    with locked(options.name):
        _change(options)
    return 0


def _change(options: argparse.Namespace) -> None:
    """The commands that change a lab, under its lock."""
    if options.command == "up":
        lab = lifecycle.up(options.name, options.hosts, options.memory_mib_per_host,
                           sound_qemu=options.sound_qemu)
        _show(lab, options.json)
        return
    if options.command == "down":
        lifecycle.down(options.name)
        say(f"lab '{options.name}' is down, nothing of it is left")
        return
    lab = load_lab(options.name)
    host = lab.host(options.host)
    if options.command == "cut":
        network.cut(lab, host, silent=options.silent)
    elif options.command == "heal":
        network.heal(lab, host)
    elif options.command == "slow":
        network.slow(lab, host, options.rate)
    elif options.command == "memory":
        cgroup.set_limit(host, options.mib * cgroup.MIB)
    elif options.command == "crash":
        if options.silent:
            network.cut(lab, host, silent=True)
            host.link = network.DARK
        hosts.crash(host, libvirtd_only=options.libvirtd_only)
    elif options.command == "revive":
        _revive(lab, options.host)
    else:
        hosts.pause(host, signal.SIGSTOP if options.command == "stop" else signal.SIGCONT)
    lab.save()


def _revive(lab: Lab, name: str) -> None:
    host = lab.host(name)
    if host.link == network.DARK:
        network.heal(lab, host)
    hosts.start_holder(host)
    hosts.launch_libvirtd(host)
    lab.save()
    hosts.await_libvirtd(host)


def _show(lab: Lab, as_json: bool) -> None:
    print(json.dumps(status.describe(lab), indent=1) if as_json else status.table(lab))


def _run_inside(options: argparse.Namespace) -> int:
    lab = load_lab(options.name)
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if options.command == "virsh":
        argv = ["virsh", "-c", lab.host(options.host).uri, *words]
    elif options.host == "switch":
        argv = network.enter(lab.switch_netns) + words
    else:
        argv = hosts.inside(lab.host(options.host)) + words
    if options.command == "exec" and not words:
        raise LabError("say what to run: lab/lab exec HOST -- COMMAND")
    return subprocess.run(argv, check=False).returncode


def _guest(options: argparse.Namespace) -> int:
    if options.verb == "watch":
        report = heartbeat.watch(options.file, options.seconds)
        print(json.dumps(report, indent=1))
        return 0 if report["ok"] else 1
    if options.verb == "configure":
        guest.configure(options.image, options.settings)
        return 0
    files = guest.build()
    if options.verb == "xml":
        print(guest.domain_xml(load_lab(options.name), files, options))
    elif options.json or getattr(options, "info_json", False):
        print(json.dumps(files.describe(), indent=1))
    else:
        print("\n".join(f"{key}: {value}" for key, value in files.describe().items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
