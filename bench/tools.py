"""The tools that are compared: how each is called, with its defaults and with what its users would set.

A tool is one row of a table. `argv` builds its command from a `Job`; nothing else here depends on how it is
measured. To add one, add a row to TOOLS and its name to a scenario.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ACCESS_KEY, SECRET_KEY, REGION = "null", "nullnullnullnull", "us-east-1"
BUCKET, PREFIX = "bench-bucket", "run"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Job:
    """One run of one tool: what to load, where to, and a folder of its own."""

    binary: str
    data: Path
    endpoint: str
    """`http://127.0.0.1:PORT`, or https with `authority`."""
    home: Path
    authority: Path | None = None
    """The CA that signed the server's certificate."""

    @property
    def host(self) -> str:
        return self.endpoint.split("://")[1]

    @property
    def is_tls(self) -> bool:
        return self.endpoint.startswith("https")

    @property
    def copy(self) -> Path:
        """Where a tool writes that copies into a directory."""
        return self.home / "copy"

    @property
    def destination(self) -> str:
        return f"s3://{BUCKET}/{PREFIX}/"


@dataclass(frozen=True)
class Tool:
    """A way to call a peer, or us."""

    label: str
    peer: str
    """Key of peers.json, or `ours`, or `system` for what the system has."""
    argv: Callable[[Job], list[str]]
    env: Callable[[Job], dict[str, str]] = lambda job: {}
    etag: str = "crc"
    """`md5` where the tool compares ETags with its own MD5 and would fail without."""
    rounds_max: int = 99
    """Slow tools are not run as often as the others."""
    is_dry: bool = False
    """Only walks: the server must have got nothing."""
    is_local: bool = False
    """Copies into a directory, and the server gets nothing."""
    reads_only: bool = False
    """Sends nothing at all: the floor that reading alone costs."""
    exit_codes: tuple[int, ...] = field(default=(0,))


def ours(*flags: str) -> Callable[[Job], list[str]]:
    def argv(job: Job) -> list[str]:
        common = ["--endpoint-url", job.endpoint, "--region", REGION, "--home", str(job.home), "--quiet"]
        return [job.binary, "load", str(job.data), job.destination.rstrip("/"), *common, *flags]

    return argv


def ours_to_directory(*flags: str) -> Callable[[Job], list[str]]:
    def argv(job: Job) -> list[str]:
        return [job.binary, "load", str(job.data), str(job.copy), "--home", str(job.home), "--quiet", *flags]

    return argv


def shell(script: str) -> Callable[[Job], list[str]]:
    """A line of shell, with the data as $0 and the directory to write as $1."""
    return lambda job: ["sh", "-c", script, str(job.data), str(job.copy)]


def s5cmd(*flags: str) -> Callable[[Job], list[str]]:
    def argv(job: Job) -> list[str]:
        # One line per file on stdout is its default; errors alone are what a script would ask for.
        common = ["--log", "error", "--endpoint-url", job.endpoint]
        return [job.binary, *common, *flags, "cp", f"{job.data}/", job.destination]

    return argv


def juicefs(*flags: str) -> Callable[[Job], list[str]]:
    def argv(job: Job) -> list[str]:
        # Metrics on any free port, so that a second one does not collide with the first. `minio` is its name
        # for S3 over plain HTTP in path style, `s3` for the same over TLS.
        scheme = "s3" if job.is_tls else "minio"
        common = ["--metrics", "127.0.0.1:0"]
        target = f"{scheme}://{ACCESS_KEY}:{SECRET_KEY}@{job.host}/{BUCKET}/{PREFIX}/"
        return [job.binary, "sync", *common, *flags, f"{job.data}/", target]

    return argv


def rclone(*flags: str) -> Callable[[Job], list[str]]:
    def argv(job: Job) -> list[str]:
        remote = ["--s3-provider", "Other", "--s3-endpoint", job.endpoint, "--s3-env-auth", "--s3-region", REGION]
        config = ["--config", str(job.home / "rclone.conf")]
        return [job.binary, "copy", *config, *remote, *flags, str(job.data), f":s3:{BUCKET}/{PREFIX}"]

    return argv


def aws(client: str) -> dict[str, Callable[[Job], object]]:
    def argv(job: Job) -> list[str]:
        common = ["--only-show-errors", "--endpoint-url", job.endpoint]
        return [job.binary, "s3", "cp", "--recursive", *common, str(job.data), job.destination]

    def env(job: Job) -> dict[str, str]:
        config = job.home / "aws.conf"
        config.write_text(f"[default]\ns3 =\n  preferred_transfer_client = {client}\n")
        return {"AWS_CONFIG_FILE": str(config)}

    return {"argv": argv, "env": env}


def s3sync(*flags: str) -> Callable[[Job], list[str]]:
    def argv(job: Job) -> list[str]:
        target = ["--target-endpoint-url", job.endpoint, "--target-force-path-style", "--target-region", REGION]
        keys = ["--target-access-key", ACCESS_KEY, "--target-secret-access-key", SECRET_KEY]
        return [job.binary, *target, *keys, *flags, str(job.data), job.destination]

    return argv


def cat(job: Job) -> list[str]:
    return ["sh", "-c", 'find "$0" -type f -print0 | xargs -0 cat >/dev/null', str(job.data)]


# 32 and not 10 threads, 32 and not 4 transfers, 160 and not 16 workers: what their users set on fast links.
RCLONE_FAST = ("--transfers", "32", "--checkers", "32", "--s3-no-head", "--no-check-dest", "--s3-no-check-bucket")

TOOLS: dict[str, Tool] = {
    "ours": Tool("s3-bucket-loader, no validation", "ours", ours("--validate", "none")),
    "ours-list": Tool("s3-bucket-loader, validated by LIST", "ours", ours("--validate", "list")),
    "ours-dry": Tool("s3-bucket-loader --dry-run", "ours", ours("--dry-run", "--json"), is_dry=True),
    "s5cmd": Tool("s5cmd", "s5cmd", s5cmd()),
    "s5cmd-dry": Tool("s5cmd --dry-run", "s5cmd", s5cmd("--log", "info", "--dry-run"), is_dry=True),
    "juicefs": Tool("juicefs sync", "juicefs", juicefs()),
    "juicefs-32": Tool("juicefs sync -p 32", "juicefs", juicefs("--threads", "32")),
    "juicefs-200": Tool("juicefs sync -p 200", "juicefs", juicefs("--threads", "200")),
    "juicefs-dry": Tool("juicefs sync --dry", "juicefs", juicefs("--dry"), is_dry=True),
    "rclone": Tool("rclone copy", "rclone", rclone()),
    "rclone-fast": Tool("rclone copy, 32 transfers, no HEAD", "rclone", rclone(*RCLONE_FAST)),
    "rclone-200": Tool("rclone copy, 200 transfers, no HEAD", "rclone", rclone(*RCLONE_FAST, "--transfers", "200")),
    "rclone-dry": Tool("rclone copy --dry-run", "rclone", rclone("--dry-run", "--no-check-dest"), is_dry=True),
    "rclone-debian": Tool("rclone copy (Debian)", "rclone-debian", rclone()),
    "aws": Tool("aws s3 cp (classic)", "aws", **aws("classic"), rounds_max=1),
    "aws-crt": Tool("aws s3 cp (CRT)", "aws", **aws("crt"), rounds_max=1),
    "s3sync": Tool("s3sync", "s3sync", s3sync(), etag="md5"),
    "s3sync-160": Tool("s3sync --worker-size 160", "s3sync", s3sync("--worker-size", "160"), etag="md5"),
    "ours-tree": Tool(
        "s3-bucket-loader to a directory", "ours", ours_to_directory("--validate", "none"), is_local=True
    ),
    # As durable as cp, which leaves all to the system.
    "ours-tree-unsynced": Tool(
        "s3-bucket-loader to a directory, --fsync none", "ours",
        ours_to_directory("--validate", "none", "--fsync", "none"), is_local=True,
    ),
    "ours-tree-list": Tool(
        "s3-bucket-loader to a directory, validated", "ours", ours_to_directory("--validate", "list"), is_local=True
    ),
    "ours-tree-rsync": Tool(
        "s3-bucket-loader --copier rsync", "ours", ours_to_directory("--copier", "rsync", "--validate", "none"),
        rounds_max=1, is_local=True,
    ),
    "cp": Tool("cp -a", "system", shell('cp -a "$0" "$1"'), is_local=True),
    # Ours lets no batch pass before it is on the disk.
    "cp-sync": Tool("cp -a, then sync -f", "system", shell('cp -a "$0" "$1" && sync -f "$1"'), is_local=True),
    "rsync": Tool("rsync -a", "system", shell('rsync -a "$0/" "$1"'), is_local=True),
    # The way of the original s3-bucket-loader.
    "rsync-each": Tool(
        "rsync -a for each file, 4 at once", "system",
        shell('mkdir "$1" && cd "$0" && find . -type f -print0 | xargs -0 -P4 -I{} rsync -a --relative {} "$1/"'),
        rounds_max=1, is_local=True,
    ),
    "cat": Tool("cat (reads, sends nothing)", "cat", cat, reads_only=True),
}  # fmt: skip
