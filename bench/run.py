#!/usr/bin/env python3
"""Runs the benchmark: every scenario, every tool in turn, round after round, each against a fresh null server.

    bench/run.py                      # all; installs peers and makes data sets as needed
    bench/run.py small --rounds 1     # one scenario
    bench/run.py small --quick        # the same with tiny data: does everything work?
    bench/run.py --tools s5cmd,cat

A run counts only if the server holds every file and every byte of the data set afterwards; the server's own
count decides, not the tool's exit code alone. Results go to bench/out/results.json, scenario by scenario;
`bench/report.py` turns them into docs/PERFORMANCE.md.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import datasets
import measure
import peers
from fleet_run import FleetBench
from scenarios import FLEETS, SCENARIOS, Scenario
from tools import CREDENTIALS, TOOLS, Job, Tool

ROOT = Path(__file__).resolve().parents[1]
RESULTS = peers.OUT / "results.json"
DISTURBED = 0.10


class Bench:
    """One invocation: where things are, and the results so far."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.server_binary = args.null_server
        self.results_file = peers.OUT / "results-quick.json" if args.quick else RESULTS
        self.results = self._load()
        self.peers = peers.load()
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.authority: Path | None = None

    def _load(self) -> dict:
        if self.results_file.exists():
            return json.loads(self.results_file.read_text())
        return {"scenarios": {}}

    def save(self) -> None:
        measured = self.results["scenarios"]
        self.results["scenarios"] = {name: measured[name] for name in [*SCENARIOS, *FLEETS] if name in measured}
        self.results["is_quick"] = self.args.quick
        self.results["machine"] = machine()
        self.results["versions"] = {
            name: {"version": peer.version, "source": peer.source, "problem": peer.problem}
            for name, peer in sorted(self.peers.items())
        }
        self.results_file.parent.mkdir(parents=True, exist_ok=True)
        self.results_file.write_text(json.dumps(self.results, indent=1) + "\n")

    def run(self, name: str) -> None:
        if name in FLEETS:
            FleetBench(self).run(name)
            return
        scenario = SCENARIOS[name]
        data_set = datasets.SETS[scenario.quick_set if self.args.quick else scenario.data_set]
        data = self.make(data_set)
        measure.read_all(data)
        rows = self._rows(name, scenario)
        for round_number in range(min(self.args.rounds, scenario.rounds_max)):
            for tool_name, row in rows.items():
                tool = TOOLS[tool_name]
                if row["problem"] or round_number >= tool.rounds_max:
                    continue
                sample = self._quiet_sample(scenario, tool, row, data_set, data)
                row["samples"].append(sample)
                print(line(name, round_number + 1, tool_name, sample), flush=True)
                self._record(name, scenario, data_set, rows)

    def make(self, data_set: datasets.DataSet) -> Path:
        """Answers the folder of a data set, made now unless it is there."""
        # In a process of its own: what this one ever held of memory, its children start with.
        script = [sys.executable, ROOT / "bench/datasets.py", data_set.name]
        script += ["--dir", self.args.dir, "--free-min", str(self.args.free_min)]
        subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
        return self.args.dir / data_set.name

    def _rows(self, name: str, scenario: Scenario) -> dict[str, dict]:
        rows = {}
        for tool_name in scenario.tools:
            if self.args.tools and tool_name not in self.args.tools:
                continue
            tool = TOOLS[tool_name]
            problem = self._problem(tool)
            rows[tool_name] = {"label": tool.label, "etag": tool.etag, "problem": problem, "samples": []}
            if problem:
                print(f"{name:11} -  {tool_name:14} {problem}", flush=True)
        return rows

    def _problem(self, tool: Tool) -> str | None:
        if tool.reads_only or tool.peer == "system":
            return None
        if tool.peer == "ours":
            return None if self.args.ours.exists() else "not built: cargo build --release"
        peer = self.peers.get(tool.peer)
        return peer.problem if peer else "not installed: bench/peers.py"

    def _binary(self, tool: Tool) -> str:
        if tool.peer == "ours":
            return str(self.args.ours)
        return "" if tool.reads_only or tool.peer == "system" else str(self.peers[tool.peer].path)

    def _quiet_sample(self, *what) -> dict:
        """A sample; one that other work disturbed is taken again, and the least disturbed is kept."""
        samples = [self._sample(*what)]
        while samples[-1]["disturbed"] and len(samples) <= self.args.retries:
            samples.append(self._sample(*what))
        return min(samples, key=lambda sample: sample["others"])

    def _sample(self, scenario: Scenario, tool: Tool, row: dict, data_set: datasets.DataSet, data: Path) -> dict:
        measure.wait_for_quiet(self.args.wait)
        home = Path(tempfile.mkdtemp(dir=self.folder))
        stats_file = home / "stats.json"
        flags = ["--remember", "--etag", tool.etag, "--stats-file", str(stats_file), *scenario.server_flags]
        server = measure.Server(self.server_binary, flags + self._tls(scenario), "https" if scenario.is_tls else "http")
        job = Job(self._binary(tool), data, server.endpoint, home, self.authority)
        argv = tool.argv(job)
        extra = tool.env(job)
        row["command"] = shown([*(f"{key}={value}" for key, value in extra.items()), *argv], job)
        env = self.environment(home) | extra | self._trust(scenario)
        try:
            usage = measure.run(argv, env, home / "log", scenario.seconds_max, server.pid)
        finally:
            stats = server.stop(stats_file)
        sample = asdict(usage) | {
            "server_cpu": server.cpu,
            "disturbed": usage.others > DISTURBED,
            "failure": failure(tool, usage, stats, data_set, home / "log"),
            "stats": stats,
        }
        if not sample["failure"]:
            del sample["said"]
        # A file system avoids inodes that were freed just now (ext4: `recently_deleted`), at ten times the cost of a new file:
        # what was written to the disk stays until all is measured.
        if not tool.is_local:
            shutil.rmtree(home)
        return sample

    @staticmethod
    def environment(home: Path) -> dict[str, str]:
        """Nothing of the caller's settings but the path to the system's programs."""
        return CREDENTIALS | {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}

    def _tls(self, scenario: Scenario) -> list[str]:
        if not scenario.is_tls:
            return []
        if self.authority is None:
            subprocess.run([ROOT / "bench/make-cert.sh", self.folder / "tls"], check=True)
            self.authority = self.folder / "tls/ca.pem"
        return ["--tls", str(self.folder / "tls/cert.pem"), str(self.folder / "tls/key.pem")]

    def _trust(self, scenario: Scenario) -> dict[str, str]:
        if not scenario.is_tls:
            return {}
        return {"SSL_CERT_FILE": str(self.authority), "AWS_CA_BUNDLE": str(self.authority)}

    def _record(self, name: str, scenario: Scenario, data_set: datasets.DataSet, rows: dict[str, dict]) -> None:
        known = self.results["scenarios"].get(name, {}).get("rows", {}) if self.args.tools else {}
        known = known | {tool: row for tool, row in rows.items() if row["samples"] or row["problem"]}
        self.results["scenarios"][name] = {
            "title": scenario.title,
            "kind": scenario.kind,
            "rate": scenario.rate,
            "server_flags": list(scenario.server_flags) + (["--tls"] if scenario.is_tls else []),
            "files": data_set.files,
            "bytes": data_set.bytes,
            "date": time.strftime("%Y-%m-%d"),
            # With --tools only those are measured anew; the order is the scenario's.
            "rows": {key: known[key] for key in scenario.tools if key in known},
        }
        self.save()


def failure(tool: Tool, usage: measure.Usage, stats: dict, data_set: datasets.DataSet, log: Path) -> str | None:
    """Why the run does not count, in the server's eyes first."""
    if usage.exit_code is None:
        return f"ended after {usage.wall:.0f} s"
    if tool.reads_only:
        return None
    held = held_by(log.parent / "copy") if tool.is_local else stats["remembered"]
    wanted = (0, 0) if tool.is_dry else (data_set.files, data_set.bytes)
    if (held["objects"], held["bytes"]) != wanted:
        return f"there are {held['objects']} files and {held['bytes']} bytes of {wanted[0]} and {wanted[1]}"
    if usage.exit_code not in tool.exit_codes:
        return f"exit code {usage.exit_code}"
    if tool.is_dry and not measure.mentions(log, data_set.files):
        return "the dry run does not tell the number of files"
    return None


def held_by(folder: Path) -> dict[str, int]:
    """What a directory holds, as the null server would say it."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {"objects": len(sizes), "bytes": sum(sizes)}


def shown(argv: list[str], job: Job) -> str:
    """The command as a reader would type it: without the folders of this machine."""
    names = {job.binary: Path(job.binary).name} if job.binary else {}
    names |= {str(job.data): "DATA", job.endpoint: "URL", job.host: "HOST", str(job.home): "HOME"}
    words = []
    for word in argv:
        plain = word
        for value, name in names.items():
            plain = plain.replace(value, name)
        words.append(f"'{plain}'" if " " in plain else plain)
    return " ".join(words)


def line(scenario: str, round_number: int, tool: str, sample: dict) -> str:
    disturbance = f"disturbed: others had {sample['others']:.0%} of the cores" if sample["disturbed"] else ""
    note = sample["failure"] or disturbance
    cpu = sample["user"] + sample["system"]
    return (
        f"{scenario:11} {round_number:2} {tool:14} wall {sample['wall']:8.2f} s  cpu {cpu:8.2f} s"
        f"  peak {sample['rss_bytes'] >> 20:5} MiB  {note}"
    )


def machine() -> dict:
    """What the figures were measured on."""
    cpu_model = "unknown"
    for entry in Path("/proc/cpuinfo").read_text().splitlines():
        if entry.startswith("model name"):
            cpu_model = entry.split(":")[1].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    kernel = ".".join(platform.release().split(".")[:2])
    return {
        "cpu": cpu_model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "system": f"{release}, Linux {kernel.split('-')[0]}",
    }


def parse() -> argparse.Namespace:
    names = [*SCENARIOS, *FLEETS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"{', '.join(names)}; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny data, one round: figures mean nothing")
    parser.add_argument("--tools", type=lambda text: text.split(","), help="only these, comma-separated; not for fleets")
    parser.add_argument("--ours", type=Path, default=ROOT / "target/release/s3-bucket-loader", help="our binary")
    parser.add_argument("--null-server", type=Path, default=ROOT / "target/release/null-server")
    parser.add_argument("--hand-out", type=Path, default=ROOT / "target/release/hand-out")
    parser.add_argument("--dir", type=Path, default=Path("/tmp/bench-data"), help="where the data sets are kept")
    parser.add_argument("--free-min", type=int, default=30, metavar="GIB", help="disk space to leave alone")
    parser.add_argument("--with-s3sync", action="store_true", help="compile s3sync too; takes many minutes")
    parser.add_argument("--wait", type=float, default=60, metavar="S", help="wait so long for a quiet machine (60)")
    parser.add_argument("--retries", type=int, default=2, metavar="N", help="repeat a disturbed run so often (2)")
    parser.add_argument("--no-build", action="store_true", help="take the binaries as they are")
    args = parser.parse_args()
    if unknown := [name for name in args.scenarios if name not in names]:
        parser.error(f"no scenario `{unknown[0]}`; there are {', '.join(names)}")
    if unknown := [name for name in args.tools or [] if name not in TOOLS]:
        parser.error(f"no tool `{unknown[0]}`; there are {', '.join(TOOLS)}")
    if args.quick:
        args.rounds, args.wait, args.retries = 1, 0, 0
    return args


def main() -> None:
    args = parse()
    # Ends by an exception, so that tool and server are ended and the folder is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not args.no_build:
        packages = [flag for name in ("null-server", "hand-out", "s3-bucket-loader") for flag in ("--package", name)]
        subprocess.run(["cargo", "build", "--release", *packages], cwd=ROOT, check=True)
    missing = [name for name in peers.PEERS if name not in peers.load() and (name != "s3sync" or args.with_s3sync)]
    if missing:
        peers.install(missing)
    bench = Bench(args)
    try:
        for name in args.scenarios or [*SCENARIOS, *FLEETS]:
            bench.run(name)
    finally:
        shutil.rmtree(bench.folder)
    print(f"results: {bench.results_file.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
