#!/usr/bin/env python3
"""Tests of the benchmark's own arithmetic: `python3 -m unittest discover bench`."""

import hashlib
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

import brokers
import chart
import datasets
import figures
import fleet
import fleet_report
import measure
import report
import run
import scenarios
import tools


def sample(wall=2.0, cpu=1.0, failure=None, disturbed=False, per_second=(), slow_downs=0, objects=10):
    return {
        "wall": wall, "user": cpu, "system": 0.0, "rss_bytes": 50 << 20, "failure": failure, "disturbed": disturbed,
        "started_unix": 100.0,
        "stats": {
            "checked": {"crc64nvme": 10}, "trusted": {}, "first_write_unix": 100.25, "slow_downs": slow_downs,
            "per_second": [list(second) for second in per_second], "remembered": {"objects": objects},
        },
    }  # fmt: skip


def scenario(kind="load", **rows):
    return {
        "title": "Ten files", "kind": kind, "rate": 100, "server_flags": [], "files": 10, "bytes": 10 << 30,
        "date": "2026-01-01",
        "rows": {
            tool: {"label": tools.TOOLS[tool].label, "problem": None, "samples": samples, "command": tool}
            for tool, samples in rows.items()
        },
    }  # fmt: skip


class DataSetTest(unittest.TestCase):
    def test_log_normal_sizes_add_up_and_are_always_the_same(self):
        seed = datasets.SETS["seed"]
        sizes = seed.sizes()
        self.assertEqual((len(sizes), sum(sizes)), (35_000, 11_000_000_000))
        self.assertEqual(sizes, seed.sizes())
        self.assertGreater(max(sizes), 50 * min(sizes))

    def test_files_differ_and_a_finished_set_is_kept(self):
        small = datasets.DataSet("t", files=6, per_folder=2, bytes=6 * 5000)
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            made = datasets.make(small, root, free_min=0)
            files = sorted(made.rglob("*.bin"))
            self.assertEqual([path.relative_to(made).as_posix() for path in files], list(small.paths()))
            self.assertEqual({path.stat().st_size for path in files}, {5000})
            self.assertEqual(len({hashlib.md5(path.read_bytes()).digest() for path in files}), 6)

            inode = files[0].stat().st_ino
            datasets.make(small, root, free_min=0)
            self.assertEqual(files[0].stat().st_ino, inode)
            (root / "t.json").write_text("{}")
            datasets.make(small, root, free_min=0)
            self.assertEqual(len(list(made.rglob("*.bin"))), 6)

    def test_every_scenario_names_tools_and_sets_that_exist(self):
        for one in scenarios.SCENARIOS.values():
            self.assertLessEqual(set(one.tools), set(tools.TOOLS))
            self.assertLessEqual({one.data_set, one.quick_set}, set(datasets.SETS))
        for one in scenarios.FLEETS.values():
            if one.kind == "fleet":
                self.assertLessEqual({one.data_set, one.quick_set}, set(datasets.SETS))
                self.assertIn(one.broker, brokers.BROKERS)
                self.assertLessEqual({row.drill for row in one.rows.values()}, set(fleet.DRILLS))


class MeasureTest(unittest.TestCase):
    def test_a_copy_counts_by_what_the_directory_holds(self):
        tool, usage = tools.TOOLS["cp"], measure.run(["true"], {"PATH": "/bin:/usr/bin"}, Path("/dev/null"), timeout=60)
        wanted = datasets.DataSet("t", files=2, per_folder=1, bytes=6)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            (copy / "d0000").mkdir(parents=True)
            (copy / "d0000/one").write_bytes(b"one")
            self.assertIn("1 files and 3 bytes", run.failure(tool, usage, {}, wanted, Path(folder) / "log"))
            (copy / "two").write_bytes(b"two")
            self.assertIsNone(run.failure(tool, usage, {}, wanted, Path(folder) / "log"))

    def test_a_run_is_measured_with_its_children(self):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            burn = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(8_000_000))']); exit(3)"
            usage = measure.run([sys.executable, "-c", burn], {}, log, timeout=60)
        self.assertEqual(usage.exit_code, 3)
        self.assertGreater(usage.cpu, 0.05)
        self.assertGreater(usage.rss_bytes, 1 << 20)

    def test_a_run_that_takes_too_long_is_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            usage = measure.run(["sleep", "60"], {"PATH": "/bin:/usr/bin"}, Path(folder) / "log", timeout=0.2)
        self.assertIsNone(usage.exit_code)
        self.assertLess(usage.wall, 30)

    def test_a_dry_run_is_believed_if_it_names_or_lists_the_files(self):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            for text, is_told in (("Found: 1,000", True), ('{"files":1000}', True), ("x\n" * 1000, True), ("", False)):
                log.write_text(text)
                self.assertEqual(measure.mentions(log, 1000), is_told, text[:20])


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent, twice."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])) * 2
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


class BrokerTest(unittest.TestCase):
    def test_the_proxy_passes_on_and_counts(self):
        server = HTTPServer(("127.0.0.1", 0), Echo)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        proxy = brokers.CountingProxy(server.server_address[1])

        def post(body, **headers):
            return urllib.request.urlopen(urllib.request.Request(proxy.url, body, headers)).read()

        try:
            send = {"X-Amz-Target": "AmazonSQS.SendMessageBatch"}
            self.assertEqual(post(b"x" * 40_000, **send), b"x" * 80_000)
            post(b"Action=Publish&Version=1", Authorization="Credential=a/us-east-1/sns/aws4_request")
        finally:
            proxy.stop()
            server.shutdown()
            server.server_close()
        seen = brokers.Requests(proxy.seen)
        self.assertEqual(seen.by_operation(), {"sns:Publish": 1, "sqs:SendMessageBatch": 1})
        # 80,000 bytes are more than one piece of 64 KiB; SNS is another bill.
        self.assertEqual((seen.count("sqs:"), seen.billed()), (1, 2))

    def test_a_server_that_has_gone_is_no_answer_but_a_request(self):
        proxy = brokers.CountingProxy(brokers.free_port())
        try:
            with self.assertRaises(OSError):
                urllib.request.urlopen(proxy.url, b"Action=Publish")
        finally:
            proxy.stop()
        self.assertEqual(brokers.Requests(proxy.seen).by_operation(), {"sns:Publish": 1})


class FleetTest(unittest.TestCase):
    def test_passes_are_told_apart_by_the_ledger(self):
        seen = [brokers.Seen(unix, "sqs:ReceiveMessage", 10) for unix in (9.0, 10.0, 19.9, 20.0, 31.0)]
        with tempfile.TemporaryDirectory() as folder:
            connection = sqlite3.connect(Path(folder) / "run.db")
            connection.execute("CREATE TABLE phase (number INTEGER PRIMARY KEY, phase TEXT, entered_ms INTEGER)")
            phases = (("INITIALIZED", 8), ("WRITE", 10), ("VALIDATE", 20), ("SHUTDOWN", 30))
            times = [(phase, second * 1000) for phase, second in phases]
            connection.executemany("INSERT INTO phase (phase, entered_ms) VALUES (?, ?)", times)
            connection.commit()
            connection.close()
            asked = fleet.asked(brokers.Requests(seen), Path(folder))
        self.assertEqual({name: part["sqs"] for name, part in asked.items()}, {"write": 2, "validate": 1, "all": 5})

    def test_a_member_is_measured_and_can_be_killed(self):
        class Carrier:
            def env(self):
                return {}

        with tempfile.TemporaryDirectory() as folder:
            stage = fleet.Stage("", Path(), "", Path(folder), Carrier(), {"PATH": "/bin:/usr/bin"})
            busy = fleet.Member(stage, "busy", [sys.executable, "-c", "sum(range(8_000_000))"])
            busy.wait(time.monotonic() + 60)
            asleep = fleet.Member(stage, "asleep", ["sleep", "60"])
            asleep.kill()
            asleep.wait(time.monotonic() + 60)
        self.assertEqual((busy.exit_code, asleep.exit_code), (0, -signal.SIGKILL))
        self.assertGreater(busy.user, 0.01)

    def test_the_table_shows_what_was_measured_and_what_failed(self):
        def one(wall, write, cpu, failure=None, disturbed=False):
            members = [{"name": "master", "user": 0.5, "system": 0.0}]
            seconds = {"write": write, "validate": 1.0}
            return {"wall": wall, "user": cpu, "system": 0.0, "seconds": seconds, "members": members,
                    "failure": failure, "disturbed": disturbed}  # fmt: skip

        def row(*samples):
            return {"label": "", "problem": None, "samples": list(samples)}

        rows = {"load": row(one(11, 10, 6)), "fleet": row(one(13, 10.5, 8), one(12, 9.5, 8))}
        scenario = {"kind": "fleet", "files": 200_000, "rows": rows}
        text = fleet_report.table({"fleet-nats-200k": scenario})
        self.assertIn("| WRITE | ≥ 90 % | 100%: 20,050 (19,048–21,053) files/s beside 20,000 |", text)
        self.assertIn("| CPU for each file, master alone |  | 2.50 µs |", text)
        self.assertNotIn("SQS", text)
        # A ratio of what other work disturbed says nothing.
        rows["fleet"]["samples"][1]["disturbed"] = True
        text = fleet_report.table({"fleet-nats-200k": scenario})
        self.assertIn("| WRITE † | ≥ 90 % | not comparable, the machine had other work: 20,050", text)
        rows["fleet"]["samples"].append(one(1, 1, 1, failure="worker-1: exit code 3"))
        self.assertIn("failed: worker-1: exit code 3", fleet_report.table({"fleet-nats-200k": scenario}))


class FiguresTest(unittest.TestCase):
    def test_one_failed_round_fails_the_row(self):
        row = figures.rows(scenario(s5cmd=[sample(), sample(failure="exit code 1")]))[0]
        self.assertEqual(row.problem, "failed: exit code 1")

    def test_ours_is_the_base_and_otherwise_the_thriftiest_peer(self):
        peers = {"s5cmd": [sample(cpu=3)], "juicefs": [sample(cpu=2)], "cat": [sample(cpu=0.1)]}
        self.assertEqual(figures.base(figures.rows(scenario(**peers))).tool, "juicefs")
        with_ours = scenario(**peers, ours=[sample(cpu=9)])
        self.assertEqual(figures.base(figures.rows(with_ours)).tool, "ours")

    def test_settling_is_read_from_the_servers_seconds(self):
        seconds = [(0, 0), (40, 0), (70, 20), (95, 5), *[(100, 1)] * 20, (30, 0)]
        settled = figures.settling(sample(per_second=seconds, slow_downs=45, objects=9), 100, 10)
        self.assertEqual(settled.seconds_to_90, 2)
        self.assertEqual(settled.share_after_15s, 1.0)
        self.assertAlmostEqual(settled.refused_share, 45 / 2280)
        self.assertEqual(settled.missing, 1)

    def test_a_rate_that_is_only_touched_is_not_reached(self):
        self.assertIsNone(figures.seconds_to([95, 10, 95, 10, 95, 10, 10], 90))


class ReportTest(unittest.TestCase):
    def test_the_table_shows_ratios_spread_and_failures(self):
        text = report.load_table(
            scenario(
                ours=[sample(wall=1, cpu=0.5), sample(wall=1.2, cpu=0.5), sample(wall=1.1, cpu=0.5)],
                s5cmd=[sample(wall=3.3, cpu=2, disturbed=True)],
                rclone=[sample(failure="exit code 1")],
            )
        )
        self.assertIn("no validation** ‡ | 1.10 (1.00–1.20) | 50,000 (50,000–50,000) | 0.05 | 50 | 1.00 | 1.00 |", text)
        self.assertIn("| s5cmd † | 3.30 | 200,000 | 0.20 | 50 | 3.00 | 4.00 | crc64nvme |", text)
        self.assertIn("| rclone copy | failed: exit code 1 |", text)

    def test_the_charts_are_well_formed(self):
        loads = {"a": scenario(ours=[sample()], s5cmd=[sample(cpu=50)]), "b": scenario(juicefs=[sample()])}
        rate = scenario("rate", ours=[sample(per_second=[(90, 0), (100, 3), (100, 0), (5, 0)])])
        for drawing in (chart.bars(loads), chart.lines(rate)):
            self.assertEqual(ElementTree.fromstring(drawing).tag, "{http://www.w3.org/2000/svg}svg")
        self.assertIn(">50<", chart.bars(loads))


if __name__ == "__main__":
    unittest.main()
