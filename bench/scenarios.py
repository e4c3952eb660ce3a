"""The scenarios: which data, which server, which tools."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """One comparison: every tool loads the same data into the same kind of server."""

    title: str
    data_set: str
    quick_set: str
    tools: tuple[str, ...]
    server_flags: tuple[str, ...] = ()
    is_tls: bool = False
    rounds_max: int = 99
    seconds_max: int = 900
    """A run that takes longer is ended and marked."""
    rate: int | None = None
    """Requests per second that the server admits."""
    kind: str = "load"
    """What its table shows: `load`, `rate`, `crawl` or `tree`."""


SCENARIOS: dict[str, Scenario] = {
    "small": Scenario(
        "20,000 files of 4 KiB", "small", "tiny",
        ("ours", "ours-list", "s5cmd", "juicefs", "juicefs-32", "rclone", "rclone-fast", "rclone-debian", "s3sync",
         "s3sync-160", "aws", "aws-crt", "cat"),
    ),
    "small-30ms": Scenario(
        "20,000 files of 4 KiB, 30 ms added to every reply", "small", "tiny",
        ("ours", "s5cmd", "juicefs-200", "rclone-200", "s3sync-160"), ("--latency", "30"),
    ),
    "medium": Scenario(
        "2,000 files of 512 KiB", "medium", "quick-medium",
        ("ours", "ours-list", "s5cmd", "juicefs", "juicefs-32", "rclone", "rclone-fast", "s3sync", "aws-crt", "cat"),
    ),
    "large": Scenario(
        "4 files of 1 GiB", "large", "quick-large",
        ("ours", "ours-list", "s5cmd", "juicefs", "rclone", "rclone-fast", "s3sync", "aws-crt", "cat"),
    ),
    "large-tls": Scenario(
        "4 files of 1 GiB over TLS", "large", "quick-large",
        ("ours", "s5cmd", "juicefs", "rclone", "rclone-fast", "aws-crt"), is_tls=True,
    ),
    "seed": Scenario(
        "35,000 files, 11 GB together (the seed's own job)", "seed", "quick-seed",
        ("ours-list", "ours", "s5cmd", "juicefs", "juicefs-32", "rclone-fast", "s3sync", "aws-crt", "cat"),
    ),
    "rate-2000": Scenario(
        "100,000 empty files, the server admits 2,000 requests/s", "crawl-100k", "crawl-100k",
        ("ours", "s5cmd", "juicefs-200"), ("--rps-limit", "2000"), rounds_max=1, rate=2000, kind="rate",
    ),
    "crawl-100k": Scenario(
        "100,000 empty files", "crawl-100k", "crawl-100k",
        ("ours", "ours-dry", "s5cmd", "s5cmd-dry", "juicefs-32", "juicefs-dry", "rclone-fast", "rclone-dry"),
        rounds_max=1, kind="crawl",
    ),
    "crawl-1m": Scenario(
        "1,000,000 empty files", "crawl-1m", "crawl-100k",
        ("ours", "ours-dry", "s5cmd", "s5cmd-dry", "juicefs-32", "juicefs-dry"), rounds_max=1, kind="crawl",
        seconds_max=1800,
    ),
    "tree": Scenario(
        "20,000 files of 4 KiB to a directory", "small", "tiny",
        ("ours-tree", "ours-tree-unsynced", "ours-tree-list", "cp", "cp-sync", "rsync", "ours-tree-rsync", "rsync-each"), kind="tree",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class FleetRow:
    """One way to do a fleet's work."""

    label: str
    workers: int
    """0: one `load` process."""
    concurrency: int
    """Requests in flight of each worker, or of `load`."""
    flags: tuple[str, ...] = ()
    """Of the master, or of `load`."""
    drill: str = "none"
    """What is done to it; see fleet.DRILLS."""


@dataclass(frozen=True)
class FleetScenario:
    """A master and its workers, as processes of this machine."""

    title: str
    data_set: str
    quick_set: str
    broker: str
    """`nats` or `sqs`."""
    rows: dict[str, FleetRow]
    server_flags: tuple[str, ...] = ()
    rounds_max: int = 99
    seconds_max: int = 900
    kind: str = "fleet"


@dataclass(frozen=True)
class HandOutScenario:
    """A master alone, with a made-up table of contents."""

    title: str
    entries: int
    quick_entries: int
    rounds_max: int = 99
    kind: str = "hand-out"


BRISK = ("--lease", "5s", "--summary-interval", "1s")


def load_and_fleet(workers: int, concurrency: int) -> dict[str, FleetRow]:
    """One process and a fleet with as many requests in flight."""
    total = workers * concurrency
    return {
        "load": FleetRow(f"one `load`, {total} requests in flight", 0, total),
        "fleet": FleetRow(f"{workers} workers, {concurrency} requests in flight each", workers, concurrency),
    }


FLEETS: dict[str, FleetScenario | HandOutScenario] = {
    "fleet-nats": FleetScenario("20,000 files of 4 KiB over NATS", "small", "tiny", "nats", load_and_fleet(4, 8)),
    "fleet-nats-200k": FleetScenario(
        "200,000 files of 4 KiB over NATS", "small-200k", "small", "nats", load_and_fleet(4, 8)
    ),
    "processes": FleetScenario(
        "200,000 files of 4 KiB by `load --processes`", "small-200k", "small", "nats",
        {
            "load": FleetRow("one `load`, 32 requests in flight", 0, 32),
            "fleet": FleetRow("`load --processes --workers 4`, the same", 0, 32, ("--processes", "--workers", "4")),
        },
    ),
    # Not of empty files: checksums and entity tags that differ are most of what the messages hold.
    "fleet-sqs": FleetScenario(
        "200,000 files of 4 KiB over SQS and SNS", "small-200k", "tiny", "sqs", {"fleet": FleetRow("4 workers", 4, 8)}
    ),
    "fleet-sqs-1m": FleetScenario(
        "1,000,000 files of 4 KiB over SQS and SNS", "small-1m", "tiny", "sqs",
        {"fleet": FleetRow("4 workers", 4, 8)}, rounds_max=1,
    ),
    # What time costs: polls, reports and longer leases, whatever the number of files.
    "fleet-sqs-slow": FleetScenario(
        "100,000 empty files over SQS and SNS, the server admits 500 requests/s", "crawl-100k", "tiny", "sqs",
        {
            "fleet": FleetRow("4 workers that report every 5 s", 4, 8),
            "fleet-calm": FleetRow("4 workers that report every 30 s", 4, 8, ("--summary-interval", "30s")),
        },
        ("--rps-limit", "500"), rounds_max=1,
    ),
    "resume-1m": FleetScenario(
        "1,000,000 empty files over NATS, the master killed and resumed", "crawl-1m", "crawl-100k", "nats",
        {
            "killed": FleetRow("killed when all was listed", 4, 8, drill="kill-master"),
            "listing": FleetRow("killed when half was listed", 4, 8, drill="kill-listing-master"),
        },
    ),
    "killed-worker": FleetScenario(
        "200,000 files of 4 KiB over NATS, lease 5 s", "small-200k", "small", "nats",
        {
            "whole": FleetRow("2 workers", 2, 16, ("--lease", "5s")),
            "killed": FleetRow("2 workers, one killed half-way", 2, 16, ("--lease", "5s"), "kill-worker"),
            "whole-brisk": FleetRow("2 workers that report every second", 2, 16, BRISK),
            "killed-brisk": FleetRow("2 workers that report every second, one killed", 2, 16, BRISK, "kill-worker"),
        },
    ),
    "hand-out": HandOutScenario("A made-up table of contents is handed out", 10_000_000, 100_000),
    "hand-out-100m": HandOutScenario(
        "A made-up table of contents is handed out", 100_000_000, 100_000, rounds_max=1
    ),
}  # fmt: skip
"""Of the fleet; shown together as one table."""
