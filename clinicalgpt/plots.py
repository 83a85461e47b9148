"""
Plots of a report, as inline SVG: a quantity by step, groups by model, a curve in a line of text.  (Not here:
the page around them, and its colours, see report.py.)
"""
import math
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 180, 46, 10, 8, 22          # of a plot, and its margins
POINTS = 80                                                                # of a curve; more are averaged
NAME, LINE, COLOURS = 130, 11, 6                       # width of a group's name, height of a model's line


def number(value):
    return f"{value:,.0f}" if value % 1 == 0 or abs(value) >= 1000 else f"{value:.4g}"


def ticks(low, high):
    """Round numbers around an interval, 1, 2, 5 times a power of ten apart: ticks(0.3, 3.7) is 0 1 2 3 4."""
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-9):         # a flat line gets room above and below
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    unit = next(power * n for n in (1, 2, 5, 10) if (high - low) / (power * n) <= 4)
    return [i * unit for i in range(math.floor(low / unit + 1e-9), math.ceil(high / unit - 1e-9) + 1)]


def thinned(points, most):
    """(step, mean, lowest, highest) of neighbouring points, at most `most` groups of them."""
    groups = min(most, len(points))
    for i in range(groups):
        steps, values = zip(*points[i * len(points) // groups:(i + 1) * len(points) // groups], strict=True)
        yield steps[-1], sum(values) / len(values), min(values), max(values)


def drawing(curves, across):
    """The inside of a plot's SVG.  curves: {"": training points, "valid": validation points}, none empty."""
    groups = {kind: list(thinned(points, POINTS)) for kind, points in curves.items()}
    values, steps = ([point[i] for points in curves.values() for point in points] for i in (1, 0))
    marks, first, last = ticks(min(values), max(values)), min(steps), max(steps)

    def x(step):
        return LEFT + (WIDTH - LEFT - RIGHT) * ((step - first) / (last - first) if last > first else 0.5)

    def y(value):
        return TOP + (HEIGHT - TOP - BOTTOM) * (marks[-1] - value) / (marks[-1] - marks[0])

    def path(corners, kind):
        line = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in corners)
        return f'<path class="{kind}" d="M{line}"/>'

    for mark in marks:
        yield (f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
               f'<text x="{LEFT - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:,.10g}</text>')
    for step, anchor in {first: "start", last: "end"}.items():
        yield (f'<text x="{x(step):.1f}" y="{HEIGHT - 5}" text-anchor="{anchor}">'
               f'{across} {number(step)}</text>')
    for kind, drawn in groups.items():
        yield f'<g class="{"two" if kind else "one"}">'
        if len(curves[kind]) > POINTS:                             # a band: lowest to highest of each group
            highest, lowest = [(g[0], g[3]) for g in drawn], [(g[0], g[2]) for g in reversed(drawn)]
            yield path(highest + lowest, "band")
        yield path([group[:2] for group in drawn], "curve")
        yield f'<circle cx="{x(drawn[-1][0]):.1f}" cy="{y(drawn[-1][1]):.1f}" r="2.6"/></g>'


def plot(name, curves, across="step"):
    """A figure of one quantity: its name, the latest values, how many were not finite, and the drawing."""
    finite = {kind: [p for p in points if all(map(math.isfinite, p))] for kind, points in curves.items()}
    finite = {kind: points for kind, points in finite.items() if points}
    lost = sum(map(len, curves.values())) - sum(map(len, finite.values()))
    caption = f"<b>{escape(name)}</b>"
    for kind, points in finite.items():
        caption += f'<span class="{"two" if kind else "one"}">{kind} {number(points[-1][1])}</span>'
    caption += f'<span class="bad">{lost} not finite</span>' if lost else ""
    inside = "".join(drawing(finite, across)) if finite else ""
    return (f'<figure><figcaption>{caption}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(name)} by {across}">{inside}</svg></figure>')


def plots(curves):
    for name, points in curves.items():
        twin = f"valid_{name}"
        if not (name.startswith("valid_") and name.removeprefix("valid_") in curves):
            yield plot(name, {"": points} | ({"valid": curves[twin]} if twin in curves else {}))
    if "valid_reward" in curves and "valid_kl" in curves:
        kl = dict(curves["valid_kl"])
        points = [(kl[step], reward) for step, reward in curves["valid_reward"] if step in kl]
        yield plot("held-out reward by KL, nats an answer", {"valid": points}, "KL")


def sparkline(points, width=24):
    values = [mean for _, mean, _, _ in thinned([p for p in points if math.isfinite(p[1])], width)]
    low, span = min(values, default=0), max(values, default=0) - min(values, default=0)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (v - low) / span) if span else 3] for v in values)


def groups_plot(title, rows, models):
    """A figure: for each row a group, for each model a dot and its interval, all on one scale.  What follows
    a group's count is the title's to say."""
    cells = [cell for row in rows for cell in row["models"].values()]
    marks = ticks(min(0, *(cell.get("low", cell["value"]) for cell in cells)),
                  max(cell.get("high", cell["value"]) for cell in cells))
    height, colour = LINE * len(models) + 8, {model: i % COLOURS for i, model in enumerate(models)}
    bottom = TOP + height * len(rows)

    def x(value):
        return NAME + (WIDTH - NAME - RIGHT) * (value - marks[0]) / (marks[-1] - marks[0])
    inside = [f'<line x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{TOP}" y2="{bottom}"/>'
              f'<text x="{x(mark):.1f}" y="{bottom + 14}" text-anchor="middle">{mark:,.10g}</text>'
              for mark in marks]
    for i, row in enumerate(rows):
        middle, group = TOP + height * (i + 0.5), row["metric"].removeprefix("- ").rpartition(")")
        inside.append(f'<text x="{NAME - 6}" y="{middle + 4:.1f}" text-anchor="end">'
                      f'{escape(shortened("".join(group[:2]), 20))}</text>')
        for model, cell in row["models"].items():
            y = TOP + height * i + 8 + LINE * models.index(model)
            low, high = (x(cell.get(end, cell["value"])) for end in ("low", "high"))
            inside.append(f'<g class="m{colour[model]}"><path d="M{low:.1f},{y}H{high:.1f}"/>'
                          f'<circle cx="{x(cell["value"]):.1f}" cy="{y}" r="3"/></g>')
    names = "".join(f'<span class="m{colour[model]}">{escape(model)}</span>' for model in models)
    return (f'<figure><figcaption><b>{escape(title)}</b>{names}</figcaption><svg viewBox="0 0 {WIDTH} '
            f'{bottom + 20}" role="img" aria-label="{escape(title)}">{"".join(inside)}</svg></figure>')


def shortened(text, most):
    return text if len(text) <= most else text[:most - 1] + "…"
