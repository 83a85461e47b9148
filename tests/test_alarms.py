"""Alarms: each on a log made by hand that should set it off and on ones that should not; and on real runs of
PPO, after a planted bad reward and after a good one."""
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import train_ppo
import train_reward
import train_sft
from clinicalgpt.alarms import alarms
from clinicalgpt.files import write_jsonl
from clinicalgpt.tokenizer import load_tokenizer, train_sentencepiece
from tests.reference import tiny_model

NAN = math.nan
# What a run of 40 iterations of the embedded example logged, its reward a good one.
KL = [0.0, 0.0, -0.01, 0.02, 0.01, 0.03, 0.05, 0.12, 0.21, 0.34, 0.42, 0.61, 0.58, 0.74, 0.83, 0.79, 1.02,
      1.13, 0.98, 1.56, 1.01, 1.19, 1.17, 1.38, 1.93, 1.32, 1.99, 1.3, 1.4, 2.33, 2.04, 2.18, 1.81, 2.13,
      2.14, 2.55, 2.24, 2.23, 2.17, 2.09]
LOOKS = {1: (0.0, 0.18, 0.05), 12: (0.93, 0.41, 0.06), 24: (0.99, 0.47, 0.06), 30: (0.92, 0.34, 0.06),
         36: (1.02, 0.37, 0.05), 40: (1.02, 0.41, 0.05)}


def look(reward, facts, error=0.05):
    return {"valid_reward": reward, "valid_facts": facts, "valid_facts_error": error}


def log(**columns):
    """Rows of a log, from a list a column."""
    return [{"step": i + 1, **dict(zip(columns, row))} for i, row in enumerate(zip(*columns.values()))]


HEALTHY = [row | (look(*LOOKS[row["step"]]) if row["step"] in LOOKS else {}) for row in log(
    kl=KL, ended=[1.0] * 40, entropy=[0.50 - 0.001 * i for i in range(40)], first_ratio_gap=[1e-6] * 40)]
HACKED = [{"step": 1, **look(0.1, 0.18)}, {"step": 12, **look(1.0, 0.40)}, {"step": 24, **look(2.0, 0.10)}]


def test_a_healthy_run_is_silent():
    assert not any(alarms(HEALTHY[:n], 50.0) for n in range(41))


@pytest.mark.parametrize(("rows", "name", "words"), [
    (log(kl=[-0.5, -0.4, -0.6, -0.5, -0.5, -0.4, -0.6, -0.5, -0.5, -0.5]), "kl negative", "-0.50 nats"),
    (log(kl=[NAN, 3.0] + [-0.1] * 10), "kl negative", "-0.10 nats"),
    (log(kl=[1.0, 50.1]), "kl high", "50.1 nats an answer, not within --kl-limit 50"),
    (log(kl=[1.0, NAN]), "kl high", "nan"),
    (log(ended=[1.0, 0.4, 0.3, 0.2]), "endless", "80 %"),
    (log(entropy=[2.0, 1.0, 0.19, 0.15, 0.10]), "entropy gone", "0.100 nats, from 2.000"),
    (HACKED, "hacked", "since iteration 12 the held-out reward rose by 1.00, while the facts in the answers "
                       "fell from 0.40 to 0.10"),
    ([*HACKED[:2], {"step": 13, **look(NAN, NAN)}, {"step": 14, "kl": 1.0}, HACKED[2]], "hacked",
     "since iteration 12"),
])
def test_an_alarm_fires_alone(rows, name, words):
    found = alarms(rows, 50.0)
    assert list(found) == [name] and words in found[name] and "\n" not in found[name]


@pytest.mark.parametrize("rows", [
    [], [{"step": 1}], [{"step": 1, "time": 2.0}] * 50,
    log(kl=[-0.5] * 9),                                            # too few to tell
    log(kl=[-2.0, 1.5, -1.0, 1.2, -1.8, 0.9, -0.4, 0.2, -0.3, 0.1]),     # below 0 on average, by chance
    log(kl=[0.0] * 50), log(kl=[-0.5] * 10 + [0.5] * 10),          # what was is over
    log(kl=[NAN] * 3 + [1.0]), log(kl=[1.0] * 5 + [math.inf] * 2 + [1.0] * 5), log(ended=[0.1, 0.1]),
    log(ended=[0.4, 0.5, 0.4]), log(ended=[NAN] * 3), log(entropy=[2.0, 0.1, 2.0, 0.1]),
    log(entropy=[NAN, 0.1, 0.1, 0.1]), log(entropy=[2.0, 0.3, 0.3, 0.3]), HACKED[:1],
    [HACKED[1], {"step": 2, **look(2.0, 0.20)}],                   # 0.2 is less than 3 errors of 0.071
    [HACKED[1], {"step": 2, **look(0.9, 0.10)}],                   # the reward sees it, too
    [HACKED[1], {"step": 2, "valid_reward": 9.0}], [HACKED[1], {"step": 2, **look(9.0, 0.0, NAN)}],
    [{"step": 1, **look(9.0, NAN)}, {"step": 2, **look(9.5, 0.1)}],
])
def test_no_alarm(rows):
    assert alarms(rows, 50.0) == {}


def test_a_limit_of_0_is_no_limit():
    assert alarms(log(kl=[1e9])) == {} and list(alarms(log(kl=[2.0]), 1.0)) == ["kl high"]


# ---- real runs -------------------------------------------------------------------------------------------

SIGNS = {"flu": "fever chills", "asthma": "wheezing tightness", "gout": "swelling redness",
         "anemia": "pallor fatigue", "eczema": "itching scaling", "migraine": "nausea headache"}


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    """An SFT model that knows the signs of six diseases, and a reward model that knows next to nothing."""
    made = tmp_path_factory.mktemp("made")
    told, ranked, triples = [], [], []
    for disease, signs in SIGNS.items():
        right = f"{disease} is {signs.replace(' ', ' and ')} ."
        asked = {"role": "user", "content": f"what is {disease} ?"}
        meta = {"head": disease, "relation": "symptom", "tails": signs.split()}
        told.append({"messages": [asked, {"role": "assistant", "content": right}], "meta": meta})
        ranked.append({"messages": [asked], "answers": [right, "see a doctor ."], "meta": meta})
        triples += [f"{disease}\tdisease\tsymptom\t{sign}\tsymptom" for sign in signs.split()]
    (made / "graph.tsv").write_text("\n".join(triples) + "\n", encoding="utf-8")
    write_jsonl(made / "told.jsonl", told * 4)
    write_jsonl(made / "ranked.jsonl", ranked)
    text = [message["content"] for record in told for message in record["messages"]]
    train_sentencepiece([*text, "User:\nAssistant:\n"] * 4, made, 420, ["User:", "Assistant:"])
    tokenizer = load_tokenizer(made)
    tiny_model(4, 64, torch.float32, tokenizer.vocabulary).save(made / "base")
    tokenizer.save(made / "base")

    def config(Config, data, out, **flags):
        data = (f"{made}/{data}.jsonl",)
        return Config(data=data, valid=data, out=f"{made}/{out}", **flags, save_every=0, warmup_steps=2,
                      log_every=1000)
    train_sft.main(config(train_sft.SFTConfig, "told", "sft", base=f"{made}/base", steps=100, batch_size=12,
                          lr=5e-3, eval_every=1000, token_cache=""))
    train_reward.main(config(train_reward.RewardConfig, "ranked", "reward", init=f"{made}/sft", steps=2,
                             batch_size=6, lr=1e-3, lora_rank=4, samples=0))
    return config(train_ppo.PPOConfig, "told", "ppo", init=f"{made}/sft", reward=f"{made}/reward",
                  graph=f"{made}/graph.tsv", steps=14, batch_size=12, lr=3e-3, value_lr=1e-2, value_warmup=1,
                  minibatches=2, max_new_tokens=32, temperature=1.3, kl=0.0, kl_target=0.0, kl_limit=0.0,
                  missing_end_penalty=0.0, eval_every=2)


def result(cfg):
    """(alarms, looks at held-out prompts) of a run."""
    train_ppo.main(cfg)
    logs = [Path(cfg.out) / name for name in ("alarms.jsonl", "metrics.jsonl")]
    rang, rows = ([*map(json.loads, path.open())] if path.is_file() else [] for path in logs)
    return {row["alarm"]: row["why"] for row in rang}, [row for row in rows if "valid_facts" in row]


def test_a_planted_bad_reward_sets_off_the_alarm(configs, tmp_path):
    """Paid by the word: PPO will not start on it and, made to, says that the facts are being lost."""
    bad = replace(configs, rewards=("length=10",), steps=40, out=str(tmp_path))
    with pytest.raises(ValueError, match="the reward fails evasive, negated, other, padded, repeated") as it:
        train_ppo.main(bad)
    assert "\n" not in str(it.value)
    rang, looks = result(replace(bad, ignore_probes=True))
    assert re.search("the held-out reward rose by .*, while the facts in the answers fell", rang["hacked"])
    assert looks[-1]["valid_facts"] < 0.5 * looks[0]["valid_facts"]
    assert looks[-1]["valid_reward"] > looks[0]["valid_reward"]


def test_a_good_reward_sets_off_none(configs, tmp_path):
    """The same settings, paid by the fact, with a price on length: every probe is passed."""
    rang, looks = result(replace(configs, rewards=("facts=1", "length=-0.1"), out=str(tmp_path)))
    assert rang == {} and looks[-1]["valid_facts"] > 0.5 * looks[0]["valid_facts"]
