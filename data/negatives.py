"""
Wrong answers made from a knowledge graph: of the right type, false, and not too near the truth.
(Not here: how answers are worded and written to files, see prepare_graph.py; reading them, see facts.py.)

    wrong tail      what other heads have under the relation, of the same type, as often as they have it
                    (how common a tail is must not tell whether it is true); not joined to the head by any
                    fact, not worded like a true tail (Graph.near), not naming the head
    right           all true
    dropped         one of two or more missing: true, but partial
    invented        all true, and a wrong tail among them
    wrong_tail      a wrong tail instead of a true one
    negated         a true tail denied, the others stated
    other_head      what another head has, nothing of it near the truth

KINDS is the order of answers from best to worst.  A list of one member has neither `dropped` nor `negated`.
Where one answer denies a true tail, all others deny a wrong one: a denial tells nothing by itself.
"""
from typing import NamedTuple

KINDS = ("right", "dropped", "invented", "wrong_tail", "negated", "other_head")
TRIES = 12                                           # random draws for each wrong tail that is wanted


class Claim(NamedTuple):
    """An answer before it is worded: what it states, and what it denies."""
    kind: str
    tails: list
    denied: str


class Negatives:
    """One graph, its tails by relation and type.  All random numbers come from the rng that is passed in."""

    def __init__(self, graph):
        self.graph, self.types, self.pools, self.heads = graph, {}, {}, {}
        for fact in graph.facts():
            self.types[fact.head, fact.relation, fact.tail] = fact.tail_type
            self.pools.setdefault((fact.relation, fact.tail_type), []).append(fact.tail)
        for relation in graph.types():
            self.heads[relation] = graph.heads(relation)

    def wrong_tails(self, rng, head, relation, like, count):
        """Up to `count` wrong tails of the type that the true tail `like` has; none contains another."""
        pool, found = self.pools[relation, self.types[head, relation, like]], []
        names = [name.lower() for name in (head, *self.graph.aliases(head))]
        for _ in range(TRIES * count):
            tail = rng.choice(pool)
            if not (self.graph.near(head, relation, tail) or any(t in tail or tail in t for t in found)
                    or any(name in tail.lower() for name in names)):
                found.append(tail)
            if len(found) == count:
                break
        return found

    def other_tails(self, rng, head, relation):
        """The tails of another head, of four the list that is nearest in number; or nothing."""
        size, found = len(self.graph.tails(head, relation)), []
        for _ in range(2 * TRIES):
            tails = self.graph.tails(rng.choice(self.heads[relation]), relation)
            if not any(self.graph.near(head, relation, tail) for tail in tails):
                found.append(tails)
            if len(found) == 4:
                break
        return min(found, key=lambda tails: abs(len(tails) - size), default=())[:max(size, 1)]

    def claims(self, rng, head, relation):
        """The right answer and those of the other kinds that can be made, best first; alone if none can."""
        true = self.graph.tails(head, relation)
        right, index = list(true), rng.randrange(len(true))
        rest = right[:index] + right[index + 1:]
        wrong = [*self.wrong_tails(rng, head, relation, right[index], 3)]
        claims = [Claim("right", right, "")]
        if rest:
            claims.append(Claim("dropped", rest, ""))
        if len(wrong) == 3:
            place = rng.randrange(len(right) + 1)
            claims.append(Claim("invented", right[:place] + wrong[:1] + right[place:], ""))
            claims.append(Claim("wrong_tail", right[:index] + wrong[1:2] + right[index + 1:], ""))
        denies = len(wrong) == 3 and rest and rng.random() < 0.5
        if denies:
            claims.append(Claim("negated", rest, right[index]))
        if other := [tail for tail in self.other_tails(rng, head, relation) if tail not in wrong[2:]]:
            claims.append(Claim("other_head", other, ""))
        return [claim._replace(denied=claim.denied or wrong[2]) if denies else claim for claim in claims]

    def options(self, rng, head, relation):
        """(a true tail that does not name the head, three wrong ones), or nothing."""
        names = [name.lower() for name in (head, *self.graph.aliases(head))]
        true = [t for t in self.graph.tails(head, relation) if not any(name in t.lower() for name in names)]
        if true:
            tail = rng.choice(true)
            wrong = self.wrong_tails(rng, head, relation, tail, 3)
            if len(wrong) == 3:
                return tail, wrong
