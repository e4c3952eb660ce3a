#!/usr/bin/env python3
"""Writes the results into docs/PERFORMANCE.md, between its markers, and draws the charts beside it.

    bench/report.py            # from bench/out/results.json
    bench/report.py --print    # the tables on stdout, nothing written

What stands outside of the markers is written by hand and left alone.
"""

import argparse
import json
import sys
from pathlib import Path

import chart
import fleet_report
from figures import GIB, Figure, Row, accepted_per_second, base, rows, settling

ROOT = Path(__file__).resolve().parents[1]
DOC = ROOT / "docs/PERFORMANCE.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def table(header: list[str], lines: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are numbers and stand right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *lines])


def number(value: float) -> str:
    """Three significant digits, and no more than the figure is worth."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(figure: Figure, rounds: int) -> str:
    shown = number(figure.median)
    return f"{shown} ({number(figure.least)}–{number(figure.greatest)})" if rounds > 1 else shown


def name(row: Row, compared: Row | None) -> str:
    label = f"**{row.label}**" if row.is_ours else row.label
    return label + (" †" if row.is_disturbed else "") + (" ‡" if row is compared else "")


def load_table(scenario: dict) -> str:
    of = rows(scenario)
    compared = base(of)
    gib = scenario["bytes"] / GIB
    header = ["Tool", "Wall s", "CPU µs/file", "CPU s/GiB", "Peak MiB", "Wall ratio", "CPU ratio", "Checksum"]
    lines = []
    for row in of:
        if row.problem:
            lines.append([name(row, None), row.problem, *[""] * 6])
            continue
        is_floor = row.tool == "cat"
        lines.append([
            name(row, compared),
            spread(row.wall, row.rounds),
            spread(row.cpu.scaled(1e6 / scenario["files"]), row.rounds),
            number(row.cpu.median / gib) if gib else "",
            f"{row.peak_mib:,.0f}",
            ratio(row.wall, compared and compared.wall),
            ratio(row.cpu, compared and compared.cpu),
            "" if is_floor else row.checksum,
        ])  # fmt: skip
    return table(header, lines)


def ratio(figure: Figure, compared: Figure | None) -> str:
    return f"{figure.median / compared.median:.2f}" if compared and compared.median else ""


def crawl_table(scenario: dict) -> str:
    header = ["Tool", "Wall s", "Entries/s", "First PUT after s", "CPU µs/entry", "Peak MiB"]
    lines = []
    for row in rows(scenario):
        if row.problem:
            lines.append([name(row, None), row.problem, *[""] * 4])
            continue
        lines.append([
            name(row, None),
            spread(row.wall, row.rounds),
            f"{scenario['files'] / row.wall.median:,.0f}",
            first_write(row),
            number(row.cpu.median * 1e6 / scenario["files"]),
            f"{row.peak_mib:,.0f}",
        ])  # fmt: skip
    return table(header, lines)


def tree_table(scenario: dict) -> str:
    header = ["Tool", "Wall s", "Files/s", "CPU µs/file", "Peak MiB"]
    lines = []
    for row in rows(scenario):
        if row.problem:
            lines.append([name(row, None), row.problem, *[""] * 3])
            continue
        lines.append([
            name(row, None),
            spread(row.wall, row.rounds),
            f"{scenario['files'] / row.wall.median:,.0f}",
            number(row.cpu.median * 1e6 / scenario["files"]),
            f"{row.peak_mib:,.0f}",
        ])  # fmt: skip
    return table(header, lines)


def first_write(row: Row) -> str:
    sample = row.samples[0]
    first = sample["stats"]["first_write_unix"]
    return number(first - sample["started_unix"]) if first else ""


def rate_table(scenario: dict) -> str:
    header = [
        "Tool",
        "Wall s",
        "90 % of the rate after s",
        "Accepted in s 15–30",
        "Refused",
        "Files missing",
        "Accepted/s, second by second",
    ]
    lines = []
    for row in rows(scenario):
        if not row.samples:
            lines.append([name(row, None), row.problem or "", *[""] * 5])
            continue
        sample = row.samples[0]
        settled = settling(sample, scenario["rate"], scenario["files"])
        late = settled.share_after_15s
        lines.append([
            name(row, None),
            number(row.wall.median),
            "never" if settled.seconds_to_90 is None else str(settled.seconds_to_90),
            "" if late is None else f"{late:.1%}",
            f"{settled.refused_share:.1%}",
            f"{settled.missing:,}",
            " ".join(map(str, accepted_per_second(sample["stats"])[:15])),
        ])  # fmt: skip
    return table(header, lines)


TABLES = {"load": load_table, "crawl": crawl_table, "rate": rate_table, "tree": tree_table}


def fleet_section(scenarios: dict) -> str:
    """All scenarios of the fleet in one table."""
    fleets = {key: scenario for key, scenario in scenarios.items() if scenario["kind"] in FLEET_KINDS}
    if not fleets:
        return ""
    dates = sorted({scenario["date"] for scenario in fleets.values()})
    reproduce = (
        f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))} by `bench/run.py {' '.join(fleets)}`: master and "
        "workers are processes of this machine and share its cores with the null server and the broker. Every run "
        "validates by LIST. The bars are the project's own."
    )
    asked = [
        f"What the server was asked, {scenario['title']}: {fleet_report.kinds(scenario)}."
        for key, scenario in fleets.items()
        if scenario["kind"] == "fleet" and fleet_report.kinds(scenario)
    ]
    return "\n\n".join(["### The fleet", reproduce, fleet_report.table(fleets), *asked, commands(*fleets.values())])


FLEET_KINDS = ("fleet", "hand-out")


def commands(*scenarios: dict) -> str:
    rows_of_all = [fields for scenario in scenarios for fields in scenario["rows"].values()]
    lines = [fields["command"] for fields in rows_of_all if "command" in fields]
    if len(scenarios) > 1:
        # Scenarios of fleets start the same workers.
        lines = list(dict.fromkeys("\n".join(lines).splitlines()))
    return "<details><summary>Commands</summary>\n\n```sh\n" + "\n".join(lines) + "\n```\n\n</details>"


def section(key: str, scenario: dict) -> str:
    flags = " ".join(scenario["server_flags"])
    server = f"null server with `{flags}`, " if flags else ""
    reproduce = f"{server}measured {scenario['date']} by `bench/run.py {key}`"
    return "\n\n".join([
        f"### {scenario['title']}",
        reproduce[0].upper() + reproduce[1:] + ".",
        TABLES[scenario["kind"]](scenario),
        commands(scenario),
    ])  # fmt: skip


def preface(results: dict) -> str:
    machine = results["machine"]
    versions = [
        f"{key} {fields['version']} ({fields['source']})" if fields["version"] else f"{key}: {fields['problem']}"
        for key, fields in results["versions"].items()
    ]
    made_on = (
        f"Machine: {machine['cpu']}, {machine['cores']} cores shared by tool and server, {machine['memory_gib']} GiB, "
        f"{machine['system']}. Peers: {'; '.join(versions)}."
    )
    legend = (
        "Figures are medians, in parentheses the least and the greatest of the rounds; peak memory is the greatest. "
        "‡ is what the ratios compare with. † had other work on the machine beside it: more than a tenth of the cores "
        "went to processes that are neither tool nor server, so its figures are an upper bound at best."
    )
    return f"{made_on}\n\n{legend}"


def block(results: dict) -> str:
    charts = [
        f"![{alt}]({path.name})"
        for path, alt in (
            (DOC.parent / "performance.svg", "CPU and wall time of each tool relative to s3-bucket-loader"),
            (DOC.parent / "performance-rate.svg", "Accepted requests per second under a limit of 2,000"),
        )
        if path.exists()
    ]
    scenarios = results["scenarios"]
    sections = [section(key, scenario) for key, scenario in scenarios.items() if scenario["kind"] in TABLES]
    fleets = fleet_section(scenarios)
    return "\n\n".join([preface(results), *charts, *sections, *([fleets] if fleets else [])])


def write(results: dict) -> None:
    if results["is_quick"]:
        sys.exit("these are the results of a quick run: they are not worth publishing")
    text = DOC.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{DOC.relative_to(ROOT)}: no `{BEGIN}` ... `{END}` to write between")
    loads = {key: value for key, value in results["scenarios"].items() if value["kind"] == "load"}
    rates = [value for value in results["scenarios"].values() if value["kind"] == "rate"]
    (DOC.parent / "performance.svg").write_text(chart.bars(loads))
    for scenario in rates:
        (DOC.parent / "performance-rate.svg").write_text(chart.lines(scenario))
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    DOC.write_text(f"{before}{BEGIN}\n\n{block(results)}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "bench/out/results.json")
    parser.add_argument("--print", action="store_true", help="print and change nothing")
    args = parser.parse_args()
    results = json.loads(args.results.read_text())
    if args.print:
        print(block(results))
    else:
        write(results)


if __name__ == "__main__":
    main()
