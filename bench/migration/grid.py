"""The grid: every guest on every link, moved by every contender in turn, and what the issue promises of the result."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from harness.base import say

from migration.bed import Bed
from migration.figures import Report, median, slack
from migration.loads import LINKS, Guest, Link, is_hot
from migration.outcome import Move, Moves

AUTO_POST, AUTO_PRE = "auto, post-copy allowed", "auto, post-copy forbidden"
PLAIN, CONVERGE = "virsh migrate --live --p2p", "virsh migrate --live --auto-converge --p2p"
PEERS = (PLAIN, CONVERGE)
MODES = ("stop_and_copy", "pre_copy", "post_copy", "hybrid")
PULLS = ("post_copy", "hybrid")


def body_of(contender: str) -> dict[str, Any]:
    """What Ballast is asked for. An explicit mode that may not pull is kept from it, so that it is what its name says. A guest may
    be throttled as far as QEMU's auto-converge does it to the peer's."""
    may_pull = contender in PULLS or contender == AUTO_POST
    return {"mode": contender if contender in MODES else "auto", "policy": {"post_copy": may_pull, "max_throttle": 99}}


@dataclasses.dataclass
class Pace:
    """How often: until `runs`, but no more once a contender has had `budget_s` and `least` runs, or has failed to end `give_ups` times."""

    runs: int
    least: int
    budget_s: float
    give_ups: int

    def wants(self, moves: Moves) -> bool:
        """Whether one more is due."""
        if moves.gave_up >= self.give_ups and moves.gave_up == len(moves.all):
            return False
        count = len(moves.all)
        return count < self.runs and (count < self.least or moves.spent_s < self.budget_s)


@dataclasses.dataclass
class Cell:
    """One guest on one link, with all that was run there."""

    guest: Guest
    link: Link
    moves: dict[str, Moves]
    forecast: dict[str, Any]

    @property
    def name(self) -> str:
        """As figures name it."""
        return f"grid, {self.guest.name}, {self.link.name}"

    def wait(self, contender: str) -> float | None:
        """Median of what the caller waited; one that was stopped counts as the time it was given."""
        return median(self.moves[contender].waits) if contender in self.moves else None

    def ended(self, contender: str) -> bool:
        """Whether more than half of its runs ended by themselves."""
        moves = self.moves.get(contender)
        return moves is not None and len(moves.done) * 2 > len(moves.all)

    def better_peer(self) -> tuple[str, float]:
        """The quicker of the two and its median."""
        return min(((peer, self.wait(peer) or 0.0) for peer in PEERS), key=lambda pair: pair[1])


def run_one(bed: Bed, contender: str, guest: Guest, phase: float) -> Move:
    """One move of one contender."""
    if contender == PLAIN:
        return bed.by_virsh(contender, guest, phase=phase)
    if contender == CONVERGE:
        return bed.by_virsh(contender, guest, ("--auto-converge",), phase=phase)
    return bed.by_ballast(contender, guest, body_of(contender), phase=phase)


def run_cell(bed: Bed, guest: Guest, link: Link, contenders: list[str], pace: Callable[[str], Pace],
             keep: Callable[[Cell, Move], None]) -> Cell:
    """All contenders in turn, again and again, until each has had its runs."""
    cell = Cell(guest, link, {contender: Moves() for contender in contenders}, bed.warm(guest))
    say_forecast(cell)
    turn = 0
    while True:
        due = [contender for contender in contenders if pace(contender).wants(cell.moves[contender])]
        if not due:
            return cell
        phase = (turn * 0.381966) % 1  # golden section: any number of turns meets the period evenly
        for contender in due[turn % len(due):] + due[:turn % len(due)]:
            move = run_one(bed, contender, guest, phase)
            cell.moves[contender].all.append(move)
            say(f"{guest.name}, {link.name}: {move.text()}")
            keep(cell, move)
        turn += 1


def say_forecast(cell: Cell) -> None:
    """What Ballast expects, for whoever watches."""
    for mode in cell.forecast["modes"]:
        total = "{low_ms} {likely_ms} {high_ms} ms".format(**mode["total"])
        say(f"{cell.guest.name}, {cell.link.name}: forecast {mode['mode']}: {total}, converges: {mode['converges']}, "
            f"{'' if mode['feasible'] else 'NOT FEASIBLE '}{mode['reason']}")


def run_grid(bed: Bed, guests: list[Guest], links: list[Link], contenders: list[str], pace: Callable[[str], Pace], raw: Any,
             wanted: Callable[[Guest, Link], bool], judge: Callable[[Cell], None]) -> list[Cell]:
    """Links from fast to slow, so that what a fast one taught is no excuse on a slow one."""

    def keep(cell: Cell, move: Move) -> None:
        line = {"guest": cell.guest.name, "link": cell.link.name, **dataclasses.asdict(move)}
        raw.write(json.dumps(line) + "\n")
        raw.flush()

    cells = []
    for link in links:
        here = [guest for guest in guests if wanted(guest, link)]
        if not here:
            continue
        bed.set_link(link)
        for guest in here:
            cells.append(run_cell(bed, guest, link, contenders, pace, keep))
            judge(cells[-1])
    return cells


# --- judgement ---


def judge_cell(report: Report, cell: Cell, limit_ms: int) -> None:
    """Ballast's two against the better peer."""
    hot = is_hot(cell.guest, cell.link, limit_ms)
    peer, peer_wait = cell.better_peer()
    for contender, factor in ((AUTO_POST, 4.0), (AUTO_PRE, 1.5)):
        moves = cell.moves.get(contender)
        wait = cell.wait(contender)
        if moves is None or wait is None:
            continue
        target = peer_wait / factor if hot else peer_wait + slack(peer_wait)
        modes = sorted({move.row["mode"] for move in moves.all if move.row})
        report.say(f"{cell.name}, {contender}", "wait", wait, "ms", runs=moves.waits, peer=peer, peer_value=peer_wait,
                   target=target, met=wait <= target and cell.ended(contender), times_faster=round(peer_wait / wait, 2) if wait else None,
                   hot=hot, done=cell.ended(contender), peer_done=cell.ended(peer), modes=modes, downtime=median(moves.downtimes),
                   gap=median([move.gap_ms for move in moves.done if move.gap_ms is not None]),
                   sent=median([move.sent for move in moves.done if move.sent is not None]))
    for contender in PEERS:
        moves = cell.moves[contender]
        report.say(f"{cell.name}, {contender}", "wait", cell.wait(contender), "ms", runs=moves.waits, done=cell.ended(contender),
                   downtime=median(moves.downtimes), gap=median([move.gap_ms for move in moves.done if move.gap_ms is not None]),
                   sent=median([move.sent for move in moves.done if move.sent is not None]))


def judge_downtime(report: Report, cells: list[Cell], limit_ms: int) -> None:
    """Of all automatic runs: the share within the limit."""
    downs = [down for cell in cells for contender in (AUTO_POST, AUTO_PRE) if contender in cell.moves
             for down in cell.moves[contender].downtimes]
    peers = [down for cell in cells for contender in PEERS for down in cell.moves[contender].downtimes]
    if not downs:
        return
    share = sum(down <= limit_ms for down in downs) / len(downs)
    peer = sum(down <= limit_ms for down in peers) / len(peers) if peers else None
    report.say("grid, all cells, auto", f"downtime within {limit_ms} ms", share, "share", runs=downs, peer="virsh, both ways",
               peer_value=peer, target=0.95, met=share >= 0.95)


def judge_hindsight(report: Report, cells: list[Cell], limit_ms: int) -> None:
    """Whether what was chosen was the quickest that the policy allows, or no worse by more than the slack."""
    right, cases = 0, []
    for cell in cells:
        for contender, allowed in ((AUTO_POST, MODES), (AUTO_PRE, MODES[:2])):
            verdict = hindsight(cell, contender, allowed, limit_ms)
            if verdict is None:
                continue
            cases.append(verdict)
            right += verdict["right"]
            report.say(f"hindsight, {cell.guest.name}, {cell.link.name}, {contender}", "wait", cell.wait(contender), "ms",
                       peer=str(verdict["best"]), peer_value=verdict["best_wait"], chosen=verdict["chosen"], right=verdict["right"],
                       waits=verdict["waits"])
    if cases:
        report.say("hindsight, all cases", "chosen mode is the best", right / len(cases), "share", runs=[float(c["right"]) for c in cases],
                   target=0.9, met=right / len(cases) >= 0.9)


def hindsight(cell: Cell, contender: str, allowed: tuple[str, ...], limit_ms: int) -> dict[str, Any] | None:
    """None where not every allowed mode was run. A mode whose downtime breaks the limit was no choice."""
    auto = cell.moves.get(contender)
    if auto is None or not auto.all or any(mode not in cell.moves for mode in allowed):
        return None
    waits = {}
    for mode in allowed:
        down = median(cell.moves[mode].downtimes)
        if cell.ended(mode) and down is not None and down <= limit_ms:
            waits[mode] = cell.wait(mode)
    if not waits:
        return None
    best = min(waits, key=lambda mode: waits[mode] or 0)
    best_wait = waits[best] or 0.0
    ran = [move.row["mode"] for move in auto.all if move.row]
    chosen = max(set(ran), key=ran.count) if ran else "refused"
    own = cell.wait(contender) or 0.0
    return {"best": best, "best_wait": best_wait, "chosen": chosen, "right": chosen == best or own <= best_wait + slack(best_wait),
            "waits": {mode: round(wait or 0) for mode, wait in waits.items()}}


def all_links() -> list[Link]:
    """From fast to slow."""
    return [LINKS["free"], LINKS["400mbit"], LINKS["100mbit"]]
