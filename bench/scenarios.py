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
    """What its table shows: `load`, `rate` or `crawl`."""


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
}  # fmt: skip
