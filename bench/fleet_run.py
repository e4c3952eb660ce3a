"""Runs the scenarios of the fleet, and writes down what they took."""

import json
import shutil
import tempfile
import time
from pathlib import Path

import brokers
import datasets
import fleet
import measure
from scenarios import FLEETS, FleetRow, FleetScenario, HandOutScenario
from tools import BUCKET, PREFIX, REGION

DISTURBED = 0.10


class FleetBench:
    """Runs fleets for a `Bench`, which has the arguments and keeps the results."""

    def __init__(self, bench) -> None:
        self.bench = bench
        self.args = bench.args

    def run(self, name: str) -> None:
        scenario = FLEETS[name]
        if isinstance(scenario, HandOutScenario):
            self._run_hand_out(name, scenario)
        else:
            self._run_fleet(name, scenario)

    def _run_fleet(self, name: str, scenario: FleetScenario) -> None:
        data_set = datasets.SETS[scenario.quick_set if self.args.quick else scenario.data_set]
        problem = brokers.BROKERS[scenario.broker].problem()
        rows = {key: {"label": row.label, "problem": problem, "samples": []} for key, row in scenario.rows.items()}
        facts = {"files": data_set.files, "bytes": data_set.bytes, "server_flags": list(scenario.server_flags)}
        if problem:
            print(f"{name:15} -  {problem}", flush=True)
            self._record(name, scenario, facts, rows)
            return
        data = self.bench.make(data_set)
        measure.read_all(data)
        for round_number in range(min(self.args.rounds, scenario.rounds_max)):
            for key, row in scenario.rows.items():
                sample = self._quiet(lambda row=row: self._sample(scenario, row, data_set, data))
                rows[key]["command"] = sample.pop("command")
                rows[key]["samples"].append(sample)
                print(line(name, round_number + 1, key, sample), flush=True)
                self._record(name, scenario, facts, rows)

    def _run_hand_out(self, name: str, scenario: HandOutScenario) -> None:
        entries = scenario.quick_entries if self.args.quick else scenario.entries
        rows = {"master": {"label": "master alone", "problem": None, "samples": []}}
        facts = {"files": entries, "bytes": 0, "server_flags": []}
        for round_number in range(min(self.args.rounds, scenario.rounds_max)):
            sample = self._quiet(lambda: self._hand_out(entries))
            rows["master"]["command"] = sample.pop("command")
            rows["master"]["samples"].append(sample)
            print(line(name, round_number + 1, "master", sample), flush=True)
            self._record(name, scenario, facts, rows)

    def _quiet(self, take) -> dict:
        """A sample; one that other work disturbed is taken again, and the least disturbed is kept."""
        samples = [take()]
        while samples[-1]["disturbed"] and len(samples) <= self.args.retries:
            samples.append(take())
        return min(samples, key=lambda sample: sample["others"])

    def _hand_out(self, entries: int) -> dict:
        measure.wait_for_quiet(self.args.wait)
        # In the folder of the data sets: a ledger belongs on a disk.
        argv = [str(self.args.hand_out), "--entries", str(entries), "--dir", str(self.args.dir)]
        log = self.bench.folder / "hand-out.log"
        usage = measure.run(argv, {"PATH": "/usr/bin:/bin"}, log, 1800)
        figures = json.loads(log.read_text()) if usage.exit_code == 0 else {}
        return {
            "command": f"hand-out --entries {entries}",
            "wall": usage.wall,
            "user": usage.user,
            "system": usage.system,
            "others": usage.others,
            "disturbed": usage.others > DISTURBED,
            "failure": None if figures else f"exit code {usage.exit_code}: {usage.said}",
            "figures": figures,
        }

    def _sample(self, scenario: FleetScenario, row: FleetRow, data_set: datasets.DataSet, data: Path) -> dict:
        measure.wait_for_quiet(self.args.wait)
        home = Path(tempfile.mkdtemp(dir=self.bench.folder))
        stats_file = home / "stats.json"
        flags = ["--remember", "--etag", "crc", "--stats-file", str(stats_file), *scenario.server_flags]
        server = measure.Server(self.args.null_server, flags)
        try:
            take = self._fleet_sample if row.workers else self._load_sample
            sample, held_by = take(scenario, row, data_set, data, home, server)
        finally:
            stats = server.stop(stats_file)
        held = stats["remembered"]
        sample["failure"] = held_by((held["objects"], held["bytes"]))
        sample["stats"] = stats
        sample["disturbed"] = sample["others"] > DISTURBED
        shutil.rmtree(home)
        return sample

    def _load_sample(self, scenario, row, data_set, data, home, server) -> tuple[dict, object]:
        place = ["--endpoint-url", server.endpoint, "--region", REGION, "--home", str(home), "--quiet"]
        argv = [str(self.args.ours), "load", str(data), f"s3://{BUCKET}/{PREFIX}", *place]
        argv += ["--concurrency", str(row.concurrency), *row.flags]
        env = self.bench.environment(home)
        usage = measure.run(argv, env, home / "log", scenario.seconds_max, server.pid)
        wanted = (data_set.files, data_set.bytes)

        def failure(held: tuple[int, int]) -> str | None:
            if held != wanted:
                return f"the server holds {held[0]} files of {wanted[0]}"
            return None if usage.exit_code == 0 else f"exit code {usage.exit_code}: {usage.said}"

        sample = {
            "wall": usage.wall, "user": usage.user, "system": usage.system, "rss_bytes": usage.rss_bytes,
            "others": usage.others, "started_unix": usage.started_unix, "seconds": seconds(home),
            "command": shown(argv, data, home, server),
        }  # fmt: skip
        return sample, failure

    def _fleet_sample(self, scenario, row, data_set, data, home, server) -> tuple[dict, object]:
        broker = brokers.BROKERS[scenario.broker](home / "broker")
        try:
            return self._sample_over(broker, scenario, row, data_set, data, home, server)
        finally:
            broker.stop()

    def _sample_over(self, broker, scenario, row, data_set, data, home, server) -> tuple[dict, object]:
        stage_home = home / "home"
        stage_home.mkdir()
        env = self.bench.environment(stage_home)
        stage = fleet.Stage(str(self.args.ours), data, server.endpoint, stage_home, broker, env)
        busy, served, carried = measure.busy_seconds(), measure.process_seconds(server.pid), broker.cpu()
        own = time.process_time()
        started_unix, begun = time.time(), time.perf_counter()
        crew = fleet.start(stage, row.workers, row.concurrency, row.flags, scenario.seconds_max)
        crew.noted["files"] = data_set.files
        trouble = None
        try:
            fleet.DRILLS[row.drill](crew)
            fleet.finish(crew)
        except TimeoutError as error:
            trouble = str(error)
        finally:
            wall = time.perf_counter() - begun
            fleet.end(crew)
        members = [member.account() for member in crew.members()]
        user, system = (sum(member[key] for member in members) for key in ("user", "system"))
        others = measure.busy_seconds() - busy - user - system - (time.process_time() - own)
        others -= measure.process_seconds(server.pid) - served + broker.cpu() - carried
        wanted = (data_set.files, data_set.bytes)
        tails = "; ".join(f"{member.name}: {measure.tail(member.log)}" for member in crew.members())
        report = fleet.report_of(fleet.run_of(stage_home)) if not trouble else {}
        sample = {
            "wall": wall, "user": user, "system": system, "rss_bytes": max(m["rss_bytes"] for m in members),
            "others": max(0.0, others / (wall * measure.CORES)), "started_unix": started_unix, "members": members,
            "broker_cpu": broker.cpu() - carried, "noted": crew.noted,
            "seconds": seconds(stage_home) if report else {},
            "requests": fleet.asked(broker.requests(), fleet.run_of(stage_home)) if report else {},
            "channel": report.get("channel", {}),
            "command": "\n".join(shown(member.argv, data, stage_home, server, broker)
                                 for member in [*crew.former, crew.master, crew.workers[0]]),
        }  # fmt: skip

        def failure(held: tuple[int, int]) -> str | None:
            reason = trouble or fleet.failure(crew, held, wanted)
            return f"{reason}; {tails}" if reason else None

        return sample, failure

    def _record(self, name: str, scenario, facts: dict, rows: dict) -> None:
        title = {"title": scenario.title, "kind": scenario.kind, "rate": None, "date": time.strftime("%Y-%m-%d")}
        self.bench.results["scenarios"][name] = title | facts | {"rows": rows}
        self.bench.save()


def seconds(home: Path) -> dict[str, float]:
    """How long each pass took."""
    return {name: end - begin for name, (begin, end) in fleet.passes(fleet.run_of(home)).items()}


def shown(argv: list[str], data: Path, home: Path, server: measure.Server, broker=None) -> str:
    """The command as a reader would type it: without the folders and ports of this machine."""
    names = {argv[0]: Path(argv[0]).name, str(data): "DATA", str(home): "HOME", server.endpoint: "URL"}
    if broker is not None and broker.transport == "nats":
        names[f"nats://127.0.0.1:{broker.port}"] = "NATS"
    words = []
    if run := next(iter(home.glob("runs/*")), None):
        names[run.name] = "RUN"
    for word in argv:
        for value, plain in names.items():
            word = word.replace(value, plain)
        words.append(word)
    return " ".join(words)


def line(scenario: str, round_number: int, row: str, sample: dict) -> str:
    note = f"disturbed: others had {sample['others']:.0%} of the cores" if sample["disturbed"] else ""
    cpu = sample["user"] + sample["system"]
    extra = "".join(f"  {key} {value:.2f}" for key, value in sample.get("noted", {}).items() if key.startswith("seconds"))
    return (
        f"{scenario:15} {round_number:2} {row:8} wall {sample['wall']:8.2f} s  cpu {cpu:8.2f} s"
        f"{extra}  {sample['failure'] or note}"
    )
