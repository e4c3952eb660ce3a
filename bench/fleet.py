"""Runs a fleet: one master and its workers as processes of this machine, over a broker, into a null server.

What is done to a fleet while it works (a worker killed, the master killed and resumed) is a `Drill`.
"""

import json
import os
import select
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import measure
from brokers import Broker, Requests, stats_of
from tools import BUCKET, PREFIX, REGION

JOIN_KEY = "a join key of the benchmark, which guards nothing"
CHANNEL = "bench"
POLL_SECONDS = 0.02
FILES_AGAIN = 100
"""So many files arriving show that a run goes on."""


@dataclass(frozen=True)
class Stage:
    """Where a fleet works: one of its own for each run."""

    binary: str
    data: Path
    endpoint: str
    home: Path
    broker: Broker
    env: dict[str, str]

    def stats(self) -> dict:
        return stats_of(self.endpoint)

    def channel_flags(self) -> list[str]:
        return [*self.broker.flags(), "--channel", CHANNEL]


class Member:
    """A master or a worker: a process, and what it took when it has ended."""

    def __init__(self, stage: Stage, name: str, argv: list[str]) -> None:
        self.name, self.log, self.argv = name, stage.home / f"{name}.log", argv
        env = stage.env | stage.broker.env() | {"S3BL_JOIN_KEY": JOIN_KEY}
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.exit_code: int | None = None
        self.user = self.system = 0.0
        self.rss_bytes = 0

    def look(self) -> None:
        """Notes the memory's high-water mark: the kernel's own account of it begins with what this process has."""
        if self._process.returncode is None:
            self.rss_bytes = max(self.rss_bytes, measure.high_water(self._process.pid))

    def has_ended(self) -> bool:
        if self._process.returncode is not None:
            return True
        # Looks without taking the exit status away from `wait`.
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process.returncode is None:
            os.kill(self._process.pid, number)

    def wait(self, deadline: float, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Waits for the end, and makes one after the deadline. `meanwhile` is called again and again."""
        if self._process.returncode is not None:
            return
        ended = self._ends_before(deadline, meanwhile)
        if not ended:
            self.kill()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.exit_code = self._process.returncode if ended else None
        self.user, self.system = usage.ru_utime, usage.ru_stime

    def _ends_before(self, deadline: float, meanwhile: Callable[[], object]) -> bool:
        pidfd = os.pidfd_open(self._process.pid)
        try:
            while (left := deadline - time.monotonic()) > 0:
                if select.select([pidfd], [], [], min(left, measure.POLL_SECONDS))[0]:
                    return True
                self.look()
                meanwhile()
        finally:
            os.close(pidfd)
        return False

    def account(self) -> dict:
        keys = ("name", "exit_code", "user", "system", "rss_bytes")
        return {key: getattr(self, key) for key in keys}


@dataclass
class Fleet:
    """A master and its workers, under way."""

    stage: Stage
    master: Member
    workers: list[Member]
    deadline: float
    noted: dict[str, float] = field(default_factory=dict)
    """What a drill measured."""
    expected_exits: dict[str, int] = field(default_factory=dict)
    """Exit codes that are not 0, by process."""
    former: list[Member] = field(default_factory=list)
    """Masters that were killed."""

    def members(self) -> list[Member]:
        return [*self.former, self.master, *self.workers]

    def ask_ledger(self, sql: str) -> tuple:
        """One row of the ledger, beside its master."""
        connection = sqlite3.connect(f"file:{run_of(self.stage.home) / 'run.db'}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql).fetchone()
        finally:
            connection.close()

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        while not is_so():
            if time.monotonic() > self.deadline or self.master.has_ended() and self.master.exit_code is None:
                raise TimeoutError(f"never came to pass: {what}")
            for member in self.members():
                member.look()
            time.sleep(POLL_SECONDS)


Drill = Callable[[Fleet], None]


def start(stage: Stage, workers: int, concurrency: int, flags: tuple[str, ...], seconds_max: float) -> Fleet:
    channel = stage.channel_flags()
    place = ["--endpoint-url", stage.endpoint, "--region", REGION, "--home", str(stage.home)]
    job = [str(stage.data), f"s3://{BUCKET}/{PREFIX}"]
    master = Member(
        stage, "master", [stage.binary, "master", *job, *place, *channel, "--workers", str(workers), *flags, "--quiet"]
    )
    crew = [
        Member(
            stage,
            f"worker-{number}",
            [stage.binary, "worker", *channel, "--concurrency", str(concurrency), "--home", str(stage.home),
             "--name", f"worker-{number}", "--quiet"],
        )
        for number in range(1, workers + 1)
    ]  # fmt: skip
    return Fleet(stage, master, crew, time.monotonic() + seconds_max)


def finish(fleet: Fleet) -> None:
    """Waits for the master, then for its workers, which leave when it does."""
    fleet.master.wait(fleet.deadline, lambda: [worker.look() for worker in fleet.workers])
    for worker in fleet.workers:
        worker.wait(min(fleet.deadline, time.monotonic() + 30))


def end(fleet: Fleet) -> None:
    """Ends whatever is still there."""
    for member in fleet.members():
        member.kill()
        member.wait(time.monotonic() + 10)


def failure(fleet: Fleet, held: tuple[int, int], wanted: tuple[int, int]) -> str | None:
    """Why the run does not count, in the server's eyes first."""
    if held != wanted:
        return f"the server holds {held[0]} files and {held[1]} bytes of {wanted[0]} and {wanted[1]}"
    for member in fleet.members():
        if member.exit_code != fleet.expected_exits.get(member.name, 0):
            return f"{member.name}: exit code {member.exit_code}"
    return None


def asked(requests: Requests | None, run: Path) -> dict:
    """What the broker was asked in all, and in each pass, by the ledger's own times."""
    if requests is None:
        return {}
    parts = {name: requests.between(*times) for name, times in passes(run).items()}
    return {name: asked_in_one(part) for name, part in (parts | {"all": requests}).items()}


def asked_in_one(requests: Requests) -> dict:
    return {
        "sqs": requests.count("sqs:"),
        "sns": requests.count("sns:"),
        "billed": requests.billed(),
        "by_operation": requests.by_operation(),
    }


def passes(run: Path) -> dict[str, tuple[float, float]]:
    """When the run was in which pass, as its ledger says."""
    connection = sqlite3.connect(f"file:{run / 'run.db'}?mode=ro", uri=True)
    try:
        entered = connection.execute("SELECT phase, entered_ms FROM phase ORDER BY number").fetchall()
    finally:
        connection.close()
    # Of a pass that was entered again, when its run was resumed, the first time counts.
    times = {phase: unix_ms / 1000 for phase, unix_ms in reversed(entered)}
    over = times.get("ERROR_REPORT", times["SHUTDOWN"])
    return {"write": (times["WRITE"], times["VALIDATE"]), "validate": (times["VALIDATE"], over)}


def run_of(home: Path) -> Path:
    """The folder of the only run."""
    [folder] = (home / "runs").iterdir()
    return folder


def report_of(run: Path) -> dict:
    file = run / "report.json"
    return json.loads(file.read_text()) if file.exists() else {}


# Drills.


def leave_alone(fleet: Fleet) -> None:
    """Nothing happens to the fleet."""


def kill_a_worker(fleet: Fleet) -> None:
    """Kills a worker when about half of the files are there."""
    half = fleet.noted["files"] // 2
    fleet.until(lambda: fleet.stage.stats()["objects"] >= half, "half of the files are there")
    victim = fleet.workers[-1]
    victim.kill()
    fleet.expected_exits[victim.name] = -signal.SIGKILL
    fleet.noted["killed_at_files"] = fleet.stage.stats()["objects"]


def kill_the_master(fleet: Fleet) -> None:
    """Kills the master as soon as its ledger holds the whole table of contents."""
    fleet.until(lambda: toc(fleet)[0], "the table of contents is closed")
    kill_and_resume(fleet)


def kill_the_listing_master(fleet: Fleet) -> None:
    """Kills the master while it lists: whoever resumes lists again, and leaves out what is written."""
    half = fleet.noted["files"] // 2
    fleet.until(lambda: toc(fleet)[1] >= half, "half of the table of contents is there")
    kill_and_resume(fleet)


def kill_and_resume(fleet: Fleet) -> None:
    """Kills the master, lets the workers finish what they have, resumes the run and takes the time until files arrive
    again."""
    fleet.master.kill()
    fleet.master.wait(fleet.deadline)
    fleet.master.name = "killed master"
    fleet.expected_exits[fleet.master.name] = -signal.SIGKILL
    await_stillness(fleet)
    stage, run = fleet.stage, run_of(fleet.stage.home).name
    is_closed, entries = toc(fleet)
    [written] = fleet.ask_ledger("SELECT ifnull(sum(written), 0) FROM write_result")
    fleet.noted |= {"is_toc_closed": is_closed, "entries_in_ledger": entries, "entries_written": written}
    fleet.former.append(fleet.master)
    there, begun = stage.stats()["objects"], time.monotonic()
    argv = [stage.binary, "resume", run, "--workers", str(len(fleet.workers)), "--home", str(stage.home), "--quiet"]
    fleet.master = Member(stage, "master", argv)
    # The master puts some objects of its own before, to find out what the store checks.
    fleet.until(lambda: stage.stats()["objects"] >= there + FILES_AGAIN, "files arrive after the master was resumed")
    fleet.noted["seconds_to_next_files"] = time.monotonic() - begun


def toc(fleet: Fleet) -> tuple[bool, int]:
    """Whether the ledger's table of contents is closed, and its entries."""
    if not any((fleet.stage.home / "runs").glob("*/run.db")):
        return False, 0
    try:
        is_closed, entries = fleet.ask_ledger("SELECT is_closed, (SELECT ifnull(sum(entries), 0) FROM task) FROM walk")
    except (sqlite3.OperationalError, TypeError):
        # The ledger is being made.
        return False, 0
    return bool(is_closed), entries


def await_stillness(fleet: Fleet, seconds: float = 2.0) -> None:
    """Waits until no file has arrived for a while: the workers have done what was handed out."""
    last, since = -1, time.monotonic()

    def is_still() -> bool:
        nonlocal last, since
        there = fleet.stage.stats()["objects"]
        if there != last:
            last, since = there, time.monotonic()
        return time.monotonic() - since >= seconds

    fleet.until(is_still, "the workers have done what was handed out")


DRILLS: dict[str, Drill] = {
    "none": leave_alone,
    "kill-worker": kill_a_worker,
    "kill-master": kill_the_master,
    "kill-listing-master": kill_the_listing_master,
}
