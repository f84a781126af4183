"""What other tools do with balloons and KSM, as pure functions written from their rules (as bench/memory/peers.cpp has them in C++).

MOM: oVirt/mom doc/balloon.rules, doc/ksm.rules. Proxmox VE: pve-manager PVE/AutoBalloon.pm and pvestatd. ksmtuned: its shell script, by
which Proxmox runs KSM. Sizes in bytes. Read in November 2026.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from memory_lab.ksm import Scan

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclasses.dataclass(frozen=True)
class GuestFigures:
    """What they judge a guest by; `unused` is its MemFree."""

    name: str
    balloon: float
    minimum: float
    maximum: float
    unused: float
    shares: float = 1000


@dataclasses.dataclass(frozen=True)
class HostFigures:
    """`free` with buffers and page cache, as all three count it."""

    total: float
    free: float


# --- MOM ---

MOM_PRESSURE, MOM_CRITICAL, MOM_GUEST_FREE = 0.20, 0.05, 0.20
MOM_STEP, MOM_LEAST_CHANGE = 0.05, 0.0025


def mom_targets(guests: Sequence[GuestFigures], means: Sequence[GuestFigures], host: HostFigures) -> dict[str, float]:
    """Balloons to move, by name. `means` are averages over its history (StatAvg), the host's too; the balloon itself is the last one
    read. Its rules take the lesser of a guest's minimum and its use as the floor; the greater is taken here, as oVirt's own policy does:
    else its guests would be squeezed below what they use."""
    part = host.free / host.total
    moved: dict[str, float] = {}
    for guest, mean in zip(guests, means):
        used = mean.balloon - mean.unused
        if part < MOM_PRESSURE:
            free = part - MOM_CRITICAL if part <= MOM_CRITICAL else MOM_GUEST_FREE * part / MOM_PRESSURE
            floor = max(guest.minimum, used + free * guest.balloon)
            target = min(max(guest.balloon * (1 - MOM_STEP), floor), guest.balloon)
        else:
            floor = max(guest.minimum, used + MOM_GUEST_FREE * guest.balloon)
            target = min(max(guest.balloon * (1 + MOM_STEP), floor), guest.maximum)
        if abs(target - guest.balloon) > MOM_LEAST_CHANGE * guest.balloon:
            moved[guest.name] = target
    return moved


def mom_scan(before: Scan | None, host: HostFigures, shareable: float) -> Scan | None:
    """KSM's pace, or none: it is stopped. 300 pages more under pressure, 50 less without, 64 to 1250; 10 ms of sleep on 16 GiB."""
    pressed = host.free < MOM_PRESSURE * host.total
    if MOM_PRESSURE * host.total + shareable < host.total and not pressed:
        return None
    return _stepped(before, pressed, host.total)


def _stepped(before: Scan | None, pressed: bool, total: float) -> Scan:
    pages = (before.pages if before else 0) + (300 if pressed else -50)
    return Scan(min(max(pages, 64), 1250), max(int(10 * 16 * GIB / total), 10))


# --- ksmtuned ---

KSMTUNED_PAUSE_S = 60.0
KSMTUNED_THRESHOLD = 0.20


def ksmtuned_scan(before: Scan | None, host: HostFigures, committed: float) -> Scan | None:
    """`committed` is the address space of all QEMUs, as the script adds it up (ps -o vsz)."""
    threshold = KSMTUNED_THRESHOLD * host.total
    if committed + threshold < host.total and host.free > threshold:
        return None
    return _stepped(before, host.free < threshold, host.total)


# --- Proxmox VE ---

PROXMOX_TARGET, PROXMOX_MOST, PROXMOX_DEAD_BAND = 0.8, 100 * MIB, 10 * MIB


def proxmox_targets(guests: Sequence[GuestFigures], host: HostFigures) -> dict[str, float]:
    """Towards 80 % of the host in use, at most 100 MiB a guest: those with little free memory grow first, those with more than a quarter
    of their minimum free shrink first, all of them where that changes nothing."""
    goal = PROXMOX_TARGET * host.total - (host.total - host.free)
    wanted = [guest for guest in guests if guest.shares > 0 and guest.minimum > 0]
    if abs(goal) <= PROXMOX_DEAD_BAND or not wanted:
        return {}
    donors = [guest for guest in wanted if guest.unused > 0.25 * guest.minimum and guest.balloon >= guest.minimum]
    short = [guest for guest in wanted if guest not in donors]
    targets = {guest.name: guest.balloon for guest in wanted}
    if abs(_spread(short if goal > 0 else donors, targets, goal) - goal) < 1:
        _spread(wanted, targets, goal)
    return {guest.name: targets[guest.name] for guest in wanted if int(targets[guest.name]) != int(guest.balloon)}


def _spread(guests: Sequence[GuestFigures], targets: dict[str, float], goal: float) -> float:
    """What is between minimum and maximum goes by shares, until nothing changes; gives what is left of the goal."""
    left, rest = list(guests), goal
    while left and abs(rest) > 1:
        shares = sum(guest.shares for guest in left)
        above = rest + sum(targets[guest.name] - guest.minimum for guest in left)
        changed, again = 0.0, []
        for guest in left:
            desired = min(max(guest.minimum + above * guest.shares / shares, guest.minimum), guest.maximum)
            if desired <= guest.balloon if goal > 0 else desired >= guest.balloon:
                continue
            target = min(max(desired, guest.balloon - PROXMOX_MOST), guest.balloon + PROXMOX_MOST)
            changed += target - targets[guest.name]
            targets[guest.name] = target
            again.append(guest)
        if abs(changed) <= 1:
            break
        rest -= changed
        left = again
    return rest
