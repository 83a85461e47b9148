"""
The card of a built data set, card.md and card.html: what came in, what stayed, what was dropped and why.
(Not here: counting, see build.py.)  The page is one file without scripts, its plots are inline SVG; it has no
date, so the same inputs give the same bytes.  Texts of records are escaped on their way into both files.
"""
from html import escape

from clinicalgpt.report import document, markdown, markdown_table

BAR, NAME, NUMBER, ROW = 340, 120, 58, 20                    # of a plot of bars: widths, the height of a row
EDGES = (0, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400)    # of the histogram of characters
NOTICE = ("Nothing here is medical advice. The licences are those that the sources state: check them before "
          "you pass on the data, or a model trained on it.")
LICENCES = {
    "ai_hospital": "MIT", "agentclinic": "MIT", "ceval": "CC BY-NC-SA 4.0", "cmb_clin": "Apache-2.0",
    "cmedqa2": "\"available for non-commercial research\"; repository GPL-3.0",
    "cmexam": "Apache-2.0; README: academic use only", "cmmlu": "CC BY-NC-SA 4.0",
    "cmtmedqa": "repository Apache-2.0", "huatuo26m": "repository Apache-2.0",
    "huatuo_kgqa": "Apache-2.0; README: research only, no commercial use", "medicalgpt": "Apache-2.0",
    "medmcqa": "Apache-2.0", "medqa": "MIT", "mts_dialog": "CC BY 4.0", "sample": "of this project",
    "tcm_sd": "CC BY-NC-SA 4.0", "toyhom": "MIT", "xywy": "no licence file; README: not for commercial use"}


def bars(title, counts):
    """A figure: a bar for each name, its number beside it."""
    most, height = max(counts.values()), ROW * len(counts) + 4
    inside = []
    for i, (name, count) in enumerate(counts.items()):
        y, width = ROW * i + 4, max(1, (BAR - NAME - NUMBER) * count / most)
        label = escape(shortened(name, 20))
        inside.append(f'<text x="{NAME - 6}" y="{y + 11}" text-anchor="end">{label}</text>'
                      f'<path class="band" style="opacity:.7" d="M{NAME},{y}h{width:.1f}v14h-{width:.1f}z"/>'
                      f'<text x="{NAME + width + 5:.1f}" y="{y + 11}">{count:,}</text>')
    return (f'<figure class="one"><figcaption><b>{escape(title)}</b></figcaption>'
            f'<svg viewBox="0 0 {BAR} {height}" role="img" aria-label="{escape(title)}">'
            f'{"".join(inside)}</svg></figure>')


def shortened(text, most):
    return text if len(text) <= most else text[:most - 1] + "…"


def histogram(lengths):
    """{"100–199": records}; lengths are sorted."""
    names = [f"{low}–{high - 1}" for low, high in zip(EDGES, EDGES[1:])] + [f"{EDGES[-1]} and more"]
    at = [*lengths.searchsorted(EDGES).tolist(), len(lengths)]
    return {name: high - low for name, low, high in zip(names, at, at[1:]) if high > low}


def table(rows):
    """A page and Markdown; the first row is the heading."""
    rows = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    head, *body = ["".join(f"<t{kind}>{escape(cell)}</t{kind}>" for cell in row)
                   for kind, row in zip("h" + "d" * len(rows), rows)]
    lines = "".join(f"<tr>{line}</tr>" for line in (head, *body))
    return f'<div class="table"><table>{lines}</table></div>', markdown_table(rows)


def counted(title, counts):
    """A plot on the page, a table in Markdown."""
    if not counts:
        return "", ""
    return bars(title, counts), table([[title, "records"], *map(list, counts.items())])[1] + "\n"


def sources_section(counts, settings, licences):
    rows = [["source", "in", "dropped", "weight", "train", "valid", "tests", "preferences", "licence"]]
    for name, source in counts["sources"].items():
        out = source["out"]
        tests = sum(number for file, number in out.items() if file.startswith("test_"))
        ranked = out["preferences_train.jsonl"] + out["preferences_valid.jsonl"]
        rows.append([name, source["in"], source["dropped"].total(), f"{settings['weights'][name]:g}",
                     out["train.jsonl"], out["valid.jsonl"], tests, ranked,
                     licences.get(name, LICENCES.get(name, "not stated"))])
    sums = [sum(row[i] for row in rows[1:]) for i in (1, 2, 4, 5, 6, 7)]
    return table([*rows, ["all", *sums[:2], "", *sums[2:], ""]])


def plots_section(counts):
    lengths = counts["lengths"]
    figures = [counted("characters a record", histogram(lengths)), counted("language", counts["languages"]),
               counted("task", largest(counts["tasks"])),
               counted("disease group", largest({name: n for name, n in counts["groups"].items() if name}))]
    middle = [f"{part:g} %: {lengths[min(len(lengths) - 1, int(len(lengths) * part / 100))]:,}"
              for part in (5, 25, 50, 75, 95)] if len(lengths) else []
    said = f"Characters a record, each counted once: {', '.join(middle)}." if middle else "No record is left."
    page = f'<div class="plots">{"".join(figure for figure, _ in figures)}</div><p class="soft">{said}</p>'
    return page, "".join(text for _, text in figures) + said + "\n"


def largest(counts, most=15):
    """The most frequent first; what is over `most` names together, as the last."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(number for _, number in ranked[most:])
    return dict(ranked[:most]) | ({f"{len(ranked) - most} more": rest} if rest else {})


def dropped_section(counts):
    figure, _ = counted("dropped", largest(counts["dropped"]))
    names = [name for name, source in counts["sources"].items() if source["dropped"]]
    rows = [[reason, *(counts["sources"][name]["dropped"][reason] for name in names), number]
            for reason, number in largest(counts["dropped"], 99).items()]
    page, text = table([["reason", *names, "all"], *rows])
    return f'<div class="plots">{figure}</div><p class="soft">Each is in rejects.jsonl.</p>{page}', text


def repeats_section(counts):
    rows = [[source, other, reason, number] for source, other, reason, number in counts["repeats"]]
    return table([["record of", "collides with one of", "as", "records"], *rows[:60]])


def examples_section(examples):
    page, text = [], []
    for task, records in examples.items():
        for id, turns, most in records:
            turns = [(role, shortened(said, most)) for role, said in turns]
            said = "".join(f"<div><h4>{escape(role)}</h4><p>{escape(said)}</p></div>" for role, said in turns)
            page.append(f"<article><h3>{escape(task)}: {escape(id)}</h3>"
                        f'<div class="answers">{said}</div></article>')
            text += [f"### {markdown(task)}: {markdown(id)}\n", markdown_table([["who", "text"], *turns])]
    return "".join(page), "\n".join(text)


def card(counts, settings, licences=None, privacy=None):
    """{file name: text}.  counts: see build.count; settings: the flags and {"weights": {source: weight}}."""
    settings_rows = [[name, " ".join(value) if isinstance(value, tuple) else str(value)]
                     for name, value in settings.items() if name != "weights"]
    sections = [("Sources", sources_section(counts, settings, licences or {})),
                ("Files", table([["file", "records"], *map(list, counts["files"].items())])),
                ("What is in it", plots_section(counts))]
    if counts["dropped"]:
        sections.append(("Dropped", dropped_section(counts)))
    if counts["repeats"]:
        sections.append(("Copies and leaks between sources", repeats_section(counts)))
    if privacy:
        rows = [[source, kind, number] for source, kinds in sorted(privacy.items())
                for kind, number in sorted(kinds.items())]
        sections.append(("Replaced for privacy", table([["source", "kind", "hits"], *rows])))
    sections += [("Examples", examples_section(counts["examples"])),
                 ("Settings", table([["flag", "value"], *settings_rows]))]
    page, text = document("Data card", NOTICE, sections)
    return {"card.html": page, "card.md": text}
