"""
A knowledge graph to training data: questions and answers, ranked answers, examination questions.
(Not here: the embedded sample's pipeline, see generate.py; wordings, see relations.py; wrong answers, see
negatives.py; graphs from releases, see data/README.md.)

    python -m data.prepare_graph GRAPH.tsv --out DIR [--lang zh|en] [--names names.tsv] [--seed 0]

    kg_train, _valid, _test         each pair of head and relation asked in two wordings, all tails told
    kg_preferences_train, _valid    {"messages", "answers": best first, "meta": {"kinds", ...}}
    kg_exam_train, _valid, _test    one right option, three wrong ones

GRAPH.tsv as in knowledge_graph.py, in the language of --lang, or translated by --names.  A head belongs to
one set, by the hash of its name: 90 % train, 5 % valid, 5 % test; so do heads that an alias joins.  A
question asks by an alias every third time, where the head has one that is no other name's.

    more tails than MOST     the first MOST are told, and 等 / "and others" at the end; not ranked
    a passage                a tail of over PASSAGE characters, or of several sentences, is an answer of its
                             own; such pairs are neither ranked nor examined
    an amount                (VALUES in relations.py) is neither ranked nor examined: several may be true
    PER_HEAD                 so many relations of a head, drawn by the seed, are ranked, and as many examined

A relation without a template makes no question: it is counted.  The same arguments give the same bytes.
"""
import argparse
import json
import os
import random
import re
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from data.knowledge_graph import Graph, join, read_graph, read_names, translate
from data.negatives import Negatives
from data.relations import SAME, VALUES, templates
from data.releases import digest, report_errors, split_of
from data.wordings import WORDS

MOST, PASSAGE, PER_HEAD, LONGEST = 12, 60, 4, 1500
SILENT = ("alias", "group")                          # facts that no question is made of, as in the sample
MORE = {"zh": "等", "en": ", and others"}
DENIAL = {"zh": "{t}不是{p}。", "en": " By contrast, {t} is not {p}."}
FILES = [f"kg_{name}" for name in ("train", "valid", "test", "preferences_train", "preferences_valid",
                                   "exam_train", "exam_valid", "exam_test")]
STOP = re.compile(r"[。！？!?；;]|\.\s")


def relabelled(graph):
    """The graph with the names of relations.py; a fact that joins a name to itself goes."""
    if not SAME.keys() & graph.types().keys() and all(f.head != f.tail for f in graph.facts()):
        return graph
    return Graph(f._replace(relation=SAME.get(f.relation, f.relation)) for f in graph.facts()
                 if f.head != f.tail)


def families(graph):
    """{head: the name that decides its set}: the first of those that aliases join, whatever their order."""
    parent = {}

    def root(name):
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for fact in graph.facts("alias"):
        first, second = sorted((root(fact.head), root(fact.tail)))
        parent[second] = first
    return {head: root(head) for head in graph.heads()}


def own_aliases(graph):
    """{head: aliases that are no other head's, and no name in the graph}."""
    owners = Counter(fact.tail for fact in graph.facts("alias"))
    names = {name for fact in graph.facts() if fact.relation != "alias" for name in (fact.head, fact.tail)}
    return {head: [alias for alias in graph.aliases(head) if owners[alias] == 1 and alias not in names]
            for head in graph.heads("alias")}


class Writer:
    """What is said of one graph in one language, and the random numbers of one seed."""

    def __init__(self, graph, lang, seed):
        self.graph, self.lang, self.templates, self.words = graph, lang, templates(lang), WORDS[lang]
        self.negatives, self.aliases, self.dropped = Negatives(graph), own_aliases(graph), Counter()
        self.seed, self.letters = seed, {}

    def name(self, rng, head):
        aliases = self.aliases.get(head)
        return rng.choice(aliases) if aliases and rng.random() < 1 / 3 else head

    def answer(self, rng, relation, name, tails):
        told = [tail.rstrip("。.；;") or tail for tail in tails[:MOST]]
        if any(self.passage(tail) for tail in told):
            return "\n".join(tails[:MOST])
        listed = "、".join(told) if self.lang == "zh" else join(told, "en")
        if len(tails) > MOST:
            listed = (listed if self.lang == "zh" else ", ".join(told)) + MORE[self.lang]
        return rng.choice(self.templates[relation].pairs)[1].format(h=name, t=listed)

    def passage(self, tail):
        return len(tail) > PASSAGE or STOP.search(tail.rstrip("。.；;")) is not None

    def questions(self, head, relation):
        rng, tails = random.Random(f"{self.seed}/qa/{head}/{relation}"), self.graph.tails(head, relation)
        for question, _ in rng.sample(self.templates[relation].pairs, 2):
            name = self.name(rng, head)
            asked, answer = question.format(h=name), self.answer(rng, relation, name, tails)
            if len(asked) + len(answer) > LONGEST:
                self.dropped[f"over {LONGEST} characters"] += 1
                continue
            yield {"id": f"kg-{digest(asked, answer)[:16]}", "source": "kg", "task": "kg",
                   "messages": messages(asked, answer),
                   "meta": {"head": head, "relation": relation, "tails": tails}}

    def ranked(self, head, relation):
        rng, template = random.Random(f"{self.seed}/ranked/{head}/{relation}"), self.templates[relation]
        name, answers = self.name(rng, head), []
        for claim in self.negatives.claims(rng, head, relation):
            tails = rng.sample(claim.tails, len(claim.tails))
            text = self.answer(rng, relation, name, tails)
            if claim.denied:
                text += DENIAL[self.lang].format(t=claim.denied, p=template.phrase.format(h=name))
            answers.append((claim.kind, text))
        if len(answers) < 2 or len({text for _, text in answers}) < len(answers):
            self.dropped["no wrong answer to rank"] += 1
            return
        kinds, texts = zip(*answers, strict=True)
        asked = rng.choice(template.pairs)[0].format(h=name)
        yield {"id": f"kg-{digest(asked, *texts)[:16]}", "source": "kg", "messages": messages(asked),
               "answers": texts, "meta": {"kinds": kinds, "head": head, "relation": relation,
                                          "tails": self.graph.tails(head, relation)}}

    def examined(self, head, relation, split):
        rng, words = random.Random(f"{self.seed}/exam/{head}/{relation}"), self.words
        found = self.negatives.options(rng, head, relation)
        if not found:
            self.dropped["no three wrong options"] += 1
            return
        right, options = found
        letter = self.letter(split)
        options.insert("ABCD".index(letter), right)
        options = dict(zip("ABCD", options, strict=True))
        stem = rng.choice(words.exam).format(p=self.templates[relation].phrase.format(h=head))
        text = "\n".join([stem, *(f"{key}. {option}" for key, option in options.items())])
        yield {"id": f"kg_exam-{digest(text)[:16]}", "source": "kg_exam", "task": "exam",
               "messages": messages(text, words.exam_answer.format(text=right, letter=letter)),
               "meta": {"options": options, "answer": letter, "category": relation, "head": head,
                        "relation": relation, "tail": right}}

    def letter(self, split):
        """Letters by fours in random order: each is right equally often."""
        drawn, left = self.letters.setdefault(split, (random.Random(f"{self.seed}/{split}"), []))
        if not left:
            left += drawn.sample("ABCD", 4)
        return left.pop()


def messages(*turns):
    return [{"role": "assistant" if i % 2 else "user", "content": turn} for i, turn in enumerate(turns)]


def records(writer):
    """(file, record) of all that the graph gives, head by head."""
    graph, root = writer.graph, families(writer.graph)
    relations = {}
    for fact in graph.facts():
        if fact.relation in writer.templates:
            relations.setdefault(fact.head, {})[fact.relation] = True
    for head, known in relations.items():
        split, rng = split_of(root[head]), random.Random(f"{writer.seed}/{head}")
        for relation in known:
            for record in writer.questions(head, relation):
                yield f"kg_{split}", record
        listed = [relation for relation in known if relation not in VALUES
                  and not any(writer.passage(tail) for tail in graph.tails(head, relation))]
        few = [r for r in listed if len(graph.tails(head, r)) <= MOST]
        for relation in rng.sample(few, min(PER_HEAD, len(few))) if split != "test" else ():
            for record in writer.ranked(head, relation):
                yield f"kg_preferences_{split}", record
        for relation in rng.sample(listed, min(PER_HEAD, len(listed))):
            for record in writer.examined(head, relation, split):
                yield f"kg_exam_{split}", record


def prepare(path, out, lang="zh", names=None, seed=0):
    """Write all files, each whole or not at all; returns the line of counts."""
    if lang not in WORDS:
        raise ValueError(f"--lang {lang}: no such language; choose from {', '.join(WORDS)}")
    graph = read_graph(path)
    graph = relabelled(translate(graph, read_names(names)) if names else graph)
    writer, counts = Writer(graph, lang, seed), Counter()
    unknown = Counter(f.relation for f in graph.facts() if f.relation not in (*writer.templates, *SILENT))
    if not set(graph.types()) & set(writer.templates):
        found = ", ".join(sorted(unknown)[:5])
        raise ValueError(f"{path}:1: no relation that relations.py has (found {found}); "
                         "the columns are head, head_type, relation, tail, tail_type")
    if mixed := {fact.head for fact in graph.facts()} & {fact.head_type for fact in graph.facts()}:
        raise ValueError(f"{path}:1: {min(mixed)!r} is a head and a type of heads; put the columns in order: "
                         "head, head_type, relation, tail, tail_type")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".partial-") as partial, ExitStack() as opened:
        files = {name: opened.enter_context(open(Path(partial, name), "w", encoding="utf-8", newline="\n"))
                 for name in FILES}
        for name, record in records(writer):
            files[name].write(json.dumps(record, ensure_ascii=False) + "\n")
            counts[name] += 1
        opened.pop_all().close()
        if not counts:
            raise ValueError(f"{path}:1: no usable record ({dict(writer.dropped)}); see relations.py")
        for name in FILES:
            if counts[name]:
                os.replace(Path(partial, name), out / f"{name}.jsonl")
            else:
                (out / f"{name}.jsonl").unlink(missing_ok=True)
    made = ", ".join(f"{name} {counts[name]}" for name in FILES)
    said = [", ".join(f"{reason} {count}" for reason, count in sorted(counter.items())) or "none"
            for counter in (unknown, writer.dropped)]
    return (f"{path}: {len(graph.facts())} facts, {len(graph.heads())} heads; {made}; "
            f"facts of unknown relations: {said[0]}; dropped: {said[1]}")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m data.prepare_graph",
                                     description="A knowledge graph to questions, ranked answers, exams.")
    parser.add_argument("graph", type=Path, help="graph.tsv: head, head_type, relation, tail, tail_type")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--lang", default="zh", help="language of the wordings: " + ", ".join(WORDS))
    parser.add_argument("--names", type=Path, help="names.tsv: translates the graph, name by name")
    parser.add_argument("--seed", type=int, default=0, help="chooses wordings and answers, not the sets")
    args = parser.parse_args(argv)
    report_errors(lambda: prepare(args.graph, args.out, args.lang, args.names, args.seed))


if __name__ == "__main__":
    main()
