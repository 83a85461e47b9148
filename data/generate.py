"""
The embedded default: from one graph and a seed, all data for the three stages and the evaluation.
(Not here: the wordings, see wordings.py; the graph, see knowledge_graph.py.)

    graph.tsv                the graph in the language of the run
    pretrain.txt             prose, one passage a line, and the only place where every fact appears
    train.jsonl valid.jsonl  five kinds of records: qa, kg, diagnosis, exam, dialogue
    preferences_*.jsonl      a question, six answers, best first: right, partial, other, evasive, repetitive;
                             and, behind one of the first three, that one again but padded
    prompts.jsonl            questions for PPO, without answers
    mix.jsonl                train.jsonl but for qa: what PPO, which asks nothing of it, shall not forget
    test_*.jsonl             dialogue, exam, diagnosis, qa

What is held out is chosen by a hash of the thing itself, not by the seed: no seed trains on another's test.
15 % of the (head, relation) pairs are never asked for outside the tests, 15 % of the facts are examined in
test_exam only, and 15 % of the sets of symptoms that a disease can come with belong to test patients.  Some
openings, exam questions and turns of patients are spoken in the tests only.

What RLHF is for here: the "qa" answers in train.jsonl are what forums are like.  30 % are complete, 20 % give
half of the facts (now and then a wrong one), half say "please see a doctor".  A model tuned on them imitates
all three, whatever it knows from the prose; the ranked answers say which kind people want.  Right, partial
and other answers share wordings, so a reward model must look at the facts; padded ones, which end in
sentences that say nothing, and repetitive ones, of true facts and wrong, show it what a policy likes to
exploit.  Were only right answers padded, padding would be a mark of what is right.
"""
import argparse
import itertools
import json
import re
from pathlib import Path

from data.knowledge_graph import RELATIONS, question_and_answer, read_graph, read_names, translate
from data.wordings import WORDS
from data.world import World, held_out, rounds

SAMPLE = Path(__file__).parent / "sample"
FEMALE = "月经|经期|阴道|孕|period|vagin|pregnan"          # findings that only some patients can have
MALE = ("前列腺|睾丸|勃起|射精|精液|早泄|男性|血友病"
        "|prostat|testic|erecti|ejaculat|in semen|male breast|hemophilia")
OLDER = ("阿尔茨海默|帕金森|前列腺增生|前列腺癌|绝经"
         "|alzheimer|parkinson|prostatic hyperplasia|prostate cancer|menopaus")


def messages(turns):
    return [{"role": "assistant" if i % 2 else "user", "content": turn} for i, turn in enumerate(turns)]


def record(task, turns, **meta):
    return {"source": "sample", "task": task, "messages": messages(turns), "meta": meta}


# ---- prose

def prose(world):
    """Every pair several times, tails in ever new order; then passages, inverse sentences, clues, groups."""
    graph, words, lines = world.graph, world.words, []
    for head, relation in world.train_pairs + world.test_pairs:
        tails = graph.tails(head, relation)
        for statement in rounds(world.rng, world.statements[relation], world.count(7)):
            lines.append(world.say([statement], h=head, t=world.shuffled(tails)))
    for head in graph.heads():
        known = [relation for relation in RELATIONS if graph.tails(head, relation)]
        for _ in range(world.count(2 * len(known))):
            told = [world.state(head, r, world.shuffled(graph.tails(head, r)))
                    for r in world.some(known, world.pick((2, 3)))]
            lines.append(("" if world.lang == "zh" else " ").join(told))
    for relation in RELATIONS:
        for tail, heads in graph.heads_by_tail(relation).items():
            heads = world.some(heads, 6)
            phrase = world.say([words.phrase[relation]], h=heads)
            inverse = (words.inverse[relation],) * 2 + words.inverse_phrase
            lines.append(world.say(inverse, t=tail, h=heads, p=phrase))
    for disease in world.diseases:
        for _ in range(world.count(12)):
            findings = world.some(graph.tails(disease, "symptom"), 2)
            findings += world.some(graph.tails(disease, "manifestation"), 1)
            lines.append(world.say(words.clue, h=disease, t=world.shuffled(findings)))
        lines += [member.format(h=disease, g=words.groups[graph.group(disease)]) for member in words.member]
        lines += [also.format(h=disease, x=name) for name in graph.aliases(disease) for also in words.also]
    for group, _ in itertools.product(words.groups, range(world.count(12))):
        diseases = world.some([d for d in world.diseases if graph.group(d) == group], 4)
        lines.append(world.say([words.members], g=words.groups[group], h=diseases))
    return world.shuffled(lines)


# ---- questions and answers

def kg_records(world, count):
    cases = [(head, relation, wording) for head, relation in world.train_pairs for wording in (0, 1)]
    for head, relation, wording in world.some(cases, count):
        turns = question_and_answer(world.graph, head, relation, world.lang, wording)
        yield record("kg", turns, head=head, relation=relation, tails=world.graph.tails(head, relation))


def forum_answer(world, head, relation):
    quality = world.rng.choices(("complete", "partial", "evasive"), (30, 20, 50))[0]
    if quality == "evasive":
        return world.pick(world.words.intro) + world.pick(world.words.evasive)
    tails = world.graph.tails(head, relation)
    if quality == "partial":
        half = world.some(tails, max(1, len(tails) // 2), ordered=True)
        slips = len(tails) == 1 or world.rng.random() < 0.4
        tails = half + world.wrong_tails(head, relation, 1) if slips else half
    return world.reply(head, relation, tails)


def qa_records(world, count, test=False):
    """A quarter of the test asks for pairs that no training question asks for; the rest, in new words."""
    unseen = count // 4 if test else 0
    pairs = rounds(world.rng, world.test_pairs, unseen) + rounds(world.rng, world.train_pairs, count - unseen)
    for head, relation in pairs:
        question, tails = world.question(head, relation, test), world.graph.tails(head, relation)
        answer = world.state(head, relation, tails) if test else forum_answer(world, head, relation)
        yield record("qa", (question, answer), head=head, relation=relation, tails=tails,
                     seen=(head, relation) in world.known)


def ranked_answers(world, head, relation):
    """[(kind, answer), ...], best first.  Right, partial and other share wordings, lengths, every order of
    tails."""
    graph, words = world.graph, world.words
    right = graph.tails(head, relation)
    kept = world.some(right, max(1, len(right) // 2))
    wrong = iter(world.wrong_tails(head, relation, max(1, len(right) - len(kept))))
    if len(right) > 1 and world.rng.random() < 0.5:                           # true, but half is missing
        partial = [tail for tail in right if tail in kept]
    else:
        partial = [tail if tail in kept else next(wrong) for tail in right] + list(wrong)   # one gets company
    others = [h for h in graph.heads(relation)
              if not any(graph.close(head, relation, tail) for tail in graph.tails(h, relation))]
    near = [h for h in others if graph.category(h) == graph.category(head)]   # harder to tell apart
    other = graph.tails(world.pick(near if near and world.rng.random() < 0.5 else others), relation)
    asides = [r for r in RELATIONS if r != relation and graph.tails(head, r)
              and not any(graph.close(head, relation, tail) for tail in graph.tails(head, r))]
    if asides and world.rng.random() < 0.3:                                   # true, but not asked for
        other = graph.tails(head, world.pick(asides))

    def say(tails):
        return world.reply(head, relation, world.shuffled(tails) if world.rng.random() < 0.5 else tails)
    named = {"right": right, "partial": partial, "other": other}
    answers = [(kind, say(tails)) for kind, tails in named.items()]
    place = world.rng.randrange(3)
    padded = say(named[answers[place][0]]) + "".join(world.some(words.filler, world.pick((2, 3, 4))))
    answers.insert(place + 1, ("padded", padded))
    evasive = world.pick(words.intro) + world.pick(words.evasive)
    said = world.pick((right, right, partial, other))
    tail = world.pick(said)
    again = world.rng.randint(2, 7)                                           # from a slip to an endless loop
    endless = [tail] * again
    endless = world.pick((endless, [*said[:2], *endless], [*said, *endless], [*said] * 2))
    repetitive = world.reply(head, relation, endless)
    if world.rng.random() < 0.5:                                              # cut off in the middle
        repetitive = repetitive[:repetitive.rindex(endless[-1]) + len(endless[-1])]
    return [*answers, ("evasive", evasive), ("repetitive", repetitive)]


def preferences(world, pairs, count):
    for head, relation in rounds(world.rng, pairs, count):
        question, ranked = world.question(head, relation), ranked_answers(world, head, relation)
        kinds, answers = zip(*ranked)
        meta = {"head": head, "relation": relation, "tails": world.graph.tails(head, relation)}
        yield {"messages": messages([question]), "answers": answers, "meta": {"kinds": kinds, **meta}}


# ---- patients

def sex_and_age(world, disease, findings):
    """Sex 0 is female, 1 male.  Nobody's findings contradict either."""
    text = " ".join([disease, *findings]).lower()
    female = world.graph.group(disease) == "gynecology" or re.search(FEMALE, text)
    sex = 0 if female else 1 if re.search(MALE, text) else world.rng.randrange(2)
    youngest, oldest = (50, 65) if re.search(OLDER, text) else (18, 45 if female else 75)
    return sex, world.rng.randint(youngest, oldest)


def diagnosis_records(world, count, test=False):
    words, graph = world.words, world.graph
    for disease in rounds(world.rng, world.diseases, count):
        symptoms = world.symptoms(disease, test)
        signs = world.some(graph.anonymous_tails(disease, "manifestation"), 2)
        tests = world.some(graph.anonymous_tails(disease, "examination"), world.pick((1, 2)))
        sex, age = sex_and_age(world, disease, symptoms + signs + tests)
        told = {"a": symptoms[:2], "b": symptoms[2:], "m": signs, "e": tests, "age": age,
                "sex": words.sexes[sex], "d": world.pick(words.durations)}
        fields = [world.say(wordings, **told) for wordings in words.record_fields]
        turns = words.record.format(*fields), words.diagnosis.format(h=disease)
        yield record("diagnosis", turns, label=disease, group=graph.group(disease),
                     aliases=graph.aliases(disease), symptoms=sorted(symptoms))


def dialogue_records(world, count, test=False):
    """The doctor recites examinations and one more relation; in training, never a test pair."""
    words, graph, known = world.words, world.graph, world.known
    tell, confirm, last = ((words.tell_test, words.confirm_test, words.next_test) if test
                           else (words.tell, words.confirm, words.next))
    allowed = {d: [r for r in last if test or {(d, r), (d, "examination")} <= known] for d in world.diseases}
    for disease in rounds(world.rng, [d for d in world.diseases if allowed[d]], count):
        symptoms, relation = world.symptoms(disease, test), world.pick(allowed[disease])
        told = {"a": symptoms[:-2], "b": symptoms[-2:], "d": world.pick(words.durations), "h": disease,
                "m": world.some(graph.anonymous_tails(disease, "manifestation"), 2),
                "e": graph.tails(disease, "examination"), "t": graph.tails(disease, relation)}
        wordings = (tell, words.enquire, confirm, words.likely, last[relation], world.statements[relation])
        yield record("dialogue", [world.say(turn, **told) for turn in wordings], head=disease,
                     relation=relation, tails=told["t"], symptoms=sorted(symptoms))


# ---- exams

def exam_records(world, count, test=False):
    """Four options, one of them true; a fact is asked for from its head or from its tail."""
    words, graph, known = world.words, world.graph, world.known
    facts = [f for r in RELATIONS for f in graph.facts(r)
             if held_out(15, "exam", f.head, r, f.tail) == test and (test or (f.head, r) in known)]
    letters = rounds(world.rng, "ABCD", count)
    for i, (letter, fact) in enumerate(zip(letters, rounds(world.rng, facts, count), strict=True)):
        new = test and i % 3 < 2                                 # two thirds in wordings that training lacks
        phrase = words.phrase[fact.relation]
        if world.rng.random() < 0.5:
            right, options = fact.tail, world.wrong_tails(fact.head, fact.relation, 3)
            stem = world.say(words.exam_test if new else words.exam, p=phrase.format(h=fact.head))
        else:
            heads = [h for h in graph.heads(fact.relation) if not graph.close(h, fact.relation, fact.tail)]
            right, options = fact.head, world.some(heads, 3)
            stem = world.say(words.inverse_test if new else words.exam_inverse, t=fact.tail,
                             p=phrase.format(h=words.which[fact.head_type]))
        options.insert("ABCD".index(letter), right)
        options = dict(zip("ABCD", options, strict=True))
        text = "\n".join([stem, *(f"{key}. {option}" for key, option in options.items())])
        yield record("exam", (text, words.exam_answer.format(text=right, letter=letter)), options=options,
                     answer=letter, category=graph.category(fact.head) or "pharmacology", head=fact.head,
                     relation=fact.relation, tail=fact.tail)


# ---- files

TASKS = {                                                            # train, valid, test
    "qa": (qa_records, 2500, 60, 240),
    "kg": (kg_records, 1500, 40, 0),                                 # fewer where the graph has fewer pairs
    "diagnosis": (diagnosis_records, 1400, 112, 336),
    "exam": (exam_records, 1600, 60, 350),
    "dialogue": (dialogue_records, 600, 28, 120)}


def all_records(world):
    """(file name, records) of every JSON-lines file."""
    train, valid, test = [], [], {}
    for task, (make, for_train, for_valid, for_test) in TASKS.items():
        records = list(make(world.stream(task), world.count(for_train) + world.count(for_valid)))
        train += records[:-world.count(for_valid)]
        valid += records[-world.count(for_valid):]
        if for_test:
            test[f"test_{task}"] = make(world.stream(f"test {task}"), world.count(for_test), test=True)
    train = world.stream("train").shuffled(train)
    yield "train", train
    yield "mix", [row for row in train if row["task"] != "qa"]
    yield "valid", world.stream("valid").shuffled(valid)
    asked = qa_records(world.stream("prompts"), world.count(1200))
    yield "prompts", [{**question, "messages": question["messages"][:1]} for question in asked]
    for part, count in (("train", 1000), ("valid", 200)):
        pairs = [pair for pair in world.train_pairs if held_out(12, "ranked", *pair) == (part == "valid")]
        ranked = preferences(world.stream(f"preferences {part}"), pairs, world.count(count))
        yield f"preferences_{part}", ranked
    yield from test.items()


def generate(out_dir, lang="zh", seed=0, scale=1.0):
    """Write all files, the same bytes for the same arguments; returns {file name: number of lines}."""
    if lang not in WORDS:
        raise ValueError(f"--lang {lang}: no such language; choose from {', '.join(WORDS)}")
    if not 0 < scale <= 2:
        raise ValueError(f"--scale {scale}: choose from above 0 up to 2; beyond, sets of symptoms run out")
    graph = read_graph(SAMPLE / "graph.tsv")
    if lang != "zh":
        graph = translate(graph, read_names(SAMPLE / "names.tsv"))
    world = World(graph, lang, seed, scale)
    files = {"graph.tsv": ["\t".join(fact) for fact in graph.facts()]}
    files["pretrain.txt"] = prose(world.stream("prose"))
    for name, records in all_records(world):
        numbered = ({"id": f"{name}-{i}", **fields} for i, fields in enumerate(records))
        files[f"{name}.jsonl"] = [json.dumps(fields, ensure_ascii=False) for fields in numbered]
    Path(out_dir).mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (Path(out_dir) / name).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return {name: len(lines) for name, lines in files.items()}


def main():
    parser = argparse.ArgumentParser(description="Write the embedded data set, from data/sample/graph.tsv.")
    parser.add_argument("--out", required=True, help="folder to write into")
    parser.add_argument("--lang", default="zh", help="language of all texts: " + ", ".join(WORDS))
    parser.add_argument("--seed", type=int, default=0, help="chooses wordings, not what is held out")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the counts of records, up to 2")
    args = parser.parse_args()
    try:
        for name, lines in generate(args.out, args.lang, args.seed, args.scale).items():
            print(f"{lines:7d}  {name}")
    except (ValueError, FileNotFoundError) as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
