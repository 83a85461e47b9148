"""
Answers judged: which judges there are, and what they say of all models, a row a number.  (Not here: how a
judge decides, see judge.py; what many verdicts say together, verdicts.py; criteria, rubric.py.)

    facts         each answer's facts against the knowledge graph                  judge.GraphJudge
    all-facts     the same, and statements about other relations and heads         judge.FactsJudge
    reference     nearer to the record's own answer, by ROUGE-L                    judge.ReferenceJudge
    reward        the higher score of the reward model of --reward                 judge.ScoreJudge
    URL#MODEL     a model behind an endpoint, which also grades rubrics            judge.EndpointJudge

Every pair of models is judged once on each question, in both orders; the other model's row is its mirror.
"""
import itertools
import math

import torch

from clinicalgpt.answers import Failure
from clinicalgpt.dataset import Example, micro_batches, pack, reply_examples
from clinicalgpt.evaluation.rubric import EndpointGrader, grade
from clinicalgpt.evaluation.scores import cell
from clinicalgpt.evaluation.speakers import URL, open_endpoint
from clinicalgpt.evaluation.verdicts import agreement, length_controlled
from clinicalgpt.judge import (
    EndpointJudge,
    FactsJudge,
    GraphJudge,
    ReferenceJudge,
    ScoreJudge,
    judge_pairs,
)
from clinicalgpt.lora import adapter
from clinicalgpt.reward import last_token_score
from clinicalgpt.template import encode_dialogue, newest
from data.facts import check_facts

PEOPLE = ["judge", "agreement", "kappa", "compared", "without verdict", "not judged"]
MIRROR = {"win": "lose", "lose": "win"}
ASTRAY = ("unjudged", "unparsed", "failed")
BOTH = "pairwise, both orders; a win has to be confirmed in the other order, else a tie"


def open_judges(cfg, graph, cache):
    """{name: judge}; that of the reward model is filled in when there are answers to score.  ValueError for
    what cannot judge."""
    default = ["facts" if graph is not None else "reference", *(["reward"] if cfg.reward else [])]
    judges = {}
    for name in cfg.judge.split(",") if cfg.judge else default:
        if name in ("facts", "all-facts") and graph is None:
            raise ValueError(f"--judge {name}: needs a knowledge graph; give one with --graph")
        if name == "reward" and not cfg.reward:
            raise ValueError("--judge reward: needs a reward model; give its run with --reward")
        if URL.match(name):
            settings = {"max_tokens": cfg.judge_tokens, "seed": cfg.seed}
            judge = EndpointJudge(open_endpoint(name, settings, cache, cfg, cfg.judge_key, "judge"))
            name = name.partition("#")[2]
        elif name in ("facts", "all-facts", "reference", "reward"):
            judge = {"facts": lambda: GraphJudge(graph), "all-facts": lambda: FactsJudge(graph, check_facts),
                     "reference": ReferenceJudge, "reward": lambda: ScoreJudge({})}[name]()
        else:
            raise ValueError(f"--judge {name}: choose facts, all-facts, reference, reward or URL#MODEL")
        if name in judges:
            raise ValueError(f"--judge {cfg.judge}: two judges are called {name}; name each once")
        judges[name] = judge
    return judges


@torch.no_grad()
def reward_scores(reward, records, answers, cfg):
    """{(record id, answer): score} by a reward model as run.load_reward gives it.  Answers to one question
    are read together; no answer has no score."""
    model, name, head, tokenizer, template = reward
    keys, examples = [], []
    for r, record in enumerate(records):
        texts = list(dict.fromkeys(of[r] for of in answers.values() if not isinstance(of[r], Failure)))
        question = record["messages"][:-1]
        found = reply_examples(question, texts, tokenizer, template, cfg.max_len, record) if texts else []
        for i, text in enumerate(texts):
            whole = [*question, {"role": "assistant", "content": text}]
            ids = newest(encode_dialogue(tokenizer, template, whole)[0], cfg.max_len, template)
            keys.append((record["id"], text))
            examples.append(found[i] if found else Example(ids, [False] * len(ids), {}))
    scores = []
    with adapter(model, name):
        for part in micro_batches(examples, cfg.micro_batch_tokens):
            scores += last_token_score(model, head, pack(part, model.device)).tolist()
    if not all(map(math.isfinite, scores)):
        raise ValueError(f"{cfg.reward}: a score is no number; its weights are damaged")
    return dict(zip(keys, scores))


def judge_answers(judges, records, answers, labels, scores):
    """(rows, judgements, {heading: table}) of all judges over qa and rubrics; scores: the reward model's."""
    rows, judgements, tables = [], [], {}
    texts = {task: {name: of[task] for name, of in answers.items()} for task in records}
    for by, judge in judges.items() if "qa" in records else ():
        if isinstance(judge, ScoreJudge):
            judge.scores = scores
        found, lines, people = judge_all(by, judge, records["qa"], texts["qa"], labels)
        rows, judgements = rows + found, judgements + lines
        if people:
            raw, kappa = ("{:.3f} [{:.3f}, {:.3f}]".format(*people[name]) for name in ("raw", "kappa"))
            counts = people["compared"], people["without_verdict"], people["not_judged"]
            tables.setdefault("Judges and people", [PEOPLE]).append([by, raw, kappa, *counts])
    for by, judge in judges.items() if "rubric" in records else ():
        if isinstance(judge, EndpointJudge):
            found, lines = grade_all(by, judge, records["rubric"], texts["rubric"])
            rows, judgements = rows + found, judgements + lines
    return rows, judgements, tables


def mirrored(verdict):
    outcomes = [MIRROR.get(outcome, outcome) for outcome in verdict["outcomes"]]
    equal = [1 - x for x in verdict["equal"]]
    return verdict | {"win": verdict["lose"], "lose": verdict["win"], "win_rate": 1 - verdict["win_rate"],
                      "low": 1 - verdict["high"], "high": 1 - verdict["low"], "outcomes": outcomes,
                      "equal": [equal[0], equal[2], equal[1]]}


def judge_all(by, judge, records, answers, labels):
    """(rows, judgements, summary) of one judge over all pairs of models; labels: read_labels' or None."""
    verdicts, outcomes, judgements = {}, {}, []
    for a, b in itertools.combinations(answers, 2):
        verdict = judge_pairs(judge, records, answers[a], answers[b])
        verdict["equal"] = length_controlled(verdict["outcomes"], answers[a], answers[b])
        verdicts |= {(a, b): verdict, (b, a): mirrored(verdict)}
        outcomes |= {(record["id"], a, b): outcome for record, outcome in zip(records, verdict["outcomes"])}
        said = judge.said if isinstance(judge, EndpointJudge) else []
        orders = [(a, b)] * (len(said) // 2) + [(b, a)] * (len(said) // 2)
        judgements += [{"judge": by, "id": record["id"], "model_a": a, "model_b": b, "outcome": outcome}
                       for record, outcome in zip(records, verdict["outcomes"])]
        judgements += [{"judge": by, "model_a": first, "model_b": second, **reply}
                       for (first, second), reply in zip(orders, said)]
        if said and all(reply["verdict"] == "failed" for reply in said):
            raise ValueError(f"judge {by}: no judgement of {len(said)} came; the first: {said[0]['said']}")
        said.clear()
    rows = list(rows_of(f"qa judged by {by}", answers, verdicts))
    return rows, judgements, agreement(labels, outcomes) if labels is not None else None


def rows_of(task, models, verdicts):
    """win / tie / lose against each model; in the main table, against those before the last."""
    for opponent in models if len(models) > 1 else ():
        against = {name: verdicts[name, opponent] for name in models if name != opponent}

        def row(metric, cells, note, main=False, opponent=opponent):
            return {"task": task, "metric": f"{metric} against {opponent}", "models": cells, "note": note,
                    "main": main, "best": None}
        last = opponent == list(models)[-1]            # these are mirrors, all of them
        yield row("win / tie / lose", {name: cell(f"{v['win']} / {v['tie']} / {v['lose']}")
                                       for name, v in against.items()}, BOTH, not last)
        yield row("win rate", {name: cell(v["win_rate"], v["low"], v["high"]) for name, v in against.items()},
                  f"(win + tie / 2) / judged; {BOTH} | bootstrap over questions", not last)
        if last:
            continue
        yield row("win rate at equal length", {name: cell(*v["equal"]) for name, v in against.items()},
                  "the win rate where both answers are equally long: verdicts.py | bootstrap over questions")
        yield row("order flips", {name: cell(v["flip_rate"]) for name, v in against.items()},
                  "share of judged pairs whose verdict the order changed")
        yield row(" / ".join(ASTRAY), {name: cell(" / ".join(str(v[kind]) for kind in ASTRAY))
                                       for name, v in against.items()},
                  "pairs without two verdicts: the judge does not know the question; gave none; or it, or a "
                  "model, did not answer. No part of any rate")


def grade_all(by, judge, records, answers):
    """(rows, judgements) of rubrics by one endpoint judge."""
    rows, found = {}, {name: grade(EndpointGrader(judge.model), records, of) for name, of in answers.items()}
    for name, graded in found.items():
        if not graded["scored"]:
            raise ValueError(f"judge {by}: graded no answer of {name}; {graded['failed']} judgements failed")
        tags = {f"- {tag} ({count})": (value, deviation)
                for tag, (value, deviation, count) in graded["tags"].items()}
        for metric, (value, deviation) in ({"score": (graded["score"], graded["deviation"])} | tags).items():
            low, high = (min(max(value + z * deviation, 0), 1) for z in (-1.96, 1.96))
            rows.setdefault(metric, {})[name] = cell(value, low, high)
        rows.setdefault("unscored", {})[name] = cell(str(graded["unscored"]))
    note = "points met over positive points, clipped to [0, 1] after the mean | 1.96 bootstrap deviations"
    notes = {"unscored": "examples without an answer or with a judgement that failed; no part of any score"}
    lines = [{"judge": by, "id": record["id"], "model": name, "score": value}
             for name, graded in found.items() for record, value in zip(records, graded["examples"])]
    rows = [{"task": f"rubric judged by {by}", "metric": metric, "models": cells, "best": None,
             "note": notes.get(metric, note), "main": metric == "score"} for metric, cells in rows.items()]
    return rows, lines
