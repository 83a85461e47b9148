"""CMeKG and CMeIE, medical facts: triples as people pass them on, and the JSON of CMeIE in benchmark CBLUE.

Tables, *.csv, *.tsv, *.txt: head, relation, tail, separated by tabs or commas, with a header or without.
JSON, *.json, *.jsonl: {"text", "spo_list": [{"subject", "subject_type", "predicate", "object",
"object_type"}]}; an object and its type are texts or {"@value": text}.  All splits make one graph.
Relations that RELATIONS does not know keep their own name.
"""
import csv
import io
import re

from data.releases import clean, field, find_all, json_records, read_text
from data.triples import command

RELATIONS = {                                        # our name: type of the tail, their names
    "symptom": ("symptom", "症状 相关（症状） 相关症状 临床症状 典型症状"),
    "manifestation": ("manifestation", "临床表现 临床症状及体征 体征"),
    "examination": ("examination", "检查 辅助检查 实验室检查 影像学检查 组织学检查 内窥镜检查 筛查"),
    "treatment": ("treatment", "治疗 治疗方案 治疗方法 辅助治疗 化疗 放射治疗 相关（治疗） 治疗方式"),
    "surgery": ("treatment", "手术治疗 手术"),
    "complication": ("disease", "并发症"),
    "related_disease": ("disease", "相关疾病 相关（导致） 相关（转化） 相关导致 相关转化"),
    "differential_diagnosis": ("disease", "鉴别诊断"),
    "main_use": ("use", "主治 功能主治 用途 作用 主要用途"),
    "indication": ("disease", "适应症 适应证"),
    "interaction": ("drug", "相互作用 药物相互作用"),
    "adverse_reaction": ("symptom", "不良反应 副作用"),
    "contraindication": ("disease", "禁忌症 禁忌证 禁忌"),
    "ingredient": ("ingredient", "成分 成份 组成"),
    "drug": ("drug", "药物治疗 药物 常用药物 推荐药物"),
    "alias": ("alias", "同义词 别名 别称"),
    "department": ("department", "就诊科室 科室 所属科室"),
    "body_part": ("body_part", "发病部位 部位 外侵部位 转移部位"),
    "cause": ("cause", "病因"),
    "risk_factor": ("risk_factor", "高危因素 风险评估因素 危险因素"),
    "prevention": ("prevention", "预防"),
    "transmission": ("transmission", "传播途径"),
    "susceptible_population": ("population", "多发群体 易感人群"),
    "onset_age": ("age", "发病年龄"),
    "subtype": ("disease", "病理分型 分型 亚型"),
    "stage": ("stage", "阶段 分期"),
    "prognosis": ("prognosis", "预后状况 预后生存率 预后"),
    "pathogen": ("pathogen", "病原体 病原")}
OURS = {name: (ours, kind) for ours, (kind, names) in RELATIONS.items() for name in names.split()}
KINDS = {"疾病": "disease", "症状": "symptom", "检查": "examination", "药物": "drug", "手术治疗": "treatment",
         "其他治疗": "treatment", "部位": "body_part", "流行病学": "epidemiology", "社会学": "sociology",
         "预后": "prognosis", "其他": "other"}
OF_DRUGS = "main_use indication interaction adverse_reaction contraindication ingredient".split()
HEADER = re.compile("head|subject|实体|头实体|主体|h|entity.*", re.I)


def rows(path, text):
    """(place, [head, relation, tail]) of a table."""
    tabs = "\t" in text.partition("\n")[0]
    table = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if tabs else ",", strict=True,
                       quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL)
    try:
        for row in table:
            cells = [clean(cell) for cell in row]
            if any(cells) and not (table.line_num == 1 and HEADER.fullmatch(cells[0])):
                if len(cells) != 3 or not all(cells):
                    raise ValueError(f"{path}:{table.line_num}: {len(cells)} cells, {cells.count('')} empty, "
                                     "not head, relation, tail; repair the line")
                yield f"{path}:{table.line_num}", cells
    except csv.Error as error:
        raise ValueError(f"{path}:{table.line_num}: the row here is not CSV ({error}); repair it") from None


def value(record, place, name):
    """A text, or the text in {"@value": text}."""
    found = record.get(name)
    return field(found, place, "@value") if isinstance(found, dict) else field(record, place, name)


def statements(path, facts):
    """(place, head, its type or "", relation, tail, its type or "")"""
    text = read_text(path)
    if text.lstrip()[:1] not in ("[", "{"):
        for place, (head, relation, tail) in rows(path, text):
            yield place, head, "", relation, tail, ""
        return
    for place, record in json_records(path, text):
        if "text" in record and "spo_list" not in record:
            facts.dropped["of a text without answers"] += 1
            continue
        for fact in field(record, place, "spo_list", list):
            if not isinstance(fact, dict):
                raise ValueError(f"{place}: 'spo_list' should be objects; repair the record")
            head_type, tail_type = (KINDS.get(value(fact, place, name), "other") if name in fact else ""
                                    for name in ("subject_type", "object_type"))
            yield (place, field(fact, place, "subject"), head_type, field(fact, place, "predicate"),
                   value(fact, place, "object"), tail_type)


def convert(release, facts):
    """Make a graph of CMeKG's triples or CMeIE's annotations."""
    for path in find_all(release, "*.csv", "*.tsv", "*.txt", "*.json", "*.jsonl"):
        known, first = 0, ""
        for place, head, head_type, relation, tail, tail_type in statements(path, facts):
            relation = relation.replace("(", "（").replace(")", "）")
            ours, kind = OURS.get(relation, (relation, "other"))
            known, first = known + (relation in OURS), first or f"{place}: relation {relation[:20]!r}"
            facts.add(head, head_type or ("drug" if ours in OF_DRUGS else "disease"), ours, [tail],
                      tail_type or kind)
        if first and not known:
            raise ValueError(f"{first} and all others are unknown; order the columns head, relation, tail")


if __name__ == "__main__":
    command("cmekg", convert)
