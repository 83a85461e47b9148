"""The converters of knowledge graphs, on tiny releases written for these tests, sound and damaged."""
import importlib
import json
import lzma

import pytest

from data.knowledge_graph import read_graph
from data.triples import Facts, command


def convert(name, release, out):
    command(name, importlib.import_module(f"data.prepare_{name}").convert, [str(release), "--out", str(out)])


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def converted(tmp_path, capsys):
    """A function: name, {file: content} -> {(head, relation): tails}, the graph, and the line of counts."""
    def run(name, files):
        for file, content in files.items():
            put(tmp_path / name / file, content)
        convert(name, tmp_path / name, tmp_path / "out")
        graph = read_graph(tmp_path / "out/graph.tsv")
        found = {(fact.head, fact.relation): graph.tails(fact.head, fact.relation) for fact in graph.facts()}
        return found, graph, capsys.readouterr().out
    return run


def lines(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def check_refusals(Facts):
    facts = Facts()
    tails = ["发热", "发热", " 咳\t嗽，", "肺炎", "一周前受凉后出现...", "暂无相关资料", "IV", "无", "",
             "无特定的人群", "患者应卧床休息。多喝水", "长" * 41]
    facts.add("肺炎 ", "disease", "symptom", tails, "symptom")
    facts.add("小儿先天性...", "disease", "symptom", ["发热"], "symptom")
    assert list(facts.lines) == [f"肺炎\tdisease\tsymptom\t{tail}\tsymptom\n" for tail in ("发热", "咳 嗽")]
    assert facts.dropped == {"repeated": 1, "the head itself": 1, "cut short": 2, "no name": 5, "a text": 2}


def test_refusals():
    check_refusals(Facts)


def test_the_check_of_refusals_has_teeth():
    class TakesAll(Facts):
        def add(self, head, head_type, relation, tails, tail_type):
            for tail in tails:
                self.lines["\t".join((head.strip(), head_type, relation, tail, tail_type)) + "\n"] = None

    with pytest.raises(AssertionError):
        check_refusals(TakesAll)


XYWY = {"name": "百日咳", "desc": "由细菌所致。", "symptom": ["干咳", "低热"], "acompany": ["肺炎"],
        "check": ["血常规"], "cure_way": ["药物治疗、手术", "，支持治疗", "一般无需治疗"],
        "cure_department": ["儿科"], "common_drug": ["甲片"], "recommand_drug": ["乙片"], "do_eat": ["生菜"],
        "not_eat": ["带鱼"], "recommand_eat": ["排骨汤"],
        "get_way": "呼吸道传播", "easy_get": "多见于小儿，老人", "cured_prob": "98%"}


@pytest.mark.parametrize("file, pack", [("data/medical.json", str.encode),
                                        ("data/medical.json.xz", lambda text: lzma.compress(text.encode()))])
def test_xywy(converted, file, pack):
    found, graph, counts = converted("xywy", {file: pack(lines(XYWY, {"name": "痔", "symptom": ["便血"]}))})
    whooping = {"symptom": ("干咳", "低热"), "complication": ("肺炎",), "examination": ("血常规",),
                "treatment": ("药物治疗", "手术", "支持治疗"), "department": ("儿科",), "drug": ("甲片",),
                "food_good": ("生菜",), "food_bad": ("带鱼",), "recipe": ("排骨汤",),
                "transmission": ("呼吸道传播",), "susceptible_population": ("小儿", "老人")}
    assert found == {("百日咳", relation): tails for relation, tails in whooping.items()} | {
        ("痔", "symptom"): ("便血",)}
    assert graph.types("complication") == ("disease", "disease")
    assert "in 17, out 16 (" in counts and "dropped 1 (a text 1)" in counts


def test_39health(converted):
    rows = ["name,alias,part,age,infection,insurance,department,checklist,symptom,complication,treatment"
            ",drug",
            '肠炎,"肠病，泄泻",肠,小儿,无传染性,,内科  消化内科,血常规 B超 [详细],腹痛 发烧后突然... [详细],'
            "暂无相关资料,药物治疗、手术治疗 [详细],甲片 >> 应该如何用药？用什么药？ [详细]",
            "6个月-2年,,,儿童,无传染性,,以40~50 岁,省市医院,胸片,90%,甲片,咳嗽",
            " 冠状动脉异...,,,,,,外科,,胸痛,,,"]
    found, _, counts = converted("39health", {"data/disease.csv": "\n".join(rows).encode("gb18030")})
    assert found == {
        ("肠炎", "alias"): ("肠病", "泄泻"), ("肠炎", "body_part"): ("肠",), ("肠炎", "symptom"): ("腹痛",),
        ("肠炎", "department"): ("内科", "消化内科"), ("肠炎", "examination"): ("血常规", "B超"),
        ("肠炎", "treatment"): ("药物治疗", "手术治疗"), ("肠炎", "drug"): ("甲片",)}
    assert "a row whose cells slipped 1" in counts and "cut short 3, no name 1" in counts


TRIPLES = [("肺炎", "临床症状及体征", "发热"), ("肺炎", "并发症", "脓胸"), ("肺炎", "相关(导致)", "胸膜炎"),
           ("阿司匹林", "适应证", "头痛"), ("肺炎", "多发季节", "冬季")]


@pytest.mark.parametrize("separator, header", [("\t", ""), (",", "head,relation,tail\n")])
def test_cmekg_tables(converted, separator, header):
    text = header + "\n".join(separator.join(triple) for triple in TRIPLES)
    found, graph, _ = converted("cmekg", {"cmekg.txt": text})
    assert found == {("肺炎", "manifestation"): ("发热",), ("肺炎", "complication"): ("脓胸",),
                     ("肺炎", "related_disease"): ("胸膜炎",), ("阿司匹林", "indication"): ("头痛",),
                     ("肺炎", "多发季节"): ("冬季",)}
    assert graph.types("indication") == ("drug", "disease")
    assert graph.types("多发季节") == ("disease", "other")


def spo(predicate, object, object_type, head="肺炎"):
    return {"subject": head, "subject_type": "疾病", "predicate": predicate, "object": object,
            "object_type": object_type}


def test_cmeie(converted):
    one = {"text": "肺炎...", "spo_list": [spo("药物治疗", {"@value": "青霉素"}, {"@value": "药物"}),
                                         spo("临床表现", "咳嗽", "症状")]}
    found, graph, counts = converted("cmekg", {"CMeIE_train.jsonl": lines(one), "CMeIE_test.json": lines(
        {"text": "无答案"}, {"text": "痛风...", "spo_list": [spo("发病部位", "关节", "部位", "痛风")]})})
    assert found == {("痛风", "body_part"): ("关节",), ("肺炎", "drug"): ("青霉素",),
                     ("肺炎", "manifestation"): ("咳嗽",)}
    assert graph.types("manifestation") == ("disease", "symptom") and "text without answers 1" in counts


@pytest.mark.parametrize("name, file, content, fault", [
    ("xywy", "medical.json", lines(XYWY) + '{"name": "痔", "sym', ":2: the record here is not JSON"),
    ("xywy", "medical.json", lines(XYWY | {"symptom": [7]}), ":1: 'symptom' should be texts"),
    ("xywy", "medical.json", lines({"title": "痔"}), ":1: no text 'name' (found only title)"),
    ("xywy", "medical.json", '{"name": ' + "[" * 100_000, ":1: the record here is not JSON"),
    ("xywy", "medical.json", lines({"name": "痔"}).encode() + b"\0", ":2: a byte 0"),
    ("xywy", "medical.json.xz", lzma.compress(lines(XYWY).encode())[:-20], ":1: the archive cannot be read"),
    ("39health", "disease.csv", "name,alias\n肺炎\n", ":2: 1 cells, the header has 2"),
    ("39health", "disease.csv", "name,alias\n肺炎,甲\n", ":2: no text 'part'"),
    ("cmekg", "a.tsv", "肺炎\t并发症\t脓胸\n肺炎\t并发症\n", ":2: 2 cells, 0 empty, not head"),
    ("cmekg", "a.tsv", "肺炎\t并发症\t脓胸\n\t并发症\t脓胸\n", ":2: 3 cells, 1 empty"),
    ("cmekg", "a.csv", "并发症,肺炎,脓胸\n症状,肺炎,发热\n", ":1: relation '肺炎' and all others are"),
    ("cmekg", "a.csv", '肺炎,并发症,"脓胸\n', ":1: the row here is not CSV"),
    ("cmekg", "a.json", lines({"text": "x", "spo_list": ["y"]}), ":1: 'spo_list' should be objects"),
    ("cmekg", "a.json", lines({"text": "x", "spo_list": [spo("症状", {}, "症状")]}), ":1: no text '@value'"),
])
def test_damage_is_named_and_nothing_is_written(tmp_path, capsys, name, file, content, fault):
    put(tmp_path / "in" / file, content)
    with pytest.raises(SystemExit) as stop:
        convert(name, tmp_path / "in", tmp_path / "out")
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and not (tmp_path / "out").exists()
    assert error.startswith(f"{tmp_path}/in/{file}{fault}") and ";" in error, error


def test_a_release_without_a_usable_fact_is_an_error(tmp_path, capsys):
    put(tmp_path / "in/medical.json", lines({"name": "痔", "symptom": ["痔"]}))
    with pytest.raises(SystemExit):
        convert("xywy", tmp_path / "in", tmp_path / "out")
    assert "no fact in it ({'the head itself': 1})" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        convert("xywy", tmp_path / "none", tmp_path / "out")
    assert f"{tmp_path}/none: no such file or folder" in capsys.readouterr().err
