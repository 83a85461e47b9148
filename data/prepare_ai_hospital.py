"""AI_Hospital, cases with an expert's diagnosis and, graded, a model's: github.com/LibertFan/AI_Hospital.

evaluation_iiyi_gpt4_onestep.jsonl: {"patient_id", "reference_diagnosis": {"diagnosis", "basis", "treatment"},
"doctor_diagnosis": {"diagnosis": sections #诊断结果#, #诊断依据#, ...}, "diagnosis_choice": "A" best to "D"}.
The case text of `basis` is the input and must not give the diagnosis away: see `hide`.
"""
import re

from data.releases import command, field, only_file, read_records, split_of

GROUP = re.compile(                                  # the first of these words in a diagnosis decides
    "(?P<respiratory>肺|支气管|胸腔|胸膜|气胸|呼吸|哮喘)"
    "|(?P<digestive>胃|肠|肝|胆|胰|食管|阑尾|痔|肛|盲部|腹泻|腹膜炎|黄疸)"
    "|(?P<urinary>肾(?!上腺)|输尿管|膀胱|尿道|尿路|泌尿|尿失禁|前列腺)"
    "|(?P<psychiatry>精神分裂|抑郁|焦虑|双相|躁狂)"
    "|(?P<neurology>脑|颅|癫痫|惊厥|肌无力|脊髓|帕金森|格林巴利|胶质瘤|神经(?!节|纤维)|硬膜|室管膜"
    "|系统萎缩|烟雾病|头痛)"
    "|(?P<gynecology>妊娠|孕|产|胎|子宫|宫颈|卵巢|输卵管|外阴|阴道|前庭大腺|子痫|脐带|绒毛膜|骨盆狭窄|前置血管)"
    "|(?P<hematology>白血病|淋巴瘤|骨髓瘤|贫血|血小板|粒细胞减少|血友病|紫癜)")
MIN_CHARS = 25                                       # shorter cases name no finding
QUALIFIER = "^(左侧?|右侧?|双侧?|[急慢]性|亚急性|重症|[重中轻]度|轻症|[原继]发性|陈旧性|先天性|完全性)+"


def separate(text, marks="，,；;。\n"):
    """The parts of a sentence: what the marks separate, except within brackets."""
    parts = re.split(rf"[{marks}]+(?![^（(]*[）)])", text)
    return [part.strip() for part in parts if part.strip()]


def diagnoses(text):
    """The single diagnoses, the principal one first: numbered lines, or else the parts of the list."""
    numbered = re.findall(r"^\s*\d+[.、](?!\d)(.+)", text, re.M)
    return [line.strip(" 。；;") for line in numbered] or separate(text, "，,、；;。\n")


def hide(diagnosis, case):
    """The case without the diagnosis, its core (no brackets, no 左侧, 急性 before, no 伴 after), 诊断为..."""
    core = re.split("[伴并]|合并", re.sub(r"[（(].*?[）)]", "", diagnosis))[0]
    case = re.sub(r"(诊断|确诊)为[^，。；\n]*", "", case)
    for name in diagnosis, core, re.sub(QUALIFIER, "", core):
        if len(name) > 1:
            case = case.replace(name, "")
    return case.strip()


def convert(release, sets):
    """Make diagnosis records of AI_Hospital, and preferences: expert over model, where graded C or D."""
    for place, record in read_records(only_file(release, "evaluation_iiyi_*_onestep.jsonl")):
        expert = field(record, place, "reference_diagnosis", dict)
        model = field(field(record, place, "doctor_diagnosis", dict), place, "diagnosis")
        named, case = diagnoses(field(expert, place, "diagnosis")), field(expert, place, "basis")
        label = next(iter(separate(named[0] if named else "")), "")
        if not label or "*" in label or "初步诊断" in label:       # masked, or "as preliminary"
            sets.drop("no diagnosis named")
            continue
        hidden, id = hide(label, case), str(field(record, place, "patient_id", int))
        if len(hidden) < MIN_CHARS:
            sets.drop("little but the diagnosis")
            continue
        split, question, group = split_of(id), f"{hidden}\n请根据病历给出诊断。", GROUP.search(label)
        sets.add_task(split, "diagnosis", id, [question, f"诊断：{label}"], label=label,
                      group=group.lastgroup if group else "other", aliases=[])
        section = re.search("#诊断结果#([^#]*)", model)
        if section and split != "test" and record.get("diagnosis_choice") in ("C", "D"):
            answers = ["诊断：" + "；".join(names) for names in (named, diagnoses(section[1]))]
            sets.add_preference(split, id, [{"role": "user", "content": question}], *answers)


if __name__ == "__main__":
    command("ai_hospital", convert)
