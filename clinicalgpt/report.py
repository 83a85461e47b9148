"""
What a run or an evaluation has to show, as report.html and report.md: results, answers, curves, settings.
(Not here: computing any of it; drawing plots, see plots.py.)  The page is one file for anywhere: curves are
inline SVG, no script and no network; light and dark, phone and print.  It adds no date or path: the same
inputs give the same bytes.

    runs       {name: run folder}: a plot for every number of metrics.jsonl, "valid_x" over "x", and of PPO's
               held-out reward over its KL; alarms; what it said to the same prompts over time; config.json
    results    [{"task", "metric", "models": {name: {"value", "low", "high"}}}]: a row each, a column a model.
               A value may be text ("12 / 5 / 3"); may be absent: low, high, "note" (how it was measured),
               "best" (a model to mark), "main" (of the few to see first).  "- x (7)" is a group, and drawn
    below      a sentence below each table of results
    tables     {heading: rows of texts, the first the heading's}
    samples    [{"question", "answers": {name: text}}]: side by side; a reference is one more answer
    facts      [(name, value)]: commands, hashes, seeds, versions

What a model or a file says is text: it is escaped on its way into the page and into the Markdown.
"""
import math
import re
import unicodedata
from html import escape
from pathlib import Path

from clinicalgpt.files import read_jsonl, write_text
from clinicalgpt.plots import groups_plot, number, plots, sparkline

BEST = " \u25b2"
LEGEND = "\u25b2: above each other model, p below 0.05 by Holm's correction; else none is marked."
NOTICE = "Written by language models in training, to study how they learn. This is no medical advice."

STYLE = """
:root { color-scheme: light dark; --ink: #1b2130; --soft: #626b7c; --rule: #dfe3ea; --page: #f6f7f9;
  --card: #fff; --one: #1f62c7; --two: #cf5a1c; --bad: #b3261e; --three: #2b8a3e; --four: #8e44ad;
  --five: #8a6d00; --six: #5c6470 }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4e8f0; --soft: #98a2b5; --rule: #333b4a; --page: #12161d;
    --card: #1a202a; --one: #78adff; --two: #ff9a5c; --bad: #ff8a80; --three: #6fd08c; --four: #d79bf0;
    --five: #e3c34a; --six: #a9b2c0 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1rem 3rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  -webkit-text-size-adjust: 100%; print-color-adjust: exact; -webkit-print-color-adjust: exact }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .3rem }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .8rem; break-after: avoid }
h3 { font-size: 1rem; margin: 0 0 .7rem } .plots + h3 { margin-top: 1.4rem }
h4 { font-size: .8rem; margin: 0 0 .2rem; color: var(--soft) }
p { margin: 0 } .soft { color: var(--soft); font-size: .85rem; margin-top: .5rem }
.plots { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)) }
.answers { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)) }
figure, article, .table, details { margin: 0; background: var(--card); border: 1px solid var(--rule);
  border-radius: 8px; padding: .8rem .9rem; break-inside: avoid }
article + article, details { margin-top: .8rem }
.answers p, .fact, pre { white-space: pre-wrap; overflow-wrap: anywhere }
figcaption { display: flex; flex-wrap: wrap; gap: 0 .8rem; font-size: .9rem }
figcaption b { flex: 1 } .one { color: var(--one) } .two { color: var(--two) } .bad { color: var(--bad) }
.m0 { color: var(--one) } .m1 { color: var(--two) } .m2 { color: var(--three) }
.m3 { color: var(--four) } .m4 { color: var(--five) } .m5 { color: var(--six) }
svg { display: block; width: 100%; height: auto; margin-top: .4rem; font-size: 11px }
svg text { fill: var(--soft) } svg line { stroke: var(--rule) } svg circle { fill: currentColor }
svg path { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round }
svg .two path { stroke-dasharray: 5 3 } svg path.band { fill: currentColor; stroke: none; opacity: .16 }
.table { overflow-x: auto; break-inside: auto }
table { border-collapse: collapse; width: 100% } figcaption, table { font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .4rem 1rem .4rem 0;
  border-top: 1px solid var(--rule) }
tr:first-child > * { border-top: 0; padding-top: 0 } tr { break-inside: avoid }
.note { margin: 0; font-size: .75rem; max-width: 24rem }
td.value { white-space: nowrap; min-width: 7rem } small { color: var(--soft); margin-left: .3rem }
.span { display: block; position: relative; height: 9px; border-bottom: 1px solid var(--rule) }
.span i, .span b { position: absolute; background: var(--one); border-radius: 2px }
.span i { height: 3px; top: 4px; opacity: .45 }
.span b { height: 9px; top: 1px; width: 3px; margin-left: -1px }
.fact { font: .85rem/1.6 ui-monospace, monospace } pre { margin: .6rem 0 0; font-size: .8rem }
summary { cursor: pointer; color: var(--soft); font-size: .9rem }
@media (max-width: 40rem) { small { display: block; margin: 0 } td.value { min-width: 5.6rem } }
@media print { body { max-width: none; padding: 0; background: none; font-size: 12px }
  .plots { grid-template-columns: repeat(3, 1fr) } }
"""


def read_metrics(folder):
    """{quantity: [(step, value)]}, in order of mention.  A step written twice counts as written last."""
    curves = {}
    for record in log_of(Path(folder) / "metrics.jsonl", step=int):
        for key, value in record.items():
            if key not in ("step", "time") and type(value) in (int, float):
                curves.setdefault(key, {})[record["step"]] = value
    return {key: sorted(points.items()) for key, points in curves.items()}


def markdown_table(rows):
    """The first row is the heading.  Aligned for a terminal too, where a Chinese character is two wide."""
    def width(cell):
        return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell)

    rows = [[markdown(cell) for cell in row] for row in rows]
    widths = [min(max(map(width, column)), 40) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * w for w in widths])
    padded = [[cell + " " * (w - width(cell)) for cell, w in zip(row, widths, strict=True)] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in padded)


def markdown(value):
    """One line in which nothing is markup: no tag, cell border, code, emphasis, link or image."""
    return re.sub(r"[\\`*<|]|(?<=\])[(\[:]", r"\\\g<0>", " ".join(str(value).split()))


def score(cell, best=False):
    """A value and its interval as texts; counts and texts as they are, a dash where a model was not asked."""
    if cell is None:
        return "–", ""
    numbers = map(cell.get, ("value", "low", "high"))
    value, low, high = (f"{x:.3f}" if isinstance(x, float) else x for x in numbers)
    return f"{value}{BEST if best else ''}", "" if low is None else f"[{low}, {high}]"


def interval_bar(cell, row):
    """The interval drawn on one scale with the row's others: whether two models overlap can be seen."""
    if cell is None or cell.get("low") is None:
        return ""
    others = [other for other in row["models"].values() if other.get("low") is not None]
    zero, top = min(0, *(other["low"] for other in others)), max(other["high"] for other in others)
    low, value, high = (100 * (cell[end] - zero) / ((top - zero) or 1) for end in ("low", "value", "high"))
    return (f'<span class="span"><i style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
            f'<b style="left:{value:.1f}%"></b></span>')


def names_in(results):
    return list(dict.fromkeys(name for row in results for name in row["models"]))


def results_section(results, below="", notes=True, models=None):
    """Every section is its page and its Markdown."""
    models = [name for name in models or names_in(results) if name in names_in(results)]
    heading = "".join(f"<th>{escape(name)}</th>" for name in ("", *models))
    page, text, task = [f'<div class="table"><table><tr>{heading}</tr>'], [["task", "metric", *models]], None
    for row in results:
        cells = [(row["models"].get(name), row.get("best") == name) for name in models]
        text.append([row["task"], row["metric"], *(" ".join(filter(None, score(*cell))) for cell in cells)])
        if row["task"] != task:
            task = row["task"]
            page.append(f'<tr><th colspan="{1 + len(models)}">{escape(task)}</th></tr>')
        note = f'<div class="soft note">{escape(row["note"])}</div>' if notes and row.get("note") else ""
        page.append(f"<tr><td>{escape(row['metric'])}{note}</td>")
        for cell, best in cells:
            value, interval = map(escape, score(cell, best))
            page.append(f'<td class="value">{value} <small>{interval}</small>{interval_bar(cell, row)}</td>')
        page.append("</tr>")
    lines = [LEGEND] if any(row.get("best") for row in results) else []
    lines += [below] if below else []
    page += ["</table></div>", *(f'<p class="soft">{escape(line)}</p>' for line in lines)]
    lines += noted(results) if notes else []
    return "".join(page), "\n".join([markdown_table(text), *(f"{markdown(line)}\n" for line in lines)])


def noted(results):
    """A line for each note, behind the first of the metrics that have it."""
    found = {}
    for row in results:
        if row.get("note"):
            found.setdefault(row["note"], []).append(row["metric"])
    return [f"{', '.join(names[:3])}{' ...' if len(names) > 3 else ''}: {note}"
            for note, names in found.items()]


def groups_section(results):
    """A plot of each family of groups, and no Markdown: the numbers are in the tables."""
    families, models = {}, names_in(results)
    for row in results:
        if row["metric"].startswith("- "):
            families.setdefault(f"{row['task']}{row['metric'].rpartition(')')[2]}", []).append(row)
    page = "".join(groups_plot(title, rows, models) for title, rows in families.items())
    text = "(Plots are in report.html; the numbers are below.)\n"
    return (f'<div class="plots">{page}</div>', text) if page else None


def table_section(rows):
    heading, *others = rows
    page = "".join(f"<th>{escape(str(name))}</th>" for name in heading)
    page = f"<tr>{page}</tr>" + "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>" for row in others)
    return f'<div class="table"><table>{page}</table></div>', markdown_table(rows)


def samples_section(samples):
    page, text = [], []
    for i, sample in enumerate(samples, 1):
        answers = "".join(f"<div><h4>{escape(name)}</h4><p>{escape(answer)}</p></div>"
                          for name, answer in sample["answers"].items())
        page.append(f'<article><h3>{i}. {escape(sample["question"])}</h3>'
                    f'<div class="answers">{answers}</div></article>')
        text += [f"### {i}. {markdown(sample['question'])}\n",
                 markdown_table([["model", "answer"], *sample["answers"].items()])]
    return "".join(page), "\n".join(text)


def log_of(path, **kinds):
    """The lines of a run's log.  Raises ValueError for one that lacks a field of these names and kinds."""
    for line, row in read_jsonl(path):
        for name, kind in kinds.items():
            if type(row.get(name)) is not kind:
                raise ValueError(f"{path}:{line}: no {name!r} that is {kind.__name__} (found {sorted(row)}); "
                                 "remove the line")
        yield row


def run_section(folder):
    curves, config = read_metrics(folder), Path(folder) / "config.json"
    page, rows = f'<div class="plots">{"".join(plots(curves))}</div>', []
    for name, points in curves.items():
        values = [value for _, value in points]
        finite = [value for value in values if math.isfinite(value)] or values
        numbers = map(number, (values[0], min(finite), max(finite), values[-1]))
        rows.append([name, *numbers, sparkline(points)])
    text = markdown_table([["quantity", "first", "lowest", "highest", "last", "curve"], *rows])
    if (folder := Path(folder) / "alarms.jsonl").is_file():
        alarms = log_of(folder, step=int, alarm=str, why=str)
        words = [f"ALARM at step {alarm['step']}, {alarm['alarm']}: {alarm['why']}" for alarm in alarms]
        page = "".join(f'<p class="bad">{escape(line)}</p>' for line in words) + page
        text = "".join(f"{markdown(line)}\n\n" for line in words) + text
    if said := said_over_time(config.parent):
        answers = samples_section(said)
        page, text = page + f"<h3>As it learned</h3>{answers[0]}", f"{text}\n{answers[1]}"
    if config.exists():
        settings = config.read_text(encoding="utf-8").strip()
        page += f"<details><summary>config.json</summary><pre>{escape(settings)}</pre></details>"
        text += "".join(f"\n    {line}" for line in settings.splitlines()) + "\n"
    return page, text


def said_over_time(folder, prompts=3):
    """Samples for samples_section: what a run said to the same prompts at first, half-way and at last."""
    path, said = folder / "samples.jsonl", {}
    for sample in log_of(path, step=int, prompt=str, answer=str) if path.is_file() else ():
        said.setdefault(sample["prompt"], {})[f"step {sample['step']}"] = sample["answer"]
    repeated = [(prompt, list(answers.items())) for prompt, answers in said.items() if len(answers) > 1]
    return [{"question": prompt, "answers": dict((answers[0], answers[len(answers) // 2], answers[-1]))}
            for prompt, answers in repeated[:prompts]]


def facts_section(facts):
    rows = "".join(f'<tr><th>{escape(str(name))}</th><td class="fact">{escape(str(value))}</td></tr>'
                   for name, value in facts)
    return f'<div class="table"><table>{rows}</table></div>', markdown_table([["name", "value"], *facts])


def document(title, notice, sections):
    """(HTML, Markdown) of [(heading, (HTML, Markdown)), ...]: a page that loads nothing and runs nothing."""
    body = "\n".join(f"<h2>{escape(heading)}</h2>\n{page}" for heading, (page, _) in sections)
    page = ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta http-equiv="Content-Security-Policy" '
            """content="default-src 'none'; style-src 'unsafe-inline'">"""
            f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
            f'<body><h1>{escape(title)}</h1><p class="soft">{notice}</p>\n{body}\n</body></html>\n')
    text = f"# {markdown(title)}\n\n{notice}\n" + "".join(
        f"\n## {markdown(heading)}\n\n{text}" for heading, (_, text) in sections)
    return page, text


def write_report(out, title, runs, results=None, samples=None, facts=None, tables=None, below=""):
    """Write report.html and report.md into the folder `out`; the arguments are described above."""
    results, tables = results or [], tables or {}
    main = [row for row in results if row.get("main", True)]
    sections = [("Results", results_section(main, below, main == results))] if main else []
    sections += [("By group", groups)] if (groups := groups_section(results)) else []
    if main != results:
        for task in dict.fromkeys(row["task"] for row in results):
            rows = [row for row in results if row["task"] == task]
            sections.append((f"All numbers: {task}", results_section(rows, below, models=names_in(results))))
    sections += [(heading, table_section(rows)) for heading, rows in tables.items()]
    sections += [("Answers side by side", samples_section(samples))] if samples else []
    sections += [(f"Training: {name}", run_section(folder)) for name, folder in runs.items()]
    sections += [("How to get these numbers again", facts_section(facts))] if facts else []
    page, text = document(title, NOTICE, sections)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "report.html", page)
    write_text(out / "report.md", text)
