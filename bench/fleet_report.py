"""The table of the fleet: what is asked of it, and what was measured."""

from collections.abc import Callable
from dataclasses import dataclass

from figures import Figure

MIB = 1 << 20


@dataclass(frozen=True)
class Measure:
    """One line of the table."""

    scenario: str
    group: str
    """What the lines of a scenario have in common."""
    what: str
    bar: str
    """What the project asks of itself; empty where nothing is asked."""
    show: Callable[[dict, dict], str]
    """From the scenario's results and the samples of each row, by name."""


Samples = dict[str, list[dict]]


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(figure: Figure, unit: str = "") -> str:
    is_one = figure.least == figure.greatest
    span = "" if is_one else f" ({number(figure.least)}–{number(figure.greatest)})"
    return f"{number(figure.median)}{unit}{span}"


def of(samples: list[dict], value: Callable[[dict], float]) -> Figure:
    return Figure.of([value(sample) for sample in samples])


def cpu(sample: dict) -> float:
    return sample["user"] + sample["system"]


def in_passes(sample: dict) -> float:
    return sum(sample["seconds"].values())


def rate(scenario: dict, samples: Samples) -> str:
    """Files per second of the pass WRITE, beside those of one process."""
    fleet, load = (of(samples[row], lambda one: scenario["files"] / one["seconds"]["write"]) for row in ("fleet", "load"))
    told = f"{spread(fleet)} files/s beside {spread(load)}"
    if any(one["disturbed"] for row in ("fleet", "load") for one in samples[row]):
        # Beside other work five processes get more of the cores than one.
        return f"not comparable, the machine had other work: {told}"
    return f"{fleet.median / load.median:.0%}: {told}"


def wall(scenario: dict, samples: Samples) -> str:
    fleet, load = (of(samples[row], lambda one: one["wall"]) for row in ("fleet", "load"))
    return f"{spread(fleet, ' s')} beside {spread(load, ' s')}"


def cpu_per_file(scenario: dict, samples: Samples) -> str:
    scale = 1e6 / scenario["files"]
    fleet, load = (of(samples[row], lambda one: cpu(one) * scale) for row in ("fleet", "load"))
    return f"{spread(fleet, ' µs')} beside {spread(load, ' µs')} of one `load`"


def master_cpu_per_file(scenario: dict, samples: Samples) -> str:
    def of_master(sample: dict) -> float:
        [master] = [member for member in sample["members"] if member["name"] == "master"]
        return cpu(master) * 1e6 / scenario["files"]

    return spread(of(samples["fleet"], of_master), " µs")


def requests(scenario: dict, samples: Samples, row: str = "fleet") -> str:
    sample = samples[row][-1]
    asked = [sample["requests"][part] for part in ("write", "validate", "all")]
    write, validate, whole = (part["sqs"] + part["sns"] for part in asked)
    rest = whole - write - validate
    shares = f"{write:,} in WRITE, {validate:,} in VALIDATE, {rest:,} to meet and to part"
    return f"{whole:,} in {number(sample['wall'])} s: {shares}"


def requests_by_report(scenario: dict, samples: Samples) -> str:
    return f"{sum(samples['fleet'][-1]['channel'].values()):,}"


def requests_billed(scenario: dict, samples: Samples) -> str:
    return f"{samples['fleet'][-1]['requests']['all']['billed']:,}"


def hand_out(part: str, key: str) -> Callable[[dict, Samples], str]:
    def show(scenario: dict, samples: Samples) -> str:
        return spread(of(samples["master"], lambda one: one["figures"][part][key]))

    return show


def hand_out_size(key: str) -> Callable[[dict, Samples], str]:
    return lambda scenario, samples: spread(of(samples["master"], lambda one: one["figures"][key] / MIB), " MiB")


def again(row: str) -> Callable[[dict, Samples], str]:
    def show(scenario: dict, samples: Samples) -> str:
        entries = min(sample["noted"]["entries_in_ledger"] for sample in samples[row])
        figure = of(samples[row], lambda one: one["noted"]["seconds_to_next_files"])
        return f"{spread(figure, ' s')}, with {entries:,} entries in the ledger"

    return show


def cost_of_a_kill(row: str, value: Callable[[dict], float]) -> Callable[[dict, Samples], str]:
    def show(scenario: dict, samples: Samples) -> str:
        killed, whole = of(samples[row], value), of(samples[row.replace("killed", "whole")], value)
        return f"{killed.median - whole.median:.1f} s: {spread(killed, ' s')} instead of {spread(whole, ' s')}"

    return show


def nats(scenario: str, files: str) -> list[Measure]:
    group = f"{files} files of 4 KiB, 4 workers over NATS, beside one `load` with as many requests in flight"
    return [
        Measure(scenario, group, "WRITE", "≥ 90 %", rate),
        Measure(scenario, group, "from the first process to the end of the last", "", wall),
        Measure(scenario, group, "CPU for each file, master and workers together", "≤ 100 µs", cpu_per_file),
        Measure(scenario, group, "CPU for each file, master alone", "", master_cpu_per_file),
    ]


def processes() -> list[Measure]:
    group = "200,000 files of 4 KiB, `load --processes --workers 4`, beside one `load` with as many requests in flight"
    return [
        Measure("processes", group, "WRITE", "≥ 90 %", rate),
        Measure("processes", group, "from the first process to the end of the last", "", wall),
        Measure("processes", group, "CPU for each file, all processes together", "≤ 100 µs", cpu_per_file),
    ]


def sqs(scenario: str, files: str, bar: str) -> list[Measure]:
    group = f"{files} files of 4 KiB, 4 workers over SQS and SNS"
    return [
        Measure(scenario, group, "requests, counted at the server", bar, requests),
        Measure(scenario, group, "requests, as `report.json` counts them", "", requests_by_report),
        Measure(scenario, group, "requests to SQS as it bills them: one for each 64 KiB", "", requests_billed),
    ]


def slow() -> list[Measure]:
    group = "100,000 empty files, 4 workers over SQS and SNS, the store admits 500 requests/s"
    return [
        Measure("fleet-sqs-slow", group, "requests, reports every 5 s", "", requests),
        Measure("fleet-sqs-slow", group, "requests, reports every 30 s", "",
                lambda scenario, samples: requests(scenario, samples, "fleet-calm")),
    ]  # fmt: skip


def alone(scenario: str, entries: str) -> list[Measure]:
    group = f"A made-up table of {entries} entries, the master on one core"
    return [
        Measure(scenario, group, "entries handed out a second, WRITE", "≥ 1,000,000", hand_out("write", PER_SECOND)),
        Measure(scenario, group, "the same for each second of its CPU", "", hand_out("write", PER_CPU_SECOND)),
        Measure(scenario, group, "entries handed out a second, VALIDATE", "", hand_out("validate", PER_SECOND)),
        Measure(scenario, group, "peak memory", "< 200 MB", hand_out_size("peak_rss_bytes")),
        Measure(scenario, group, "ledger", "", hand_out_size("ledger_bytes")),
    ]


def killed(what: str, row: str, bar: str) -> list[Measure]:
    group = f"One of two workers killed half-way, lease 5 s{what}"
    return [
        Measure("killed-worker", group, "what it costs WRITE and VALIDATE", bar, cost_of_a_kill(row, in_passes)),
        Measure("killed-worker", group, "what it costs from the first process to the end of the last", "",
                cost_of_a_kill(row, lambda sample: sample["wall"])),
    ]  # fmt: skip


PER_SECOND, PER_CPU_SECOND = "entries_per_second", "entries_per_cpu_second"
RESUMED = "1,000,000 empty files over NATS, the master killed: from `resume` until files arrive again"

MEASURES: list[Measure] = [
    *sqs("fleet-sqs-1m", "1,000,000", "≤ 3,000"),
    *sqs("fleet-sqs", "200,000", ""),
    *slow(),
    *nats("fleet-nats-200k", "200,000"),
    *nats("fleet-nats", "20,000"),
    *processes(),
    *alone("hand-out", "10,000,000"),
    *alone("hand-out-100m", "100,000,000"),
    Measure("resume-1m", RESUMED, "killed when all was listed", "≤ 5 s", again("killed")),
    Measure("resume-1m", RESUMED, "killed when half was listed", "≤ 5 s", again("listing")),
    *killed("", "killed", "≤ 5 s"),
    *killed(", `--summary-interval 1s`", "killed-brisk", "≤ 5 s"),
]


def table(scenarios: dict) -> str:
    """What was measured, as Markdown; scenarios that were not run have no lines."""
    lines, group = ["| | | Bar | Measured |", "| --- | --- | --- | --- |"], None
    for measure in MEASURES:
        scenario = scenarios.get(measure.scenario)
        if scenario is None:
            continue
        name = "" if measure.group == group else measure.group
        group = measure.group
        what = measure.what + (" †" if is_disturbed(scenario) else "")
        lines.append(f"| {name} | {what} | {measure.bar} | {figure(measure, scenario)} |")
    return "\n".join(lines)


def figure(measure: Measure, scenario: dict) -> str:
    rows = scenario["rows"]
    if problem := next((row["problem"] for row in rows.values() if row["problem"]), None):
        return problem
    samples = {name: row["samples"] for name, row in rows.items()}
    failures = [sample["failure"] for of_row in samples.values() for sample in of_row if sample["failure"]]
    if failures:
        return f"failed: {failures[0].splitlines()[0][:200]}"
    if not all(samples.values()):
        return "not run"
    return measure.show(scenario, samples)


def is_disturbed(scenario: dict) -> bool:
    return any(sample["disturbed"] for row in scenario["rows"].values() for sample in row["samples"])


def kinds(scenario: dict) -> str:
    """How often a server of SQS and SNS was asked what; empty over NATS."""
    samples = [sample for row in scenario["rows"].values() for sample in row["samples"]]
    asked = samples[-1].get("requests", {}).get("all") if samples else None
    return ", ".join(f"{kind} {count:,}" for kind, count in asked["by_operation"].items()) if asked else ""
