"""Runs a null server and a tool against it, and measures what the tool took of the machine."""

import json
import os
import resource
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

POLL_SECONDS = 0.1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


class Server:
    """A null server of its own for each run; what it counted is in `stats` afterwards."""

    def __init__(self, binary: Path, flags: list[str], scheme: str = "http") -> None:
        self._process = subprocess.Popen([binary, *flags], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("listening on "):
            self._process.wait()
            raise RuntimeError("the null server did not start")
        self.address = line.split()[-1]
        self.endpoint = f"{scheme}://{self.address}"
        self.pid = self._process.pid
        self.cpu = 0.0

    def stop(self, stats_file: Path) -> dict:
        """Ends the server and answers its statistics."""
        self._process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.cpu = usage.ru_utime + usage.ru_stime
        return json.loads(stats_file.read_text())


@dataclass
class Usage:
    """What one run of a tool took, its children included."""

    wall: float
    user: float
    system: float
    rss_bytes: int
    exit_code: int | None
    """None: it was ended because it took too long."""
    started_unix: float
    others: float
    """Share of the cores that other processes had meanwhile: 0.1 and more taints the figures."""
    said: str = field(default="")
    """The end of what it wrote, for failures."""

    @property
    def cpu(self) -> float:
        return self.user + self.system


def run(argv: list[str], env: dict[str, str], log: Path, timeout: float, server_pid: int | None = None) -> Usage:
    """Runs a tool to its end."""
    busy_before, server_before = busy_seconds(), process_seconds(server_pid)
    with open(log, "wb") as output:
        started_unix, start = time.time(), time.perf_counter()
        process = subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        in_time = False
        try:
            peak, in_time = watch(process.pid, start + timeout)
        finally:
            wall = time.perf_counter() - start
            if not in_time:
                os.killpg(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    others = busy_seconds() - busy_before - (process_seconds(server_pid) - server_before)
    others -= usage.ru_utime + usage.ru_stime
    return Usage(
        wall=wall,
        user=usage.ru_utime,
        system=usage.ru_stime,
        rss_bytes=peak_rss(usage.ru_maxrss << 10, peak),
        exit_code=process.returncode if in_time else None,
        started_unix=started_unix,
        others=max(0.0, others / (wall * CORES)),
        said=tail(log),
    )


def watch(pid: int, deadline: float) -> tuple[int, bool]:
    """Waits for the process to end; answers its memory's high-water mark as last seen, and whether it ended."""
    peak = 0
    pidfd = os.pidfd_open(pid)
    try:
        while time.perf_counter() < deadline:
            if select.select([pidfd], [], [], POLL_SECONDS)[0]:
                return peak, True
            peak = max(peak, high_water(pid))
    finally:
        os.close(pidfd)
    return peak, False


def peak_rss(counted: int, seen: int) -> int:
    """The peak as the kernel counted it, unless that is our own from before the exec."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return counted if counted > own or not seen else seen


def high_water(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        # It ended between two looks.
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def busy_seconds() -> float:
    """CPU seconds that the machine has spent, all processes together."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS_PER_SECOND


def process_seconds(pid: int | None) -> float:
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def wait_for_quiet(seconds: float, share: float = 0.05) -> None:
    """Waits until the machine has nothing else to do, but no longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before, start = busy_seconds(), time.monotonic()
        time.sleep(1.0)
        if (busy_seconds() - before) / ((time.monotonic() - start) * CORES) < share:
            return


def mentions(log: Path, count: int) -> bool:
    """Whether a dry run's output names this number of files, or lists as many."""
    names = {str(count).encode(), f"{count:,}".encode()}
    lines = 0
    with open(log, "rb") as file:
        for line in file:
            lines += 1
            if any(name in line for name in names):
                return True
    return lines >= count


def tail(log: Path, size: int = 600) -> str:
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - size))
        return file.read().decode(errors="replace")


def read_all(folder: Path) -> None:
    """Reads every file once, so that the first tool does not pay for the disk."""
    buffer = bytearray(1 << 20)
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
