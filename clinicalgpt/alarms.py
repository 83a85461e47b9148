"""
What a run of PPO does wrong, by name, from what it logs.
(Not here: mending it, see train_ppo.py, which also gives the alarm "ratio not 1", and stops.)

    kl negative        the mean sampled KL is below 0 by more than chance: answers are not drawn from the
                       distribution that is scored, so every gradient is off
    kl high            the policy says what the SFT model never would
    endless            most answers do not end within --max-new-tokens
    entropy gone       the policy says one thing only, and explores no more
    hacked             the held-out reward rises while the answers' facts fall: the reward is being fooled

Each looks at the rows of metrics.jsonl (a dict a step; what a row lacks is looked for in the rows before) and
answers with a sentence, or None.  Noise must set none off in thousands of steps, so each asks for more than a
single test would.
"""

import math
import statistics
from itertools import islice

WINDOW = 10


def last(rows, name, count=WINDOW):
    """The newest `count` numbers of this name."""
    return [*islice((row[name] for row in reversed(rows) if name in row), count)][::-1]


def kl_negative(rows):
    """Below 0 by 6 standard errors: 9 degrees of freedom give t < -6 once in 10,000 windows."""
    kl = [value for value in last(rows, "kl") if math.isfinite(value)]
    if len(kl) == WINDOW and statistics.mean(kl) < -6 * max(statistics.stdev(kl) / WINDOW**0.5, 0.01):
        return (f"KL to the reference is {statistics.mean(kl):.2f} nats an answer over {WINDOW} iterations, "
                "and a KL is never negative: sampling and scoring differ, by precision, temperature, or a "
                "cut distribution")


def kl_high(rows, limit):
    kl = last(rows, "kl", 1)
    if limit and kl and not kl[0] <= limit:                # nan is no small KL
        return f"KL to the reference is {kl[0]:.1f} nats an answer, not within --kl-limit {limit:g}"


def endless(rows):
    ended = last(rows, "ended", 3)
    if len(ended) == 3 and max(ended) < 0.5:
        return (f"{100 * (1 - ended[-1]):.0f} % of the answers do not end within --max-new-tokens: give more "
                "of them, or a higher --missing-end-penalty")


def entropy_gone(rows):
    entropy = last(rows, "entropy", len(rows))
    if len(entropy) > 3 and max(entropy[-3:]) < 0.1 * entropy[0]:
        return (f"the entropy of a token is {entropy[-1]:.3f} nats, from {entropy[0]:.3f} at the start: "
                "lower --lr or raise --kl")


def hacked(rows):
    """The best held-out facts so far against now: a fall beyond 3 standard errors, for the best of many looks
    is high by chance too."""
    names = ("valid_reward", "valid_facts", "valid_facts_error")
    seen = [row for row in rows if all(math.isfinite(row.get(name, math.nan)) for name in names)]
    if len(seen) < 2:
        return None
    best, now = max(seen, key=lambda row: row["valid_facts"]), seen[-1]
    error = (best["valid_facts_error"] ** 2 + now["valid_facts_error"] ** 2) ** 0.5
    fall, rise = best["valid_facts"] - now["valid_facts"], now["valid_reward"] - best["valid_reward"]
    if fall > 3 * error and rise > 0:
        return (f"since iteration {best['step']} the held-out reward rose by {rise:.2f}, while the facts in "
                f"the answers fell from {best['valid_facts']:.2f} to {now['valid_facts']:.2f}")


def alarms(rows, kl_limit=0.0):
    """{name: sentence} of what is wrong after the last row."""
    found = {"kl negative": kl_negative(rows), "kl high": kl_high(rows, kl_limit), "endless": endless(rows),
             "entropy gone": entropy_gone(rows), "hacked": hacked(rows)}
    return {name: sentence for name, sentence in found.items() if sentence}
