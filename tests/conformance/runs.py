"""
The items that need data, files or a whole run.  (Not here: those of models, see pipelines.py.)

Runs are small and real: the adapter makes them, stops them and goes on.
"""

from tests import reference
from tests.conformance.interface import bits, item, raises, same
from tests.conformance.pipelines import tokens

TALK = [{"role": "user", "content": "my head hurts"}, {"role": "assistant", "content": "since when ?"},
        {"role": "user", "content": "since monday"}, {"role": "assistant", "content": "it is influenza ."}]
ITERATIONS = 6


# ---- data ------------------------------------------------------------------------------------------------

@item(30, "truncation drops the end token")
def item_30_truncation_drops_end(a):
    """A dialogue that is cut still ends with the end token; or nothing of it is learned."""
    whole, _ = a.truncated(TALK, 10_000)
    for max_len in (len(whole) - 1, len(whole) - 12):
        ids, scored = a.truncated(TALK, max_len)
        assert len(ids) <= max_len, f"{len(ids)} tokens at --max-len {max_len}"
        assert ids[-1] == a.end_id or not any(scored), \
            f"{max_len} of {len(whole)} tokens are kept, the last is {ids[-1]}, and {sum(scored)} are learned"


@item(32, "a prompt of several turns loses its history")
def item_32_history(a):
    text = a.prompt_text(TALK[:3], 10_000)
    places = [text.find(message["content"]) for message in TALK[:3]]
    assert -1 not in places and places == sorted(places), f"of three turns, {places.count(-1)} are missing"


@item(33, "stages render a dialogue differently")
def item_33_stages(a):
    stages = a.stages(TALK)
    first = next(iter(stages))
    for name, seen in stages.items():
        assert seen == stages[first], f"{name} begins {seen!r}, {first} {stages[first]!r}"
    return "in " + ", ".join(stages)


@item(34, "a loss mask without a one")
def item_34_empty_mask(a):
    """A record with nothing to learn is refused, with file and line."""
    good = {"messages": TALK}
    assert a.load("dialogues", [good]) == (1, 0)
    raises(lambda: a.load("dialogues", [good, {"messages": TALK[:1]}]), "a dialogue without an answer", ":2")


@item(35, "packed sequences see each other")
def item_35_packing_leak(a):
    """Each sequence's loss in a pack is that of it alone; another neighbour leaves it."""
    rows = [tokens(n, n) for n in (5, 9, 3)]
    alone = [a.losses([row])[0] for row in rows]
    same(a.losses(rows), alone, "losses in one pack", 1e-5)
    other = [tokens(5, 99), *rows[1:]]
    same(a.losses(other)[1:], alone[1:], "losses behind another neighbour", 1e-5)


@item(41, "prompts are cut on the wrong side")
def item_41_prompt_side(a):
    """The newest turn and the cue to answer are kept."""
    whole = a.prompt_text(TALK[:3], 10_000)
    cut = a.prompt_text([{"role": "user", "content": "it began long ago . " * 20}, *TALK[1:3]], 30)
    newest = whole[whole.index("since monday"):]
    assert len(newest) > len("since monday"), "the prompt has no cue to answer"
    assert cut.endswith(newest), f"the prompt ends {cut[-24:]!r}, not {newest!r}"


@item(42, "pairs of equal answers")
def item_42_ties(a):
    """Refused with file and line, or left out and counted; of K ranked answers, a tie makes no pair."""
    good = {"messages": TALK[:1], "answers": ["yes", "no"]}
    assert a.load("preferences", [good]) == (1, 0)
    for answers in (["x", "x"], ["x", "y", "x"]):
        try:
            kept = a.load("preferences", [good, {"messages": TALK[:1], "answers": answers}])
        except ValueError as error:
            assert ":2" in str(error), f"ranked answers {answers}: the error says {str(error)!r}"
        else:
            assert kept == (1, 1), f"ranked answers {answers}: {kept[0]} of 2 records are learned from"
    if a.has("ranking_loss"):
        expected = (reference.ranking_loss([2.0, 1.0]) + reference.ranking_loss([2.0, -1.0])) / 2
        same(a.ranking_loss([2.0, 1.0, -1.0], [1, 2, 2]), expected, "loss of three answers, two of them tied")


@item(43, "the reward model's accuracy is another number")
def item_43_accuracy(a):
    """3 > 1, 0 < 2, 5 > -1, 1 > 0.5: three pairs of four in order."""
    same(a.accuracy([[3.0, 1.0], [0.0, 2.0], [5.0, -1.0], [1.0, 0.5]]), 0.75, "accuracy of 3 of 4", 1e-6)


# ---- runs ------------------------------------------------------------------------------------------------

@item(38, "the reward normaliser goes stale, or moves")
def item_38_normaliser(a):
    """The reference's own answers score 0 with deviation 1; updates leave their scores, and so does loading
    the reward model again."""
    first, *later = a.normaliser()
    same(first.mean(), 0.0, "mean score of the reference's answers", 1e-3)
    same(first.std(correction=0), 1.0, "deviation of the reference's scores", 1e-3)
    for i, seen in enumerate(later):
        bits(seen, first, f"scores {i + 1} updates later" if i < len(later) - 1 else "scores as loaded again")


@item(39, "resuming changes the run")
def item_39_resume(a):
    """Killed after any of its iterations and continued: the same final weights, to the bit."""
    whole, _ = a.training(None)
    for until in range(1, ITERATIONS + 1):
        weights, _ = a.training(until)
        assert weights == whole, f"killed after iteration {until}: other final weights"


@item(40, "the schedule's steps are counted twice")
def item_40_schedule(a):
    """One trace of learning rates, with and without a stop, however a batch is cut into forward passes."""
    _, whole = a.training(None)
    each = len(whole) // ITERATIONS
    per_iteration = [set(whole[i * each:(i + 1) * each]) for i in range(ITERATIONS)]
    assert each * ITERATIONS == len(whole) and all(len(rates) == 1 for rates in per_iteration), \
        f"{len(whole)} optimizer steps, {list(map(len, per_iteration))} rates by iteration"
    for until, budget, what in ((3, None, "a stop"), (None, 60, "more forward passes")):
        _, rates = a.training(until, budget)
        assert rates == whole, f"with {what} there are {len(rates)} rates, the last {rates[-1]}"

