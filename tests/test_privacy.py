"""De-identification: what is found, what is left alone, what stands in its place, and how fast."""
import contextlib
import importlib
import json
import re
import time
from collections import Counter

import pytest

from data import privacy, privacy_rules
from data.privacy import deidentify, deidentify_all, deidentify_record, find_all, luhn
from data.releases import Sets, command
from tests.privacy_cases import DECOYS, POOLS, TEMPLATES, cases
from tests.privacy_notes import notes


def measure(texts):
    """Recall and precision over all parts, and a table by kind.  A part is found if each letter and digit
    of it is replaced; a replacement is right if each that it takes away belongs to a part."""
    parts, found, made, right = Counter(), Counter(), Counter(), Counter()
    for text, private in texts:
        spans, = find_all([text])
        taken = {place for start, end, *_ in spans for place in range(start, end)}
        hidden = {place for start, end, _ in private for place in range(start, end)}
        for start, end, kind in private:
            parts[kind] += 1
            found[kind] += all(place in taken for place in range(start, end) if text[place].isalnum())
        for start, end, kind, _ in spans:
            made[kind] += 1
            right[kind] += all(place in hidden for place in range(start, end) if text[place].isalnum())
    table = "".join(f"\n{kind:9} {parts[kind]:5} found {found[kind] / max(parts[kind], 1):.3f}   "
                    f"made {made[kind]:5} right {right[kind] / max(made[kind], 1):.3f}"
                    for kind in sorted(parts | made))
    return found.total() / parts.total(), right.total() / made.total(), table


@pytest.mark.parametrize("language, count", [("zh", 2000), ("en", 1000)])
def test_recall_and_precision_on_texts_apart_from_those_tuned_on(language, count):
    recall, precision, table = measure(cases(language, "test", count))
    assert recall >= 0.99 and precision >= 0.95, table


def named(pool):
    return [(text, [(*place, "name") for place in names]) for text, names in notes(pool, 700)]


@pytest.mark.parametrize("pool", ["first", "second"])
def test_names_that_no_known_word_marks(pool, monkeypatch):
    recall, precision, table = measure(named(pool))
    assert recall >= 0.965 and precision >= 0.92, table
    monkeypatch.setattr(privacy, "likely_names", lambda text, spans: [])
    assert measure(named(pool))[0] < 0.5, "the odds change nothing"


def test_published_texts_are_searched_by_rules_alone(tmp_path):
    text, asked = "昨天李建国查的CT，早饭前吃了金毓婷", [{"role": "user", "content": "金毓婷一天几片？"}]
    assert deidentify_all([text], private=False) == ([text], {})
    assert deidentify(text)[1]["name"] and "李建国" not in deidentify(text)[0]
    record = {"id": "1", "task": "qa", "messages": asked}
    assert deidentify_record(record, private=False)[0] == record
    own = {"instruction": text, "output": "是", "messages": asked, "answers": ["是", "否"],
           "diagnosis": "肺炎",
           "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "是"}]}
    (tmp_path / "own.jsonl").write_text(json.dumps(own), encoding="utf-8")
    for source in ("records", "alpaca", "messages", "sharegpt", "ranked", "huatuo26m"):
        sets = Sets("x")
        with contextlib.suppress(ValueError):
            importlib.import_module(f"data.prepare_{source}").convert(tmp_path / "own.jsonl", sets)
        assert sets.private == (source != "huatuo26m")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_pools_are_apart(language):
    tune, test = POOLS[language, "tune"], POOLS[language, "test"]
    assert not set(TEMPLATES[language, "tune"]) & set(TEMPLATES[language, "test"])
    assert not any(set(tune[key]) & set(test[key])
                   for key in ("given", "street", "town", "district", "hospital") if key in tune)


@pytest.mark.parametrize("kind", ["name", "date", "phone", "number", "hospital", "address", "id"])
def test_the_measure_has_teeth(kind, monkeypatch):
    monkeypatch.setattr(privacy_rules, "RULES", [rule for rule in privacy_rules.RULES if rule[0] != kind])
    assert measure(cases("zh", "test", 300))[0] < 0.99
    greedy = ("name", re.compile("高"), re.compile("高.")), *privacy_rules.RULES
    monkeypatch.setattr(privacy_rules, "RULES", greedy)
    assert measure([("高热不退", [])] * 9 + cases("zh", "test", 9))[1] < 0.95


@pytest.mark.parametrize("text", [
    *DECOYS["zh"], *DECOYS["en"],
    "患者高热3天，白细胞升高，黄疸加重，水肿明显，安静时气促，何时手术待定。", "谢谢医生！祝医生工作顺利。",
    "任何医生都会建议复查",
    "请及时联系医生，于医师指导下使用", "全科医生、外科医生、主治医生",
    "到当地三甲医院、县医院或专科医院就诊，各大医院均可",
    "华佗再造丸、李时珍《本草纲目》、张仲景《伤寒论》", "每日2次，每次1床被子",
    "成年男性，高龄女性，左侧肢体", "金银花10g，白芷6g，黄芪15g，党参、麦冬",
    "霍奇金淋巴瘤，柯萨奇病毒，帕金森病，唐氏综合征，格林巴利",
    "血压130/80-90mmHg，3/5级，1/2片，5-10天，2-3次/日", "Apgar评分9-10-10分",
    "病程10年3月，孕32周2天，89岁", "某种疾病，某些药物，某医院", "医生：安心休养。患者：高兴，谢谢。",
    "拨打120或4008123456",
    "如有疑问见 https://www.cdc.gov/flu",
    "She may take 5 mg on day 3 of cycle 2; strength 5/5, grade 3/6 murmur.",
    "Call 1-800-222-1222, the poison control center.",
    "Down syndrome, Bell's palsy, Wilson disease, Addison's disease",
    "the emergency department of our hospital", "May 5 mg be enough? March on.",
    "Doctor: Hello there. Patient: Yes, Doctor.",
    "a 89-year-old man, aged 45, Room temperature", "HbA1c 7.5%, Na 135-145, T 38.5, pH 7.35-7.45",
    "J18.9, C34.1, M8070/3"])
def test_medical_content_stays(text):
    assert deidentify(text) == (text, {})


def test_surrogates_are_of_the_same_kind_and_the_same_within_a_record():
    text = "患者张伟，男，45岁。张伟于2021年3月5日入院，主治医师：李建国。张伟的手机13812345678。"
    new, counts = deidentify(text, "p1")
    name = re.match("患者(..)，男", new)[1]
    assert counts == {"name": 4, "date": 1, "phone": 1} and name != "张伟" and new.count(name) == 3
    form = rf"患者{name}，男，45岁。{name}于\d{{4}}年\d+月\d+日入院，主治医师：...。{name}的手机12\d{{9}}。"
    assert re.fullmatch(form, new)
    assert deidentify(text, "p1")[0] == new, "not decided by patient and seed"
    assert deidentify(text, "p2")[0] != new != deidentify(text, "p1", seed=1)[0]
    (first, second), _ = deidentify_all(["我叫王小明，头痛", "王小明你好"], "p1")
    assert re.fullmatch("我叫(...)，头痛", first)[1] + "你好" == second, "a name another text marks stayed"


def test_a_family_keeps_one_surname_and_two_families_two():
    new, _ = deidentify("患者王芳，女，30岁，其父王刚陪同。王医生和李医生会诊。")
    woman, father, doctor, other = re.fullmatch("患者(.).，女，30岁，其父(.).陪同。(.)医生和(.)医生会诊。",
        new).groups()
    assert woman == father == doctor != other
    new, _ = deidentify("Mary Jones was seen by Dr. Smith. Mrs. Jones slept. JONES, MARY", "p")
    first, last = re.match(r"(\w+) (\w+) was", new).groups()
    assert f"Mrs. {last} slept" in new and last not in ("Jones", "Smith") and first != "Mary"


@pytest.mark.parametrize("first, second", [
    ("2021年3月5日", "2021年3月12日"), ("2020-02-25", "2020-03-03"), ("12/28/2019", "01/04/2020"),
    ("2021.3.5", "2021.3.12"),
    ("March 5, 2021", "March 12, 2021"), ("5 Mar 2021", "12 Mar 2021"), ("20210305", "20210312"), ("2021/3/5",
    "2021/3/12"),
    ("二〇二一年三月五日", "二〇二一年三月十二日"), ("Mar. 5th, 2021", "Mar. 12th, 2021")])
def test_dates_keep_form_and_interval(first, second):
    text = f"于 {first} 入院，于 {second} 出院"
    new, counts = deidentify(text, "p7", seed=3)
    spans, = find_all([text])
    moved, = find_all([new])
    days = [privacy.day_of(match, 2021) for *_, match in spans + moved]
    assert counts == {"date": 2} and (days[1] - days[0]).days == (days[3] - days[2]).days == 7
    assert 31 <= (days[0] - days[2]).days <= 365
    form = [re.sub(r"[一二三四五六七八九十〇]+", "0", re.sub(r"\d+|[A-Z][a-z]+", "0",
    text)) for text in (text, new)]
    assert re.sub("(st|nd|rd|th)", "th", form[0]) == re.sub("(st|nd|rd|th)", "th", form[1])


def test_dates_worked_out_by_hand(monkeypatch):
    monkeypatch.setattr(privacy.random.Random, "randrange", lambda self, *_: 9)            # 40 days earlier
    for text, new in [("2021年3月5日", "2021年1月24日"), ("2021年3月5-8日", "2021年1月24-27日"), ("3月5日",
    "1月24日"),
                      ("2024-02-29", "2024-01-20"), ("March 1st, 2021", "January 20th, 2021"), ("2021年3月",
                      "2021年2月"),
                      ("03/05/21", "01/24/21"), ("25/12/2021", "15/11/2021"), ("二○二一年三月五日",
                      "二○二一年一月二十四日"),
                      ("2020年1月5日发热，1月7日咳嗽", "2019年11月26日发热，11月28日咳嗽"), ("３月５日14:30",
                      "1月24日14:30")]:
        assert deidentify(text)[0] == new


@pytest.mark.parametrize("text, kind, impossible", [
    ("电话13812345678", "phone", r"电话12\d{9}"), ("Call (617) 225-2345", "phone",
    r"Call \(555\) \d{3}-\d{4}"),
    ("010-62345678", "phone", r"000-\d{8}"), ("身份证11010519491231002X", "id", r"身份证99\d{16}"),
    ("邮箱 li.wei9@qq.com", "email", r"邮箱 [a-z]{2}\.[a-z]{3}\d@example\.com"), ("92岁", "age", "90岁"),
    ("九十二岁", "age", "九十岁"), ("a 97-year-old", "age", "a 90-year-old"), ("住院号：ZY0012345", "number",
    r"住院号：[A-Z]{2}\d{7}"),
    ("12 Main Street, Boston, MA 02115", "address", r"\d\d \w+ Street, \w+, MA 000\d\d"),
    ("武汉市第一人民医院", "hospital", "..市第一人民医院"), ("家住湖北省武汉市武昌区珞喻路10号", "address",
    r"家住湖北省..市..区..路\d\d号")])
def test_what_stands_in_its_place_is_nobodys(text, kind, impossible):
    for seed in range(20):
        new, counts = deidentify(text, seed=seed)
        assert counts == {kind: 1} and re.fullmatch(impossible, new) and new != text


def test_identity_and_card_numbers_become_invalid():
    weights = 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2                          # GB 11643
    for seed in range(200):
        new = deidentify("11010519491231002X", seed=seed)[0]
        right = "10X98765432"[sum(int(digit) * weight for digit, weight in zip(new, weights,
            strict=False)) % 11]
        assert new[-1] != right
        assert not luhn(deidentify("卡 4539578763621486", seed=seed)[0])
    assert luhn("4539578763621486") and not luhn("4539578763621487")
    assert deidentify("4539578763621487")[1] == {}, "any sixteen digits taken for a card"


def test_records(tmp_path, capsys):
    task = {"id": "x-1", "task": "diagnosis", "messages": [
        {"role": "user", "content": "患者张伟，男，95岁，2021年3月5日入院"}, {"role": "assistant",
            "content": "诊断：川崎病"}],
        "meta": {"label": "川崎病", "aliases": ["张伟的病"], "count": 2}}
    new, counts = deidentify_record(task)
    assert counts == {"name": 2, "age": 1,
        "date": 1} and new["id"] == "x-1" and new["meta"]["label"] == "川崎病"
    assert "张伟" not in json.dumps(new, ensure_ascii=False) and new["meta"]["count"] == 2
    assert task["meta"]["aliases"] == ["张伟的病"], "the record passed in was altered"
    exam = task | {"task": "exam"}
    assert deidentify_record(exam, private=False) == (exam, {}), "published questions must stay"
    assert "张伟" not in str(deidentify_record(exam)), "a group's own questions were written as they are"
    asked = [deidentify_record(task | {"messages": [task["messages"][0], {"role": "assistant",
        "content": answer}]})
             for answer in ("是", "不是")]
    assert asked[0][0]["messages"][0] == asked[1][0]["messages"][0], "equal questions are equal no more"

    def convert(release, sets):
        sets.add_task("train", "qa", "1", ["我叫王小明，电话13812345678", "你好"])
        sets.add_preference("train", "2", [{"role": "user", "content": "王医生，头痛"}], "休息，王医生",
            "不知道")
    for flags, said in ([], "private: name 3, phone 1\n"), (["--no-deidentify"], "private: not looked for\n"):
        command("x", convert, [str(tmp_path), "--out", str(tmp_path / "out"), *flags])
        text = (tmp_path / "out/x_train.jsonl").read_text(encoding="utf-8")
        assert capsys.readouterr().out.endswith(said) and ("13812345678" in text) == bool(flags)
    sets = Sets("x", seed="s")
    convert(None, sets)
    assert sets.write(tmp_path / "out").endswith("private: name 3, phone 1")


def test_odd_text_is_quick_and_whole():
    for text in ["", "\0", "王" * 20_000, "患者" * 10_000, "1" * 20_000, "12-" * 7_000, "Aa " * 7_000,
    "a@" * 8_000,
                 "北京" + "第一人民中心" * 3_000, "市区县路号" * 4_000, "仁爱" * 6_000 + "医院",
                 "John A. " * 3_000, " " * 20_000]:
        start = time.process_time()
        deidentify(text)
        assert time.process_time() - start < 2, text[:20]
    assert deidentify("\ud83d 张")[0] == "\ud83d 张"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_megabyte_takes_about_a_second(language):
    private = ["\n".join(text for text, _ in cases(language, "tune", 8, seed)) for seed in range(20)]
    texts = private + [" ".join(DECOYS[language] * 2)] * 300         # most text is not private
    size, start = sum(len(text.encode()) for text in texts), time.process_time()
    for text in texts:
        deidentify(text)
    speed = size / 1e6 / (time.process_time() - start)
    assert speed > 0.3, f"{speed:.2f} MB a second: 1 and more on an idle core"
