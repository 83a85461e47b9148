"""
A medical knowledge graph as a table of triples, and the paper's nine relations as questions and answers.
(Not here: how they are worded, see wordings.py; the patients and exams made from a graph, see generate.py.)

    graph.tsv     head <tab> head_type <tab> relation <tab> tail <tab> tail_type    one fact a line, no header
    names.tsv     Chinese name <tab> English name                                   every entity of the sample

The paper (cMedQA-KG): the head in the question, the list of tails in the answer, two wordings per relation.
`group` (the ward a disease belongs to) and `alias` (another name) are facts that no question is made of.
"""
import re
from pathlib import Path
from typing import NamedTuple

from data.wordings import WORDS

RELATIONS = ("symptom", "manifestation", "examination", "treatment", "complication", "related_disease",
             "main_use", "indication", "interaction")                        # six of diseases, three of drugs


class Triple(NamedTuple):
    head: str
    head_type: str
    relation: str
    tail: str
    tail_type: str


class Graph:
    """Facts by head and relation.  Heads, tails and facts keep the order of the file."""

    def __init__(self, triples):
        self._facts = tuple(dict.fromkeys(triples))                          # a fact stated twice is one fact
        self._by_relation, self._tails, self._linked = {}, {}, {}
        for fact in self._facts:
            self._by_relation.setdefault(fact.relation, []).append(fact)
            self._tails.setdefault((fact.head, fact.relation), []).append(fact.tail)
            self._linked.setdefault(fact.head, {fact.head}).add(fact.tail)
            self._linked.setdefault(fact.tail, {fact.tail}).add(fact.head)
        self._by_relation = {name: tuple(facts) for name, facts in self._by_relation.items()}
        self._tails = {pair: tuple(tails) for pair, tails in self._tails.items()}

    def facts(self, relation=None):
        return self._facts if relation is None else tuple(self._by_relation.get(relation, ()))

    def heads(self, relation=None):
        return tuple(dict.fromkeys(fact.head for fact in self.facts(relation)))

    def tails(self, head, relation):
        return tuple(self._tails.get((head, relation), ()))

    def tail_vocabulary(self, relation):
        """Every tail that some head has under this relation."""
        return {fact.tail for fact in self.facts(relation)}

    def heads_by_tail(self, relation):
        heads = {}
        for fact in self.facts(relation):
            heads.setdefault(fact.tail, []).append(fact.head)
        return heads

    def types(self, relation=None):
        """(head type, tail type) of one relation, or {relation: (head type, tail type)} of all."""
        types = {name: (facts[0].head_type, facts[0].tail_type) for name, facts in self._by_relation.items()}
        return types if relation is None else types[relation]

    def group(self, disease):
        return next(iter(self.tails(disease, "group")), "")

    def aliases(self, disease):
        return self.tails(disease, "alias")

    def category(self, head):
        """The group of a disease; of a drug, that of the first disease it is given for; or nothing."""
        groups = (self.group(disease) for disease in (head, *self.tails(head, "indication")))
        return next(filter(None, groups), "")

    def anonymous_tails(self, disease, relation):
        """The tails that do not give the name of the disease away."""
        names = "|".join(re.escape(name) for name in (disease, *self.aliases(disease)))
        named = re.compile(rf"(?<![A-Za-z])({names})(?![A-Za-z])", re.IGNORECASE)
        return tuple(tail for tail in self.tails(disease, relation) if not named.search(tail))

    def close(self, head, relation, tail):
        """True, or too near the truth for a wrong answer: joined by a fact, or worded like a tail."""
        linked = tail in self._linked.get(head, {head})
        return linked or any(tail in known or known in tail for known in self.tails(head, relation))

    def near(self, head, relation, tail):
        """Close, or of no other characters (English: words) than a true tail: 支持治疗, 支持性治疗."""
        parts = _parts(tail)
        return self.close(head, relation, tail) or any(
            parts <= _parts(known) or _parts(known) <= parts for known in self.tails(head, relation))


def _parts(name):
    return set(name.lower().split() if name.isascii() else name)


def read_table(path, columns):
    """Lines of tab-separated text with exactly `columns` filled cells, as (line number, cells)."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; data/README.md says where each graph comes from")
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; convert it with iconv") from None
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line.split("\t")]
        if line.strip() and len(cells) != columns:
            raise ValueError(f"{path}:{number}: {len(cells)} columns, not {columns}; put one tab between two")
        if line.strip() and not all(cells):
            raise ValueError(f"{path}:{number}: column {cells.index('') + 1} is empty; fill it or drop it")
        if "\0" in line:
            raise ValueError(f"{path}:{number}: a NUL byte; the file is damaged, make it anew")
        if line.strip():
            yield number, cells


def read_graph(path):
    """Relations beyond the nine are kept (other graphs have them); they just make no questions."""
    graph = Graph(Triple(*cells) for _, cells in read_table(path, 5))
    if not graph.facts():
        raise ValueError(f"{path}: no facts; one a line: head, head_type, relation, tail, tail_type")
    return graph


def read_names(path):
    names = {}
    for number, (chinese, english) in read_table(path, 2):
        if names.setdefault(chinese, english) != english:
            raise ValueError(f"{path}:{number}: {chinese} is {names[chinese]!r} further up; keep one name")
    return names


def translate(graph, names):
    """The graph in other words.  Group names are keys and stay; an alias that now equals its head goes."""
    terms = {fact.head for fact in graph.facts()} | {f.tail for f in graph.facts() if f.relation != "group"}
    if missing := sorted(terms - set(names)):
        raise ValueError(f"names.tsv: {len(missing)} terms without translation, the first: {missing[0]}")
    facts = (f._replace(head=names[f.head], tail=names.get(f.tail, f.tail)) for f in graph.facts())
    return Graph(fact for fact in facts if fact.head != fact.tail)


def join(terms, lang):
    if lang == "zh" or len(terms) < 2:
        return "、".join(terms)
    return ", ".join(terms[:-1]) + " and " + terms[-1]


def question_and_answer(graph, head, relation, lang="zh", wording=0):
    """One pair of cMedQA-KG: the head asked about, all its tails in the order of the graph."""
    question, answer = WORDS[lang].kg[relation][wording]
    return question.format(h=head), answer.format(h=head, t=join(graph.tails(head, relation), lang))
