"""
What the generators share: the graph, the words to speak of it, random numbers, and what is used up.
(Not here: which records are made of it, see generate.py.)
"""
import copy
import hashlib
import itertools
import random

from data.knowledge_graph import RELATIONS, join
from data.wordings import WORDS


def held_out(percent, *key):
    """True for a fixed share of all keys."""
    digest = hashlib.sha256("\t".join(key).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < percent


def rounds(rng, items, count):
    """`count` items in random order; how often each is chosen differs by one at most."""
    times = -(-count // len(items))
    return [item for _ in range(times) for item in rng.sample(items, len(items))][:count]


class World:
    """A graph, the words to speak of it, random numbers, and what is used up: questions, sets of symptoms."""

    def __init__(self, graph, lang, seed, scale):
        self.graph, self.lang, self.words, self.seed, self.scale = graph, lang, WORDS[lang], seed, scale
        self.statements = {r: tuple(answer for _, answer in self.words.kg[r]) + self.words.statement[r]
                           for r in RELATIONS}
        pairs = [(head, relation) for relation in RELATIONS for head in graph.heads(relation)]
        self.test_pairs = [pair for pair in pairs if held_out(15, "pair", *pair)]
        self.train_pairs = [pair for pair in pairs if pair not in self.test_pairs]
        self.known, self.diseases = set(self.train_pairs), graph.heads("group")
        self.asked = set()
        self.symptom_sets = {(disease, test): self.stream(f"{disease}/{test}").sets_of_symptoms(disease, test)
                             for disease in self.diseases for test in (True, False)}

    def stream(self, name):
        """The same world with random numbers of its own: a change in one file leaves the others alone."""
        world = copy.copy(self)
        world.rng = random.Random(f"{self.seed}/{name}")
        return world

    def count(self, number):
        return max(1, round(number * self.scale))

    def pick(self, choices):
        return self.rng.choice(choices)

    def some(self, items, count, ordered=False):
        """A random sample, in random order or in the order of the items."""
        chosen = self.rng.sample(range(len(items)), min(count, len(items)))
        return [items[i] for i in (sorted(chosen) if ordered else chosen)]

    def shuffled(self, items):
        return self.some(items, len(items))

    def say(self, wordings, **places):
        """One of the wordings, its places filled; lists are joined."""
        for key, filling in places.items():
            places[key] = join(filling, self.lang) if isinstance(filling, (list, tuple)) else filling
        return self.pick(wordings).format(**places)

    def sets_of_symptoms(self, disease, test):
        symptoms = self.graph.anonymous_tails(disease, "symptom")
        sets = (s for size in (4, 5) for s in itertools.combinations(symptoms, size))
        return self.shuffled([s for s in sets if held_out(15, "symptoms", disease, *s) == test])

    def symptoms(self, disease, test):
        """4 or 5 symptoms that no other record of this disease shows together."""
        return self.shuffled(self.symptom_sets[disease, test].pop())

    def wrong_tails(self, head, relation, count):
        """Tails of other heads, in proportion to how common they are: that is no clue to the truth."""
        tails = self.shuffled([fact.tail for fact in self.graph.facts(relation)])
        return list(dict.fromkeys(t for t in tails if not self.graph.close(head, relation, t)))[:count]

    def question(self, head, relation, test=False):
        """How a patient asks; no text is used twice in all files together."""
        openings = self.words.opening_test if test else self.words.opening
        questions = [o + ask.format(h=head) for o in openings for ask in self.words.ask[relation]]
        question = self.pick([q for q in questions if q not in self.asked])
        self.asked.add(question)
        return question

    def state(self, head, relation, tails):
        return self.say(self.statements[relation], h=head, t=tails)

    def reply(self, head, relation, tails):
        answer = self.state(head, relation, tails)
        return self.pick(self.words.intro) + answer + self.pick(self.words.advice)
