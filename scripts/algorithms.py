"""
PPO beside its alternatives without a critic: the same SFT model, reward, prompts and number of rollouts.

    python scripts/algorithms.py [SEED]        after ./speedrun.sh; runs/algorithms/<name> each, a table, and
                                               docs/algorithms.svg: held-out reward and facts by KL

A run that has ended is not made again.  PPO and REINFORCE++ take an answer a prompt, RLOO and GRPO four.
"""

import json
import subprocess
import sys
from pathlib import Path

RUNS = {"PPO": "ppo --group 1", "REINFORCE++": "reinforce++ --group 1", "RLOO": "rloo --group 4",
        "GRPO": "grpo --group 4"}
COLOURS = dict(zip(RUNS, ("#1f62c7", "#2c8a57", "#cf5a1c", "#8a3fb0"), strict=True))
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 400, 260, 50, 40, 30


def looks(folder):
    """The rows of metrics.jsonl at which held-out prompts were looked at."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row for row in rows if "valid_reward" in row]


def panel(left, name, title, curves):
    """A plot of one held-out number by KL; curves: {algorithm: rows}."""
    points = {run: [(row["valid_kl"], row[name]) for row in rows] for run, rows in curves.items()}
    xs, ys = zip(*(point for line in points.values() for point in line), strict=True)

    def place(x, y):
        return (left + LEFT + (WIDTH - LEFT - 20) * (x - min(xs)) / (max(xs) - min(xs) or 1),
                HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (y - min(ys)) / (max(ys) - min(ys) or 1))
    yield f'<text x="{left + LEFT}" y="18" font-weight="bold">{title}</text>'
    for y in (min(ys), max(ys)):
        across, down = place(min(xs), y)
        yield f'<line x1="{across}" x2="{left + WIDTH - 20}" y1="{down}" y2="{down}" stroke="#dfe3ea"/>'
        yield f'<text x="{across - 6}" y="{down}" text-anchor="end">{y:.2f}</text>'
    for x, anchor in ((min(xs), "start"), (max(xs), "end")):
        yield f'<text x="{place(x, 0)[0]}" y="{HEIGHT - 22}" text-anchor="{anchor}">KL {x:.1f}</text>'
    for run, line in points.items():
        corners = [place(*point) for point in line]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in corners)
        yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[run]}" stroke-width="2"/>'
        yield from (f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{COLOURS[run]}"/>'
                    for across, down in corners)


def main(seed="0"):
    curves = {}
    for name, flags in RUNS.items():
        out = Path("runs/algorithms") / f"{name.lower()}-{seed}"
        if not (out / "done.json").is_file():
            subprocess.run([sys.executable, "train_ppo.py", "--init", "runs/speedrun/sft", "--reward",
                            "runs/speedrun/reward", "--seed", seed, "--out", str(out), "--overwrite",
                            "--algorithm", *flags.split()], check=True)
        curves[name] = looks(out)
    print("| algorithm | held-out reward | facts (F1) | KL, nats an answer | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for name, rows in curves.items():
        first, last = rows[0], rows[-1]
        print(f"| {name} | {first['valid_reward']:.2f} -> {last['valid_reward']:.2f} | "
              f"{first['valid_facts']:.2f} -> {last['valid_facts']:.2f} +- {last['valid_facts_error']:.2f} | "
              f"{last['valid_kl']:.2f} | {last['time']:.0f} |")
    parts = [f'<text x="{LEFT + 110 * i}" y="{HEIGHT - 4}" fill="{COLOURS[name]}">{name}</text>'
             for i, name in enumerate(RUNS)]
    parts += panel(0, "valid_reward", "Held-out reward", curves)
    parts += panel(WIDTH, "valid_facts", "Facts in held-out answers, F1", curves)
    Path("docs/algorithms.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" font-size="12" '
        'font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>'
        + "".join(parts) + "</svg>\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
