"""Draws the results as SVG, with nothing but text: bars of CPU and wall time, and lines of accepted requests.

The background is transparent and every colour is of middle lightness, so that a chart reads on white and on
black alike.
"""

from html import escape

from figures import Row, accepted_per_second, base, rows

TEXT = "#7a828c"
OURS, OTHER = "#2f81f7", "#a0703c"
LINES = ("#2f81f7", "#d2691e", "#3fa35a", "#a371f7")
FONT = "font-family='system-ui, sans-serif'"

PANEL_WIDTH, LABEL_WIDTH, VALUE_WIDTH = 440, 120, 60
BAR, ROW, HEAD, GAP = 10, 31, 44, 18
CAP = 10.0
"""Times ours at which a bar is cut; its number tells the truth."""


def bars(scenarios: dict[str, dict]) -> str:
    """A panel for each scenario, two to a line: the best variant of each tool, CPU above wall."""
    panels = [(scenario, best(rows(scenario))) for scenario in scenarios.values()]
    panels = [(scenario, of) for scenario, of in panels if base(of)]
    shapes, top = [], 30
    for first in range(0, len(panels), 2):
        pair = panels[first : first + 2]
        for column, (scenario, of) in enumerate(pair):
            shapes.append(f"<g transform='translate({column * (PANEL_WIDTH + GAP)} {top})'>{panel(scenario, of)}</g>")
        top += HEAD + max(len(of) for _, of in pair) * ROW + GAP
    legend = (
        f"<rect x='0' y='6' width='14' height='{BAR}' fill='{TEXT}'/>{text(20, 14, 'CPU')}"
        f"<rect x='60' y='6' width='14' height='{BAR}' fill='{TEXT}' fill-opacity='.5'/>{text(80, 14, 'wall')}"
    )
    return document(
        2 * PANEL_WIDTH + GAP, top, legend + "".join(shapes), "CPU and wall time by tool; shorter is better"
    )


def best(of: list[Row]) -> list[Row]:
    """The least CPU among the ways in which each peer was called; of ours, all that load."""
    chosen: dict[str, Row] = {}
    for row in of:
        peer = row.tool if row.is_ours else row.tool.split("-")[0]
        if row.problem or peer == "cat":
            continue
        if peer not in chosen or row.cpu.median < chosen[peer].cpu.median:
            chosen[peer] = row
    return list(chosen.values())


def panel(scenario: dict, of: list[Row]) -> str:
    compared = base(of)
    assert compared is not None, "panels without figures are left out"
    whom = "s3-bucket-loader" if compared.is_ours else compared.label
    out = [
        text(0, 14, scenario["title"], weight="600"),
        text(0, 30, f"times {whom}" + (" (s3-bucket-loader not measured)" if not compared.is_ours else ""), size=11),
    ]
    ordered = sorted(of, key=lambda row: (not row.is_ours, row.cpu.median))
    for index, row in enumerate(ordered):
        y = HEAD + index * ROW
        colour = OURS if row.is_ours else OTHER
        out.append(text(LABEL_WIDTH - 8, y + 15, short(row), anchor="end"))
        out.append(bar(y, row.cpu.median / compared.cpu.median, colour, 1.0))
        out.append(bar(y + BAR + 1, row.wall.median / compared.wall.median, colour, 0.5))
    height = HEAD + len(of) * ROW
    x = LABEL_WIDTH + width(1.0)
    out.append(
        f"<line x1='{x:.1f}' y1='{HEAD - 4}' x2='{x:.1f}' y2='{height - 4}' stroke='{TEXT}' stroke-dasharray='2 3'/>"
    )
    return "".join(out)


def short(row: Row) -> str:
    names = {"ours": "s3-bucket-loader", "ours-list": "… + validation", "aws": "aws s3 cp", "juicefs": "juicefs sync"}
    return names.get(row.tool) or names.get(row.tool.split("-")[0]) or row.tool.split("-")[0]


def bar(y: float, ratio: float, colour: str, opacity: float) -> str:
    long = width(min(ratio, CAP))
    shape = (
        f"<rect x='{LABEL_WIDTH}' y='{y}' width='{long:.1f}' height='{BAR}' fill='{colour}' fill-opacity='{opacity}'/>"
    )
    if ratio > CAP:
        # Two slashes where the bar is cut.
        cut = LABEL_WIDTH + long - 14
        shape += f"<path d='M{cut} {y + BAR}l4 -{BAR}M{cut + 5} {y + BAR}l4 -{BAR}' stroke='#fff' stroke-width='2'/>"
    return shape + text(LABEL_WIDTH + long + 5, y + BAR, f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}", size=10)


def width(ratio: float) -> float:
    return ratio / CAP * (PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH)


def lines(scenario: dict, seconds_max: int = 60) -> str:
    """Accepted requests second by second, and the rate that the server admits."""
    wide, high, left, top = 760, 240, 56, 40
    rate = scenario["rate"]
    series = [
        (row, accepted_per_second(row.samples[0]["stats"])[:seconds_max]) for row in rows(scenario) if row.samples
    ]
    span = max([len(values) for _, values in series] + [2])
    ceiling = max([rate * 1.2, *(value for _, values in series for value in values)])

    def x(second: float) -> float:
        return left + second / (span - 1) * (wide - left - 10)

    def y(value: float) -> float:
        return top + (1 - value / ceiling) * (high - top - 30)

    out = [text(0, 16, f"{scenario['title']}: accepted per second", weight="600")]
    for value in (0, rate // 2, rate):
        dash = "4 3" if value == rate else "1 5"
        level = f"x1='{left}' y1='{y(value):.1f}' x2='{wide - 10}' y2='{y(value):.1f}'"
        out.append(f"<line {level} stroke='{TEXT}' stroke-dasharray='{dash}'/>")
        out.append(text(left - 6, y(value) + 4, f"{value:,}", anchor="end", size=11))
    for second in range(0, span, 5):
        out.append(text(x(second), high - 12, f"{second} s", anchor="middle", size=11))
    for index, (row, values) in enumerate(series):
        colour = LINES[index % len(LINES)]
        points = " ".join(f"{x(second):.1f},{y(value):.1f}" for second, value in enumerate(values))
        out.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>")
        out.append(text(left + index * 230, 34, f"— {row.label}", colour=colour, size=12))
    return document(wide, high, "".join(out), "Accepted requests per second")


def text(
    x: float, y: float, words: str, anchor: str = "start", size: int = 12, weight: str = "400", colour: str = TEXT
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}' "
        f"fill='{colour}'>{escape(words)}</text>"
    )


def document(wide: float, high: float, body: str, title: str) -> str:
    size = f"viewBox='0 0 {wide} {high}' width='{wide}' height='{high}'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img'><title>{escape(title)}</title>{body}</svg>\n"
