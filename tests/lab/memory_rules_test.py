#!/usr/bin/python3
"""What bench/memory_bench.py measures by: the other tools' rules, and what a guest's console says of its work."""

from __future__ import annotations

import pathlib
import sys
import tempfile
import unittest

from support import ROOT

sys.path.insert(0, str(ROOT / "bench"))

from memory_lab.guests import Console, Look, Shape, loss  # noqa: E402
from memory_lab.ksm import Scan  # noqa: E402
from memory_lab.rules import (GIB, MIB, GuestFigures, HostFigures, ksmtuned_scan, mom_scan, mom_targets, proxmox_targets)  # noqa: E402


def guest(name: str, balloon: float, unused: float) -> GuestFigures:
    """Of at most 1000 MiB, at least 100; sizes in MiB."""
    return GuestFigures(name, balloon * MIB, 100 * MIB, 1000 * MIB, unused * MIB)


def host(free: float) -> HostFigures:
    """Of 4000 MiB."""
    return HostFigures(4000 * MIB, free * MIB)


class Mom(unittest.TestCase):
    """MOM's rules."""

    def target(self, one: GuestFigures, free: float) -> float | None:
        found = mom_targets([one], [one], host(free)).get(one.name)
        return None if found is None else found / MIB

    def test_under_pressure_a_guest_shrinks_by_5_percent(self) -> None:
        self.assertAlmostEqual(self.target(guest("a", 800, 600), 700) or 0, 760)

    def test_a_guest_is_not_squeezed_below_what_it_uses_and_a_share_of_free_memory_that_shrinks_with_the_host_s(self) -> None:
        self.assertAlmostEqual(self.target(guest("a", 800, 120), 400) or 0, 680 + 0.1 * 800)

    def test_in_critical_danger_free_memory_of_the_guest_is_taken_below_nothing(self) -> None:
        self.assertAlmostEqual(self.target(guest("a", 800, 0), 40) or 0, 800 - 0.04 * 800)

    def test_without_pressure_a_guest_grows_by_5_percent_or_to_a_fifth_free_at_once(self) -> None:
        self.assertAlmostEqual(self.target(guest("a", 800, 600), 2000) or 0, 840)
        self.assertAlmostEqual(self.target(guest("a", 500, 10), 2000) or 0, 590)

    def test_less_than_a_quarter_of_a_percent_is_not_worth_a_move(self) -> None:
        self.assertIsNone(self.target(guest("a", 999, 600), 2000))

    def test_ksm_is_stopped_while_all_fits_and_scans_more_with_each_pass_under_pressure(self) -> None:
        self.assertIsNone(mom_scan(None, host(2500), 1500 * MIB))
        total = HostFigures(4 * GIB, 0.1 * GIB)
        first = mom_scan(None, total, 3 * GIB)
        self.assertEqual(first, Scan(300, 40))
        self.assertEqual(mom_scan(Scan(1200, 40), total, 3 * GIB), Scan(1250, 40))
        self.assertEqual(mom_scan(first, HostFigures(4 * GIB, 2 * GIB), 4 * GIB), Scan(250, 40))


class Ksmtuned(unittest.TestCase):
    """The script beside Proxmox."""

    def test_it_stops_only_where_the_address_space_of_all_and_a_fifth_fit(self) -> None:
        self.assertIsNone(ksmtuned_scan(None, host(3000), 3000 * MIB))
        self.assertEqual(ksmtuned_scan(None, host(3000), 3300 * MIB), Scan(64, 40))


class Proxmox(unittest.TestCase):
    """Proxmox's rule."""

    def moved(self, guests: list[GuestFigures], free: float) -> dict[str, float]:
        return {name: target / MIB for name, target in proxmox_targets(guests, host(free)).items()}

    def test_nothing_moves_within_10_MiB_of_80_percent(self) -> None:
        self.assertEqual(self.moved([guest("a", 500, 10)], 805), {})

    def test_guests_that_are_short_grow_first_and_by_100_MiB_at_most(self) -> None:
        self.assertEqual(self.moved([guest("short", 500, 10), guest("has", 500, 200)], 1200), {"short": 600})

    def test_guests_with_free_memory_shrink_first(self) -> None:
        self.assertEqual(self.moved([guest("short", 500, 10), guest("has", 500, 200)], 740), {"has": 440})

    def test_all_shrink_where_none_has_free_memory(self) -> None:
        self.assertEqual(self.moved([guest("a", 500, 10), guest("b", 500, 10)], 700), {"a": 450, "b": 450})

    def test_never_below_the_minimum(self) -> None:
        self.assertEqual(self.moved([guest("a", 130, 60)], 0), {"a": 100})


class Work(unittest.TestCase):
    """Loss of rate, and the console."""

    def test_loss_is_the_part_of_the_work_that_was_not_done(self) -> None:
        shape = Shape(pages_per_second=100)
        self.assertAlmostEqual(loss(shape, Look(1, 500, 1), Look(1, 1450, 1), 10), 0.05)
        self.assertEqual(loss(shape, Look(1, 500, 1), Look(1, 1600, 1), 10), 0)

    def test_a_guest_that_was_booted_anew_has_lost_everything(self) -> None:
        self.assertEqual(loss(Shape(), Look(1, 500, 1), Look(1, 90_000, 2), 10), 1)

    def test_a_console_is_read_on_from_where_it_was_even_within_a_line(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "g.log")
            console = Console(path)
            self.assertEqual(console.look(), Look(0, 0, 0))
            path.write_text("BOOT settings: x\nHB seq=0 t=1.0 pages=5 dirtied=70 checked=1 bad=0 ok\nHB seq=1 t=1.1 pages=5 dir")
            self.assertEqual(console.look(), Look(5, 70, 1))
            with open(path, "a", encoding="utf-8") as file:
                file.write("tied=90 checked=1 bad=0 ok\n")
            self.assertEqual(console.look(), Look(5, 90, 1))
            with open(path, "a", encoding="utf-8") as file:
                file.write("BOOT settings: x\nHB seq=0 t=1.0 pages=2 dirtied=3 checked=1 bad=0 ok\n")
            self.assertEqual(console.look(), Look(2, 3, 2))

    def test_guests_in_a_row_have_their_phases_apart(self) -> None:
        phases = [float(Shape().words(index).partition("swing=48:60:")[2].split()[0]) for index in range(8)]
        gaps = [abs(a - b) % 60 for at, a in enumerate(phases) for b in phases[:at]]
        self.assertGreater(min(min(gap, 60 - gap) for gap in gaps), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
