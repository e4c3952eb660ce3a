"""What the samples of a run say: medians, spreads and ratios, ready to be shown."""

import statistics
from dataclasses import dataclass
from itertools import takewhile

GIB = 1 << 30


@dataclass(frozen=True)
class Figure:
    """The median of a quantity and its least and greatest sample."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: list[float]) -> "Figure":
        return cls(statistics.median(values), min(values), max(values))

    def scaled(self, factor: float) -> "Figure":
        return Figure(self.median * factor, self.least * factor, self.greatest * factor)


@dataclass(frozen=True)
class Row:
    """One tool in one scenario."""

    tool: str
    label: str
    problem: str | None
    """Why there are no figures to compare."""
    wall: Figure
    cpu: Figure
    peak_mib: float
    rounds: int
    is_disturbed: bool
    checksum: str
    samples: list[dict]

    @property
    def is_ours(self) -> bool:
        return self.tool.startswith("ours")


NOTHING = Figure(0.0, 0.0, 0.0)


def rows(scenario: dict) -> list[Row]:
    return [row(tool, fields) for tool, fields in scenario["rows"].items()]


def row(tool: str, fields: dict) -> Row:
    samples = fields["samples"]
    failures = [sample["failure"] for sample in samples if sample["failure"]]
    problem = fields["problem"] or (f"failed: {failures[0]}" if failures else None)
    if not samples:
        problem = problem or "not run"
        return Row(tool, fields["label"], problem, NOTHING, NOTHING, 0.0, 0, False, "", [])
    return Row(
        tool=tool,
        label=fields["label"],
        problem=problem,
        wall=Figure.of([sample["wall"] for sample in samples]),
        cpu=Figure.of([sample["user"] + sample["system"] for sample in samples]),
        peak_mib=max(sample["rss_bytes"] for sample in samples) / (1 << 20),
        rounds=len(samples),
        is_disturbed=any(sample["disturbed"] for sample in samples),
        checksum=checksum(samples[-1]["stats"]),
        samples=samples,
    )


def checksum(stats: dict) -> str:
    """What the tool let the server check."""
    names = [*stats["checked"], *(f"{name} (unchecked)" for name in stats["trusted"])]
    return ", ".join(names) or "none"


def base(of: list[Row]) -> Row | None:
    """The row that the others are compared with: our first, or the quickest peer while we are not measured."""
    sound = [row for row in of if not row.problem and row.tool != "cat"]
    ours = [row for row in sound if row.is_ours]
    return ours[0] if ours else min(sound, key=lambda row: row.cpu.median, default=None)


def accepted_per_second(stats: dict) -> list[int]:
    """Accepted requests of each second from the first request on, without the last, which is not a whole one."""
    seconds = [tuple(second) for second in stats["per_second"]]
    idle = len(list(takewhile(lambda second: second == (0, 0), seconds)))
    return [accepted for accepted, _ in seconds[idle:-1]]


@dataclass(frozen=True)
class Settling:
    """How a tool met a server that refuses what is above its rate."""

    seconds_to_90: int | None
    """From the first request until nine tenths of the rate are reached and kept for five seconds."""
    share_after_15s: float | None
    """Of the rate, accepted in the 15 seconds after the first 15; None if the run was shorter."""
    refused_share: float
    missing: int
    """Files that never arrived."""


def settling(sample: dict, rate: int, files: int) -> Settling:
    stats = sample["stats"]
    accepted = accepted_per_second(stats)
    late = accepted[15:30]
    requests = sum(first + second for first, second in stats["per_second"])
    return Settling(
        seconds_to_90=seconds_to(accepted, 0.9 * rate),
        share_after_15s=statistics.mean(late) / rate if late else None,
        refused_share=stats["slow_downs"] / requests if requests else 0.0,
        missing=files - stats["remembered"]["objects"],
    )


def seconds_to(accepted: list[int], wanted: float, kept: int = 5) -> int | None:
    for start in range(len(accepted)):
        window = accepted[start : start + kept]
        if accepted[start] >= wanted and statistics.mean(window) >= wanted:
            return start
    return None
