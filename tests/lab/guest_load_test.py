#!/usr/bin/python3
"""The guest's load program, run here instead of in a guest: does it beat, dirty at its rate, and see harm?"""

from __future__ import annotations

import pathlib
import re
import subprocess
import tempfile
import unittest

from support import ROOT, wait_until


class Load(unittest.TestCase):
    """Each test runs the program with its console on pipes."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory(prefix="ballast-load-", dir="/var/tmp")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.program = str(pathlib.Path(cls.folder.name, "load"))
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-o", cls.program,
                        str(ROOT / "lab" / "guest" / "load.c")], check=True)

    def start(self, *settings: str) -> None:
        """Starts the program; its output goes to a file that `text` reads."""
        self.output = pathlib.Path(self.folder.name, f"{self.id()}.out")
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen([self.program, *settings], stdin=subprocess.PIPE, stdout=out)
        self.addCleanup(self.stop)

    def stop(self) -> None:
        assert self.process.stdin is not None
        if self.process.poll() is None:
            self.tell("disk=0")  # ends the disk writer, which is a process of its own
            self.await_text("SET disk=0")
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def beats(self) -> list[dict[str, float]]:
        """Every heartbeat so far."""
        found = re.findall(r"HB seq=(\d+) t=([\d.]+) pages=(\d+) dirtied=(\d+) .*\n", self.text())
        return [{"seq": int(a), "t": float(b), "pages": int(c), "dirtied": int(d)} for a, b, c, d in found]

    def await_text(self, part: str) -> None:
        wait_until(lambda: part in self.text(), 20, f"the program prints '{part}'")

    def test_beats_without_a_gap_and_dirties_at_the_rate_it_was_given(self) -> None:
        for pattern in ("sequential", "random", "hot"):
            with self.subTest(pattern=pattern):
                self.start(f"load=4:4000:{pattern}")
                wait_until(lambda: len(self.beats()) > 15, 20, "it beats")
                beats = self.beats()
                self.assertEqual([b["seq"] for b in beats], list(range(len(beats))))
                self.assertEqual(beats[-1]["pages"], 1024)
                rate = (beats[-1]["dirtied"] - beats[4]["dirtied"]) / (beats[-1]["t"] - beats[4]["t"])
                self.assertGreater(rate, 2000)
                self.assertLess(rate, 5000)
                self.assertNotIn("CORRUPT", self.text())
                self.doCleanups()

    def test_a_swing_takes_more_memory_in_the_second_half_of_each_period_and_frees_it_again(self) -> None:
        self.start("load=4:400:random", "swing=8:2:0", "own=3", "once=4", "cold=4")
        wait_until(lambda: self.turns([1024, 3072, 1024, 3072]), 20, "it grows, shrinks and grows again")
        self.assertNotIn("CORRUPT", self.text())

    def test_page_cache_that_the_disk_has_no_room_for_is_named(self) -> None:
        self.start("cache=4", "dev=/dev/full")
        self.await_text("NOTE /dev/full has no room for 4 MiB of cache")

    def test_page_cache_is_written_beyond_the_part_of_the_disk_that_is_checked(self) -> None:
        disk = self.disk()
        self.start("cache=2", "own=7", f"dev={disk}")
        wait_until(lambda: self.beats(), 20, "it beats")
        with open(disk, "rb") as image:
            image.seek(64 << 20)
            written = image.read()
        self.assertEqual(len(written), 2 << 20)
        self.assertEqual(len({written[at:at + 4096] for at in range(0, len(written), 4096)}), 512)

    def turns(self, sizes: list[int]) -> bool:
        """Whether the pages in use were as many as these, in this order."""
        left = list(sizes)
        for beat in self.beats():
            if left and beat["pages"] == left[0]:
                left.pop(0)
        return not left

    def test_a_swing_costs_nothing_of_the_rate_where_there_is_memory(self) -> None:
        self.start("load=4:400:random", "swing=8:1:0")
        wait_until(lambda: len(self.beats()) > 35, 20, "it beats")
        beats = self.beats()
        rate = (beats[-1]["dirtied"] - beats[4]["dirtied"]) / (beats[-1]["t"] - beats[4]["t"])
        self.assertGreater(rate, 360)
        self.assertLess(rate, 440)

    def test_a_swing_that_cannot_be_read_is_named(self) -> None:
        self.start("swing=8:0:0")
        self.await_text("NOTE setting not understood: swing=8:0:0")

    def test_idle_dirties_nothing(self) -> None:
        self.start("load=4:4000:idle")
        wait_until(lambda: len(self.beats()) > 8, 20, "it beats")
        self.assertEqual(self.beats()[-1]["dirtied"], 0)

    def test_sees_one_flipped_bit_in_its_memory(self) -> None:
        self.start("load=4:100:random")
        wait_until(lambda: len(self.beats()) > 3, 20, "it beats")
        self.assertNotIn("CORRUPT", self.text())
        self.tell("fault=memory")
        self.await_text("CORRUPT memory page=")
        self.await_text("bad=1 CORRUPT")

    def disk(self) -> str:
        path = pathlib.Path(self.folder.name, f"{self.id()}.disk")
        with open(path, "ab") as image:
            image.truncate(3 << 20)
        return str(path)

    def test_sees_a_block_that_somebody_else_wrote(self) -> None:
        self.start("disk=500", f"dev={self.disk()}")
        self.await_text("DISK seq=")
        wait_until(lambda: self.text().count("DISK seq=") > 3, 20, "it writes")
        self.assertNotIn("CORRUPT", self.text())
        self.tell("fault=disk")
        self.await_text("DISK CORRUPT slot=1")

    def test_two_programs_on_one_disk_find_each_other_out(self) -> None:
        disk = self.disk()
        self.start("disk=500", f"dev={disk}")
        wait_until(lambda: self.text().count("DISK seq=") > 3, 20, "it writes")
        with subprocess.Popen([self.program, "disk=500", f"dev={disk}"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL) as second:
            self.await_text("a foreign writer")
            assert second.stdin is not None
            second.stdin.write(b"disk=0\n")
            second.stdin.flush()
            self.assertIsNone(second.poll())
            wait_until(lambda: not children(second.pid), 10, "its disk writer ends")
            second.kill()

    def test_goes_on_counting_where_an_earlier_run_stopped(self) -> None:
        disk = self.disk()
        self.start("disk=200", f"dev={disk}")
        wait_until(lambda: self.text().count("DISK seq=") > 3, 20, "it writes")
        self.stop()
        last = int(re.findall(r"DISK seq=(\d+)", self.text())[-1])
        self.start("disk=200", f"dev={disk}")
        self.await_text("DISK start seq=")
        self.assertGreater(int(self.text().partition("DISK start seq=")[2].split()[0]), last)
        self.assertNotIn("CORRUPT", self.text())

    def test_the_console_changes_the_load_and_refuses_nonsense(self) -> None:
        self.start("load=4:100:random")
        self.tell("load=8:100:sideways")
        self.await_text("HELP load=")
        self.tell("load=8:100:hot")
        wait_until(lambda: self.beats() and self.beats()[-1]["pages"] == 2048, 20, "it holds 8 MiB")


def children(pid: int) -> list[str]:
    """Living children of a process."""
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()


if __name__ == "__main__":
    unittest.main(verbosity=2)
