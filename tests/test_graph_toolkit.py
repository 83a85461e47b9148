"""Knowledge graphs: relations, wrong answers, the fact checker, and the data made of a graph."""
import json
import random
import re
import time
from collections import Counter

import pytest

from data import facts, prepare_graph
from data.facts import check_facts
from data.generate import SAMPLE
from data.knowledge_graph import RELATIONS, Graph, Triple, read_graph, read_names
from data.negatives import KINDS, Negatives
from data.relations import SAME, VALUES, templates

FLU = Graph(Triple(*row.split()) for row in """
流感 disease symptom 发热 symptom
流感 disease symptom 干性咳嗽 symptom
流感 disease complication 肺炎 disease
流感 disease cure_rate 约90% text
流感 disease alias 流行性感冒 alias
肺炎 disease symptom 胸痛 symptom
肺炎 disease symptom 咳嗽 symptom
肺炎 disease complication 脓胸 disease
肺炎 disease cure_rate 80% text
痛风 disease food_bad 啤酒 food
肺癌 disease food_bad 腌菜 food
青霉素 drug indication 肺炎 disease
青霉素 drug interaction 华法林 drug
红霉素 drug interaction 地高辛 drug""".strip().splitlines())

# The sentences by which the checker is measured: written by hand, none in its tables, none of these heads in
# the sample, and its rules were not fitted to them.  FACTS is the graph that they are said of.
HELD = {                                  # relation, sentence; "-": the sentence denies
    "zh": """
        symptom 您好，{h}的症状一般包括{t}，建议尽早就诊。
        symptom {h}是一种常见病，患者常表现为{t}。
        symptom 关于{h}的症状，临床上以{t}最为常见。
        -symptom {h}通常不会有{t}。
        examination {h}需要做的检查主要包括{t}，具体请听医生安排。
        examination 医生一般会通过{t}来判断是否为{h}。
        -examination {h}不需要做{t}。
        treatment 您好，{h}可以采用{t}进行治疗。
        treatment {h}的治疗原则是早发现早治疗，治疗方法有{t}。
        -treatment {h}的治疗并不包括{t}。
        complication {h}如果不治疗，可能并发{t}。
        complication {h}可能会引起的并发症有：{t}。
        department 您好，{h}建议挂{t}。
        food_bad {h}患者应避免食用{t}。
        food_good {h}患者宜吃的食物有{t}。
        drug {h}的治疗药物有{t}。
        indication {h}主要用于治疗{t}。
        interaction {h}与{t}之间存在相互作用。
        adverse_reaction 服用{h}可能会引起{t}等副作用。
        -adverse_reaction {h}的不良反应不包括{t}。""",
    "en": """
        symptom Hello, the symptoms of {h} usually include {t}. Please see a doctor.
        symptom The disease {h} is common, and patients often present with {t}.
        symptom With regard to {h}, the main symptoms are {t}.
        -symptom Usually {h} does not cause symptoms like {t}.
        examination The examinations needed for {h} mainly include {t}.
        examination Doctors usually diagnose {h} by {t}.
        -examination Patients with {h} do not need tests such as {t}.
        treatment Hello, {h} can be treated with {t}.
        treatment The goal is to relieve pain; treatments for {h} include {t}.
        -treatment The treatments for {h} do not include {t}.
        complication If left untreated, {h} may lead to {t}.
        complication Possible complications of {h} include: {t}.
        department For {h}, I suggest visiting the department of {t}.
        food_bad Patients with {h} should avoid foods like {t}.
        drug The medications for {h} include {t}.
        indication The drug {h} is mainly used to treat {t}.
        interaction There is an interaction between {h} and {t}.
        adverse_reaction Taking {h} may cause side effects such as {t}.
        -adverse_reaction The adverse reactions of {h} do not include {t}."""}
PARAPHRASED = {                           # without the words that templates and cues have for the relation
    "zh": """
        symptom      不少{h}的病人跟我诉说过{t}。
        symptom      最近总是{t}，后来才知道是{h}闹的。
        symptom      {h}一犯，{t}就跟着来。
        -symptom     {h}病人从来没有{t}。
        examination  医院给{h}的人开单子，无非是{t}。
        examination  {t}做完了，才能判断是不是{h}。
        treatment    对付{h}，靠的是{t}。
        treatment    有了{h}别慌，{t}就能好。
        complication {h}放着不管，早晚弄出{t}来。
        complication {h}最怕的就是再添上{t}。
        department   {h}归{t}管。
        food_bad     {h}的人碰不得{t}。
        drug         {h}的人家里常备{t}。
        indication   碰到{t}，大夫爱开{h}。
        interaction  {h}和{t}别凑在一起吃。
        adverse_reaction 吃了{h}，有人闹{t}。""",
    "en": """
        symptom      Plenty of people with {h} complain of {t}.
        symptom      Once {h} sets in, expect {t}.
        -symptom     Nobody with {h} ever gets {t}.
        examination  To be certain about {h}, order {t}.
        examination  What settles the question of {h} is {t}.
        treatment    Against {h}, what helps is {t}.
        treatment    People get over {h} thanks to {t}.
        complication Left alone, {h} ends in {t}.
        complication The real danger of {h} is {t}.
        department   Cases of {h} go to {t}.
        food_bad     Anyone with {h} must leave {t} off the plate.
        drug         For {h}, doctors hand out {t}.
        indication   Faced with {t}, doctors reach for {h}.
        interaction  Never swallow {h} alongside {t}.
        adverse_reaction Some who take {h} get {t}."""}
FACTS = {                                 # head|its type|relation|type of tails|tails
    "zh": """
        泪囊炎|disease|symptom|symptom|脓涕|面颊胀痛|嗅觉减退
        泪囊炎|disease|manifestation|manifestation|中鼻道积脓|鼻甲充血
        泪囊炎|disease|examination|examination|鼻内镜检查|鼻窦断层扫描
        泪囊炎|disease|treatment|treatment|鼻腔冲洗|窦口开放术
        泪囊炎|disease|complication|disease|眶周蜂窝织炎|海绵窦血栓
        泪囊炎|disease|department|department|耳鼻喉科
        泪囊炎|disease|food_bad|food|芥末|炸鸡
        泪囊炎|disease|food_good|food|雪梨|白萝卜
        泪囊炎|disease|drug|drug|糠酸莫米松喷雾|桉柠蒎胶囊
        泪囊炎|disease|alias|alias|漏睛疮
        毛囊炎|disease|symptom|symptom|银白鳞屑|皮损瘙痒|指甲凹点
        毛囊炎|disease|manifestation|manifestation|薄膜现象|点状出血
        毛囊炎|disease|examination|examination|皮肤镜检查|皮肤活检
        毛囊炎|disease|treatment|treatment|窄谱紫外线照射|润肤保湿
        毛囊炎|disease|complication|disease|银屑病性关节病|代谢综合症
        毛囊炎|disease|department|department|皮肤科
        毛囊炎|disease|food_bad|food|烈酒|螃蟹
        毛囊炎|disease|food_good|food|豆腐|西兰花
        毛囊炎|disease|drug|drug|卡泊三醇软膏|阿维A
        踝管综合征|disease|symptom|symptom|天旋地转|站立不稳
        踝管综合征|disease|manifestation|manifestation|自发眼震|甩头试验阳性
        踝管综合征|disease|examination|examination|前庭双温试验|听力测定
        踝管综合征|disease|treatment|treatment|前庭康复训练|卧床静养
        踝管综合征|disease|complication|disease|良性位置性眩晕|慢性失衡
        踝管综合征|disease|department|department|神经内科|眩晕门诊部
        踝管综合征|disease|food_bad|food|浓咖啡|腊肉
        踝管综合征|disease|food_good|food|菠菜|香蕉
        踝管综合征|disease|drug|drug|倍他司汀|地芬尼多
        左西替利嗪|drug|indication|disease|花粉症|慢性风团病
        左西替利嗪|drug|interaction|drug|酮康唑片|红霉素片
        左西替利嗪|drug|adverse_reaction|symptom|口干舌燥|倦怠嗜睡
        比索洛尔|drug|indication|disease|心绞痛|快速性心律失常
        比索洛尔|drug|interaction|drug|维拉帕米|可乐定
        比索洛尔|drug|adverse_reaction|symptom|心跳过慢|手脚冰凉
        瑞舒伐他汀|drug|indication|disease|高胆固醇血症|颈动脉斑块
        瑞舒伐他汀|drug|interaction|drug|吉非罗齐|胺碘酮
        瑞舒伐他汀|drug|adverse_reaction|symptom|肌肉酸痛|转氨酶升高""",
    "en": """
        dacryocystitis|disease|symptom|symptom|thick nasal discharge|facial pressure|reduced smell
        dacryocystitis|disease|manifestation|manifestation|pus in the middle meatus|swollen turbinates
        dacryocystitis|disease|examination|examination|nasal endoscopy|sinus CT
        dacryocystitis|disease|treatment|treatment|nasal rinsing|sinus surgery
        dacryocystitis|disease|complication|disease|orbital cellulitis|cavernous sinus thrombosis
        dacryocystitis|disease|department|department|otolaryngology
        dacryocystitis|disease|food_bad|food|mustard|fried chicken
        dacryocystitis|disease|drug|drug|mometasone spray|cineole capsules
        dacryocystitis|disease|alias|alias|tear sac infection
        folliculitis|disease|symptom|symptom|silvery scales|itchy plaques|nail pits
        folliculitis|disease|manifestation|manifestation|Auspitz sign|pinpoint bleeding
        folliculitis|disease|examination|examination|dermoscopy|skin biopsy
        folliculitis|disease|treatment|treatment|narrowband ultraviolet|emollients
        folliculitis|disease|complication|disease|psoriatic arthropathy|metabolic syndrome
        folliculitis|disease|department|department|dermatology
        folliculitis|disease|food_bad|food|spirits|crab
        folliculitis|disease|drug|drug|calcipotriol ointment|acitretin
        tarsal tunnel syndrome|disease|symptom|symptom|spinning sensation|unsteady gait
        tarsal tunnel syndrome|disease|manifestation|manifestation|spontaneous nystagmus|abnormal head impulse
        tarsal tunnel syndrome|disease|examination|examination|caloric testing|audiometry
        tarsal tunnel syndrome|disease|treatment|treatment|vestibular exercises|bed rest
        tarsal tunnel syndrome|disease|complication|disease|positional vertigo|chronic imbalance
        tarsal tunnel syndrome|disease|department|department|neurology|dizziness unit
        tarsal tunnel syndrome|disease|food_bad|food|espresso|bacon
        tarsal tunnel syndrome|disease|drug|drug|betahistine|diphenidol
        levocetirizine|drug|indication|disease|hay fever|chronic hives
        levocetirizine|drug|interaction|drug|ketoconazole|erythromycin
        levocetirizine|drug|adverse_reaction|symptom|dry mouth|drowsiness
        bisoprolol|drug|indication|disease|angina|rapid arrhythmia
        bisoprolol|drug|interaction|drug|verapamil|clonidine
        bisoprolol|drug|adverse_reaction|symptom|slow pulse|cold hands
        rosuvastatin|drug|indication|disease|high cholesterol|carotid plaque
        rosuvastatin|drug|interaction|drug|gemfibrozil|amiodarone
        rosuvastatin|drug|adverse_reaction|symptom|muscle soreness|raised liver enzymes"""}
INVENTED = {"zh": ("青紫晕点", "蓝鳞症", "回旋震颤法"),
            "en": ("violet specks", "spiral tremor", "frost crystals")}


def table(text):
    return [tuple(line.split(None, 1)) for line in text.split("\n") if line.strip()]


def held_graph(lang):
    rows = [line.strip().split("|") for line in FACTS[lang].strip().splitlines()]
    return Graph(Triple(*row[:3], tail, row[3]) for row in rows for tail in row[4:])


def listing(rng, tails, lang):
    """Joined by 、 or by ， and now and then by a word before the last; by commas and a word in English."""
    comma, words = ("、", ("、", "和", "以及")) if lang == "zh" else (", ", (" and ", " or ", ", and "))
    comma = "，" if lang == "zh" and rng.random() < 0.25 else comma
    return comma.join(tails[:-1]) + (rng.choice(words) if len(tails) > 1 else "") + tails[-1]


def sentences(lang, patterns, graph, per_pattern=12):
    """(text, the facts that it states): true tails, those of other heads, and invented ones."""
    rng = random.Random(0)
    for kind, pattern in table(patterns):
        relation, denied = kind.lstrip("-"), kind[0] == "-"
        for _ in range(per_pattern):
            head = rng.choice(graph.heads(relation))
            true, verdicts = list(graph.tails(head, relation)), {}
            wrong = [t for t in graph.tail_vocabulary(relation) if not graph.near(head, relation, t)]
            for tails, verdict, count in ((true, "supported", rng.randint(0, 2)),
                                          (sorted(wrong), "contradicted", rng.randint(0, 1)),
                                          (INVENTED[lang], "unknown", rng.random() < 0.3)):
                verdicts |= dict.fromkeys(rng.sample(tails, min(count, len(tails))), verdict)
            verdicts = verdicts or {true[0]: "supported"}
            told = rng.sample(list(verdicts), len(verdicts))
            name = rng.choice((head, *graph.aliases(head)))
            turned = {"supported": "contradicted", "contradicted": "supported"} if denied else {}
            expected = {(head, relation, tail, denied, turned.get(verdict, verdict))
                        for tail, verdict in verdicts.items()}
            yield pattern.format(h=name, t=listing(rng, told, lang)), expected


def precision_and_recall(lang, patterns, check=check_facts):
    graph, right, found, wanted = held_graph(lang), 0, 0, 0
    for text, expected in sentences(lang, patterns, graph):
        stated = {tuple(fact) for fact in check(text, graph)}
        right, found, wanted = right + len(stated & expected), found + len(stated), wanted + len(expected)
    return right / max(found, 1), right / wanted


def say(*rows):
    return [tuple(row.split()) for row in rows]


# ---- relations

@pytest.mark.parametrize("lang", ["zh", "en"])
def test_each_relation_has_wordings_of_its_own(lang):
    found = templates(lang)
    assert set(RELATIONS) < set(found) and len(found) - len(RELATIONS) >= 30
    for relation, template in found.items():
        assert len(template.pairs) >= (5 if relation in RELATIONS else 4) and template.cues
        assert "{h}" in template.phrase and "{t}" not in template.phrase
        for question, answer in template.pairs:
            assert question.count("{h}") == answer.count("{h}") == answer.count("{t}") == 1
            assert "{t}" not in question
            assert re.search(r"[？。]$" if lang == "zh" else r"[?.]$", question) and answer[-1] in "。."
            assert lang == "zh" or re.match("[A-Z]", question) and re.match("[A-Z]", answer)
            assert lang == "en" or not re.search("[a-z]", re.sub("{.}", "", question + answer))
    for texts in zip(*(pair for template in found.values() for pair in template.pairs), strict=True):
        assert max(Counter(texts).values()) == 1, "a wording of two relations"


def test_the_papers_wordings_come_first_and_other_names_lead_to_templates():
    assert templates("zh")["symptom"].pairs[:2] == (("{h}有哪些症状？", "{h}的症状有{t}。"),
                                                    ("列出{h}的常见症状。", "{h}的常见症状包括{t}。"))
    assert set(SAME.values()) | VALUES <= set(templates("en")) and not set(SAME) & set(templates("zh"))


# ---- the fact checker

@pytest.mark.parametrize(("text", "expected"), [
    ("流感的症状有发热、胸痛和紫舌。", say("流感 symptom 发热 supported", "流感 symptom 胸痛 contradicted",
                                          "流感 symptom 紫舌 unknown")),
    ("流行性感冒会出现发热，还有干性咳嗽。", say("流感 symptom 发热 supported",
                                                 "流感 symptom 干性咳嗽 supported")),
    ("流感的症状有咳嗽。", say("流感 symptom 咳嗽 unknown")),                  # too near 干性咳嗽
    ("发热、胸痛都是流感的症状。", say("流感 symptom 发热 supported", "流感 symptom 胸痛 contradicted")),
    ("流感没有胸痛。", say("流感 symptom 胸痛 supported")),                    # denied
    ("流感的症状不包括发热、干性咳嗽，但有胸痛。", say(
        "流感 symptom 发热 contradicted", "流感 symptom 干性咳嗽 contradicted",
        "流感 symptom 胸痛 contradicted")),
    ("流感的并发症有肺炎，肺炎的并发症是脓胸。", say("流感 complication 肺炎 supported",
                                                    "肺炎 complication 脓胸 supported")),
    ("流感很常见。它的症状有发热。并发症有脓胸。", say("流感 symptom 发热 supported",
                                                      "流感 complication 脓胸 contradicted")),
    ("登革热病的症状有发热。", say("登革热病 symptom 发热 unknown")),  # a head that no graph line names
    ("流感的症状有胸痛？如果流感出现胸痛，请就医。流感是否发热？", []),  # asked or supposed, not stated
    ("流感的治愈率是80%。", say("流感 cure_rate 80% unknown")),                # amounts exclude nothing
    ("痛风患者不要吃啤酒、腌菜。", say("痛风 food_bad 啤酒 supported", "痛风 food_bad 腌菜 contradicted")),
    ("青霉素不能与华法林、地高辛合用。", say("青霉素 interaction 华法林 supported",
                                            "青霉素 interaction 地高辛 contradicted")),
    ("肺炎可以用青霉素治疗。", say("青霉素 indication 肺炎 supported")),  # the graph has it the other way
    ("多喝水，注意休息。", []), ("", []), ("，。、！没有", []),
])
def test_what_a_text_states(text, expected):
    assert [(f.head, f.relation, f.tail, f.verdict) for f in check_facts(text, FLU)] == expected


@pytest.mark.parametrize(("text", "verdicts"), [
    ("泌尿系肿瘤的症状有无痛性血尿。", ["supported"]),    # no 有无, "whether": the longer name begins in it
    ("泌尿系肿瘤的症状有无血尿？", []), ("泌尿系肿瘤有无无痛性血尿，要问清。", [])])
def test_a_word_does_not_cut_a_longer_name(tmp_path, text, verdicts):
    (tmp_path / "graph.tsv").write_text("泌尿系肿瘤\tdisease\tsymptom\t无痛性血尿\tsymptom\n"
                                        "膀胱炎\tdisease\tsymptom\t血尿\tsymptom\n", encoding="utf-8")
    assert [fact.verdict for fact in check_facts(text, read_graph(tmp_path / "graph.tsv"))] == verdicts


def test_what_is_asked_is_read_where_the_text_does_not_say_it():
    assert check_facts("发热、胸痛。", FLU) == []
    stated = check_facts("发热、胸痛，没有干性咳嗽。", FLU, "流行性感冒", "symptom")
    assert [fact[:3] + fact[4:] for fact in stated] == say(
        "流感 symptom 发热 supported", "流感 symptom 胸痛 contradicted", "流感 symptom 干性咳嗽 contradicted")
    assert check_facts("肺炎、脓胸", FLU, "流感", "complication")[1].verdict == "contradicted"
    assert check_facts("会引起肺炎。", FLU, "流感") == [("流感", "complication", "肺炎", False, "supported")]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_checker_on_sentences_that_it_was_not_tuned_on(lang):
    sample = read_graph(SAMPLE / "graph.tsv")
    assert not set(held_graph("zh").heads()) & set(sample.heads())
    assert not set(held_graph("en").heads()) & set(read_names(SAMPLE / "names.tsv").values())
    own = {answer for template in templates(lang).values() for _, answer in template.pairs}
    assert not own & {sentence for _, sentence in table(HELD[lang] + PARAPHRASED[lang])}
    precision, recall = precision_and_recall(lang, HELD[lang])
    assert precision >= 0.95 and recall >= 0.9, f"precision {precision:.3f}, recall {recall:.3f}"
    precision, recall = precision_and_recall(lang, PARAPHRASED[lang])            # no cue at all: names alone
    assert precision >= 0.8 and recall >= 0.55, f"paraphrased: precision {precision:.3f}, recall {recall:.3f}"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_measure_has_teeth(lang, monkeypatch):
    def takes_all_for_true(text, graph):
        return {fact._replace(verdict="supported") for fact in check_facts(text, graph)}

    assert precision_and_recall(lang, HELD[lang], takes_all_for_true)[0] < 0.8
    monkeypatch.setattr(facts, "WORDS", facts.WORDS | {"D": "nothing", "V": "nothing"})
    facts.reader.cache_clear()
    assert precision_and_recall(lang, HELD[lang])[0] < 0.9
    facts.reader.cache_clear()


def test_long_and_strange_texts_take_no_time():
    start = time.perf_counter()
    for text in ("是" + "等等" * 9000, "没有" * 5000, "流感的症状有" + "发热，" * 4000, "a " * 9000,
                 "\0\ud800 İ" * 99):
        check_facts(text, FLU)
    assert time.perf_counter() - start < 10


# ---- wrong answers

def test_near_is_what_could_be_another_name_of_the_truth():
    true, near = ("支持性治疗", "Cold Pack"), ["支持治疗", "支持性治疗", "性治疗", "pack cold", "cold"]
    graph = Graph(Triple("痛风", "disease", "treatment", tail, "treatment") for tail in true)
    tails = (*near, "治疗术", "pack of ice", "理疗")
    assert [tail for tail in tails if graph.near("痛风", "treatment", tail)] == near


def samples():
    graph = read_graph(SAMPLE / "graph.tsv")
    negatives, rng = Negatives(graph), random.Random(5)
    return graph, negatives, rng, [(h, r) for r in RELATIONS for h in graph.heads(r)]


def test_claims_are_what_their_kind_says():
    graph, negatives, rng, pairs = samples()
    seen = Counter()
    for head, relation in pairs:
        true, claims = set(graph.tails(head, relation)), negatives.claims(rng, head, relation)
        kinds = [claim.kind for claim in claims]
        assert kinds == sorted(kinds, key=KINDS.index) and kinds[0] == "right"
        denies = "negated" in kinds
        for kind, tails, denied in claims:
            seen[kind] += 1
            said, wrong = set(tails), set(tails) - true
            assert len(said) == len(tails) and not any(graph.near(head, relation, tail) for tail in wrong)
            missing = len(true - said)
            assert (len(wrong), missing) == {
                "right": (0, 0), "dropped": (0, 1), "invented": (1, 0), "wrong_tail": (1, 1),
                "negated": (0, 1), "other_head": (len(said), len(true))}[kind], kind
            assert bool(denied) == denies and (denied in true) == (kind == "negated")
            assert denied not in said
            assert not denied or denied in true or not graph.near(head, relation, denied)
    assert set(seen) == set(KINDS)


def test_no_answer_is_known_by_its_length_and_no_option_by_length_or_place(tmp_path):
    for lang, names in (("zh", None), ("en", SAMPLE / "names.tsv")):
        made = prepare(tmp_path / lang, lang, names)
        lengths = {kind: [] for kind in KINDS}
        for record in made["kg_preferences_train"]:
            for kind, answer in zip(record["meta"]["kinds"], record["answers"], strict=True):
                lengths[kind].append(len(answer))
        mean = {kind: sum(found) / len(found) for kind, found in lengths.items()}
        wrong = [n for kind in KINDS[2:] for n in lengths[kind]]
        assert 0.9 < mean["right"] / (sum(wrong) / len(wrong)) < 1.1, mean
        assert 0.75 < mean["other_head"] / mean["right"] < 1.25, mean
        longest = Counter(max(options, key=lambda key: len(options[key])) == record["meta"]["answer"]
                          for record in made["kg_exam_train"] for options in [record["meta"]["options"]])
        assert 0.18 < longest[True] / longest.total() < 0.32, "a quarter, if length tells nothing"
        letters = Counter(record["meta"]["answer"] for record in made["kg_exam_train"])
        assert set(letters) == set("ABCD") and max(letters.values()) - min(letters.values()) <= 1


def test_exam_options_are_of_one_type_and_one_of_them_is_true(tmp_path):
    graph = read_graph(SAMPLE / "graph.tsv")
    for record in prepare(tmp_path)["kg_exam_train"]:
        meta = record["meta"]
        head, relation, true = meta["head"], meta["relation"], graph.tails(meta["head"], meta["relation"])
        assert [key for key, option in meta["options"].items() if option in true] == [meta["answer"]]
        wrong = set(meta["options"].values()) - set(true)
        assert len(wrong) == 3 and wrong <= graph.tail_vocabulary(relation)
        assert not any(graph.near(head, relation, option) for option in wrong)
        named = [name for name in (head, *graph.aliases(head)) if name in record["messages"][1]["content"]]
        letter, answer = meta["answer"], record["messages"][1]["content"]
        assert not named and answer == f"答案：{meta['options'][letter]}（{letter}）"


def test_the_checker_finds_the_corruption_of_each_kind(tmp_path):
    """Two modules that know nothing of each other: what one corrupts, the other calls contradicted."""
    graph, caught, asked = read_graph(SAMPLE / "graph.tsv"), Counter(), Counter()
    for record in prepare(tmp_path)["kg_preferences_train"]:
        meta = record["meta"]
        for kind, answer in zip(meta["kinds"], record["answers"], strict=True):
            verdicts = [fact.verdict for fact in check_facts(answer, graph, meta["head"], meta["relation"])]
            asked[kind] += 1
            caught[kind] += "contradicted" in verdicts
    shares = {kind: caught[kind] / asked[kind] for kind in KINDS}
    assert max(shares["right"], shares["dropped"]) < 0.03, shares
    assert min(shares[kind] for kind in KINDS[2:]) > 0.9, shares


# ---- the command

def prepare(out, lang="zh", names=None, graph=SAMPLE / "graph.tsv", seed=0):
    prepare_graph.prepare(graph, out, lang, names, seed)
    return {path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            for path in out.iterdir()}


def write_graph(path, *rows):
    path.write_text("".join("\t".join(row.split()) + "\n" for row in rows), encoding="utf-8")
    return path


SMALL = [f"病{i} disease symptom 症{i}{j} symptom" for i in range(40) for j in range(3)]


def test_no_heads_facts_are_in_two_sets_and_the_seed_does_not_move_them(tmp_path):
    made, again = prepare(tmp_path / "a"), prepare(tmp_path / "b", seed=1)
    for sets in made, again:
        heads = {split: {record["meta"]["head"] for name, records in sets.items() if name.endswith(split)
                         for record in records} for split in ("train", "valid", "test")}
        assert sum(map(len, heads.values())) == len(set().union(*heads.values())) == 167
        assert all(heads.values()) and len(heads["train"]) > 130
        assert heads == {split: {record["meta"]["head"] for record in made[f"kg_{split}"]} for split in heads}
    assert made != again and made == prepare(tmp_path / "c")


def test_aliases_keep_two_heads_of_one_disease_in_one_set():
    rows = [Triple(f"病{i}", "disease", "alias", f"病{i + 1}", "alias") for i in range(0, 40, 2)]
    rows += [Triple(f"病{i}", "disease", "symptom", "痛", "symptom") for i in range(40)]
    root = prepare_graph.families(Graph(rows))
    assert all(root[f"病{i}"] == root[f"病{i + 1}"] for i in range(0, 40, 2)) and len({*root.values()}) == 20


def test_questions_ask_by_aliases_that_name_one_thing_only(tmp_path):
    rows = [*SMALL, *(f"病{i} disease alias 别名{i} alias" for i in range(40)),
            *(f"病{i} disease alias 同名 alias" for i in (1, 2)), "病3 disease alias 病4 alias"]
    made = prepare(tmp_path / "out", graph=write_graph(tmp_path / "g.tsv", *rows))
    texts = " ".join(record["messages"][0]["content"] for records in made.values() for record in records)
    assert 15 < len(set(re.findall("别名[0-9]+", texts))) <= 40 and "同名" not in texts


def test_records_of_a_small_graph_by_hand(tmp_path):
    rows = [*SMALL, *(f"药{i} drug dosage_form 片{i} form" for i in range(9)), "病0 disease rating 5 number",
            *(f"病{i} disease get_prob 约{i}% text" for i in range(10)), "病2 disease symptom 病2 symptom",
            *(f"病5 disease symptom 痛{i} symptom" for i in range(20)),
            "病6 disease prevention 早睡。多动。 text"]
    graph = write_graph(tmp_path / "g.tsv", *rows)
    made = prepare(tmp_path / "out", graph=graph)
    records = [record for name in ("kg_train", "kg_valid", "kg_test") for record in made[name]]
    told = {(record["meta"]["head"], record["meta"]["relation"]): record["messages"][1]["content"]
            for record in records}
    assert len(records) == 2 * (40 + 9 + 10 + 1) and ("病0", "rating") not in told
    assert told["病1", "incidence"] in {answer.format(h="病1", t="约1%")               # get_prob
                                        for _, answer in templates("zh")["incidence"].pairs}
    assert told["病2", "symptom"].count("、") == 2                                       # itself is no tail
    assert told["病5", "symptom"].count("、") == 11 and "痛8等" in told["病5", "symptom"]  # 12 of 23
    assert told["病6", "prevention"] == "早睡。多动。"
    ranked = [(record["meta"]["head"], record["meta"]["relation"])
              for split in ("train", "valid") for record in made[f"kg_preferences_{split}"]]
    assert len(ranked) == len(set(ranked)) > 30
    assert not {("病5", "symptom"), ("病6", "prevention")} & set(ranked)
    assert not {"incidence"} & {relation for _, relation in ranked}, "amounts"
    assert "facts of unknown relations: rating 1" in prepare_graph.prepare(graph, tmp_path / "out")


@pytest.mark.parametrize(("content", "message"), [
    ("病\tdisease\tsymptom\t痛", "g.tsv:1: 4 columns, not 5"),
    ("病\tdisease\tsymptom\t\tsymptom", "column 4 is empty"),
    ("病\tdisease\tsymptom\t痛\0\tsymptom", "g.tsv:1: a NUL byte"),
    ("symptom\tdisease\t病\t痛\tsymptom", "g.tsv:1: no relation that relations.py has (found 病)"),
    ("disease\t病\tsymptom\t痛\tsymptom\n病\tdisease\tsymptom\t痛\tsymptom",
     "'disease' is a head and a type"),
    ("病\tdisease\tsymptom\t" + "痛" * 2000 + "\tsymptom", "no usable record ({'over 1500 characters': 2})"),
    ("", "no facts"), (b"\xff\xfe\x00", "not UTF-8")])
def test_a_damaged_graph_is_one_line_and_nothing_is_written(tmp_path, capsys, content, message):
    path = tmp_path / "g.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SystemExit) as stopped:
        prepare_graph.main([str(path), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and message in said and said.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_time_and_memory_grow_with_the_graph(tmp_path):
    times = []
    for size in (400, 1600):
        rows = [f"病{i} disease symptom 症{(i * 7 + j * 13) % size} symptom" for i in range(size)
                for j in range(6)]
        graph = write_graph(tmp_path / f"{size}.tsv", *rows)
        start = time.perf_counter()
        prepare(tmp_path / str(size), graph=graph)
        times.append(time.perf_counter() - start)
    assert times[1] < 10 * times[0] + 1, times       # four times the graph, not sixteen times the time
