"""Health records -> diagnosis records: sections, the diagnosis taken out, groups.
(Not here: the columns and keys of each release; see prepare_records.py for a group's own records.)

    sections(text)          a record in one text -> {section: text}, by its Chinese or English headings
    diagnoses(text)         the diagnoses in a field, the principal one first
    hide(names, case)       the case without the diagnosis under any of its names
    group_of(label, icd)    the chapter of the ICD-10 code, or else one of the paper's seven, or "other"
    add_diagnosis(...)      one record of the task, or a reason why not

A name is what the release calls the diagnosis; hints in other words stay ("CT 提示肺炎": 支气管肺炎).
"""
import re
from bisect import bisect

SECTIONS = {                                         # headings as written; what they may be as well
    "text": ("", "", "(?!)"),                        # what stands under no heading
    "information": ("基本信息", "Patient information",
                    "患者信息|一般资料|(?:Medical record|Clinical|Case) description"),
    "complaint": ("主诉", "Chief complaint", "Chief complaints"),
    "illness": ("现病史", "Present illness",
                "病史|Present(?:ing)? illness history|History of present(?:ing)? illness"
                "|Current medical history"),
    "history": ("既往史", "Past history", "既往病史|(?:Past |Previous )?Medical history"),
    "examination": ("体格检查", "Physical examination", "查体|专科检查"),
    "tests": ("辅助检查", "Auxiliary examination",
              "实验室检查|影像学?检查|检查报告|(?:Auxiliary|Assisted) (?:examinations?|checks?|tests?)"
              "|(?:Examination|Checkup|Test) reports?|Test results|Laboratory (?:tests|findings)"),
    "answer": ("", "",                               # never part of the question
               "(?:初步|入院|出院|门诊|临床|西医|中医|最后|修正|鉴别)?诊断(?:结果|依据|意见)?"
               "|治疗(?:方案|经过|计划|意见)?|诊疗(?:计划|经过)|处理(?:意见)?"
               "|(?:[a-z]+ )?Diagnos[ie]s(?: impression)?|Treatment(?: plan)?|Management"),
}
HEADING = re.compile(                                # begins a line, or a sentence: 主诉：咳嗽。现病史：...
    "(?:^|(?<=[。；]))[-*#【\\[ ]*(?:"
    + "|".join(f"(?P<{name}>{'|'.join(filter(None, words))})" for name, words in SECTIONS.items())
    + ")[*】\\] ]*[:：][* ]*", re.I | re.M)
CHAPTERS = {                                         # of ICD-10, by the first code of each
    "A00": "infectious", "C00": "neoplasms", "D50": "hematology", "E00": "endocrine", "F00": "psychiatry",
    "G00": "neurology", "H00": "eye", "H60": "ear", "I00": "circulatory", "J00": "respiratory",
    "K00": "digestive", "L00": "skin", "M00": "musculoskeletal", "N00": "genitourinary", "O00": "pregnancy",
    "P00": "perinatal", "Q00": "congenital", "R00": "symptoms", "S00": "injury", "U00": "special",
    "V00": "external", "Z00": "contact"}
ICD10 = re.compile(r"[A-Z]\d[\dA-Z](?!\d*/)")         # M8000/3 is a morphology, no disease
GROUP = re.compile(                                  # the first of these words in a diagnosis decides
    "(?P<respiratory>肺|支气管|胸腔|胸膜|气胸|呼吸|哮喘)"
    "|(?P<digestive>胃|肠|肝|胆|胰|食管|阑尾|痔|肛|盲部|腹泻|腹膜炎|黄疸)"
    "|(?P<urinary>肾(?!上腺)|输尿管|膀胱|尿道|尿路|泌尿|尿失禁|前列腺)"
    "|(?P<psychiatry>精神分裂|抑郁|焦虑|双相|躁狂)"
    "|(?P<neurology>脑|颅|癫痫|惊厥|肌无力|脊髓|帕金森|格林巴利|胶质瘤|神经(?!节|纤维)|硬膜|室管膜"
    "|系统萎缩|烟雾病|头痛)"
    "|(?P<gynecology>妊娠|孕|产|胎|子宫|宫颈|卵巢|输卵管|外阴|阴道|前庭大腺|子痫|脐带|绒毛膜|骨盆狭窄|前置血管)"
    "|(?P<hematology>白血病|淋巴瘤|骨髓瘤|贫血|血小板|粒细胞减少|血友病|紫癜)")
ENGLISH_GROUP = re.compile(
    r"\b(?:(?P<respiratory>pneumo|bronch|asthma|pleur|pulmon|respirat|lung|chronic obstructive)"
    "|(?P<digestive>gastr|duoden|peptic|hepat|liver|bili|bowel|intestin|colitis|colon|rect|append|pancrea"
    "|cholecyst|esophag|crohn|celiac|hemorrhoid|diverticul|hernia|diarrh|hirschsprung)"
    "|(?P<urinary>nephr|renal|kidney|urin|uro|ureter|urethr|cystitis|interstitial cystitis|bladder|prostat"
    "|glomerul|pyelo|hydronephr)"
    "|(?P<psychiatry>schizo|depressi|bipolar|manic|anxiety|panic|psycho|obsessive|delusion|somati|factitious"
    "|[a-z]+ personality|posttraumatic stress)"
    "|(?P<neurology>epilep|seizure|stroke|cerebr|mening|encephal|migraine|parkinson|myasthenia|neuropath"
    "|neuralg|headache|dementia|alzheimer|guillain|multiple scler|syringo|intracran|subarachnoid|arachnoid)"
    "|(?P<gynecology>pregnan|ovar|uter|cervical polyp|vagin|vulv|eclampsi|endometri|placent|menopaus"
    "|amenorrh|menstru|pelvic inflammatory)"
    "|(?P<hematology>leukemia|lymphoma|myeloma|an(?:a)?emia|thrombocyt|h(?:a)?emophil|sickle|thalass"
    "|neutropeni|macroglobulin|purpura))", re.I)
NUMBERED = r"(?:\d+[.、．](?!\d)|\d+[.、．](?=[12]型糖尿病)|\d+[)）]|[（(]\d+[)）]|[①-⑳])[ 　]*"
BRACKETS = r"[（(][^（()）]*[）)]"
QUALIFIER = "^(左侧?|右侧?|双侧?|[急慢]性|亚急性|重症|[重中轻]度|轻症|[原继]发性|陈旧性|先天性|完全性)+"
ENGLISH_QUALIFIER = re.compile("^((left|right|bilateral|acute|subacute|chronic|recurrent|severe|moderate|mild"
                               "|primary|secondary|congenital|childhood|pediatric|unspecified) +)+", re.I)
SAID = "(诊断|确诊)为[^，。；\n]*"
ENGLISH_SAID = re.compile(r"\b(diagnosed (as|with)|diagnosis (of|as|was|is|consistent with))\b[^,.;\n]*",
                          re.I)
MIN_CHARS = 25                                       # shorter cases name no finding; English: four times that
MAX_LABEL = 200                                      # a longer "diagnosis" is no name of one


def is_chinese(text):
    return bool(re.search("[\u4e00-\u9fff]", text))


def sections(text):
    """{section: text}, without the diagnosis and the treatment where they have headings of their own."""
    found, name, end = {}, "text", 0
    for match in [*HEADING.finditer(text), None]:
        part = text[end:match.start() if match else None]
        part = re.sub(r"\*\*|^ *[-#]+ ", "", part, flags=re.M).strip("\n -")    # marks of Markdown
        if part not in found.get(name, "") and name != "answer":
            found[name] = f"{found[name]}\n{part}" if name in found else part
        if match:
            name, end = match.lastgroup, match.end()
    return found


def separate(text, marks="，,；;。\n"):
    """The parts of a sentence: what the marks separate, except within brackets."""
    parts = re.split(rf"[{marks}]+(?![^（(]*[）)])", text)
    return [part.strip() for part in parts if part.strip()]


def diagnoses(text):
    """The single diagnoses, the principal one first: numbered lines, or else the parts of the list."""
    text = text[:2000]
    if re.match(rf"\s*{NUMBERED}", text):            # a numbered list in one line
        text = re.sub(rf"[ \t；;，,。]*(?<![\d.])(?={NUMBERED})", "\n", text)
    numbered = re.findall(rf"^\s*{NUMBERED}(.+)", text, re.M)
    marks = "，,、；;。\n" if is_chinese(text) else ";\n"      # "gout, unspecified" is one name
    return [line.strip(" 。；;") for line in numbered] or separate(text, marks)


def other_names(diagnosis):
    """The name without its brackets, and the abbreviation in them: Heart failure (HF)."""
    bare = re.sub(BRACKETS, "", diagnosis).strip()
    short = re.findall("[（(]([A-Z][A-Za-z0-9-]*[A-Z])[）)]", diagnosis)
    return [name for name in (bare, *short) if name and name != diagnosis]


def hide(names, case):
    """The case without the names, their cores (no brackets, no 左侧, 急性 before, no 伴 after), 诊断为..."""
    case = ENGLISH_SAID.sub("", re.sub(SAID, "", case))
    for diagnosis in names:
        core = re.split("[伴并]|合并| with | due to ", re.sub(BRACKETS, "", diagnosis))[0]
        short = re.sub(QUALIFIER, "", core) if is_chinese(core) else ENGLISH_QUALIFIER.sub("", core.strip())
        for name in diagnosis, core, short:
            if len(name) > 1 or name == diagnosis:
                case = remove(name, case)
    return case.strip()


def remove(name, case):
    if is_chinese(name):
        while name in case:                          # what stands around it may be the name again
            case = case.replace(name, "")
        return case
    words = re.escape(name.strip()).replace(r"\ ", r"[\s-]+")
    words = re.sub("['’]", "['’]", words)
    flags = 0 if name.isupper() and len(name) < 6 else re.I          # ALL is a leukemia, all is not
    case = re.sub(rf"(?<![A-Za-z0-9]){words}(e?s)?(?![A-Za-z0-9])", "", case, flags=flags)
    return re.sub(" (?=[,.;\n])", "", re.sub("[ \t]+", " ", case))


def group_of(label, icd=""):
    if code := ICD10.match(icd.upper()):
        return list(CHAPTERS.values())[bisect(list(CHAPTERS), code[0]) - 1]
    group = (GROUP if is_chinese(label) else ENGLISH_GROUP).search(label)
    return group.lastgroup if group else "other"


def written(parts, chinese):
    """The sections as one text, a heading before each."""
    headings = {name: f"{words[0]}：" if chinese else f"{words[1]}: " for name, words in SECTIONS.items()}
    headings["text"] = ""
    return "\n".join(f"{headings[name]}{parts[name]}" for name in SECTIONS if parts.get(name))


def add_diagnosis(sets, split, id, parts, label, aliases=(), icd="", group="", least=MIN_CHARS, ask=""):
    """parts: {section: text}.  Returns the question; None if there is none to ask."""
    aliases = list(dict.fromkeys(name for name in aliases if name and name != label))
    if not label or len(label) > MAX_LABEL:
        return sets.drop("no diagnosis named" if not label else f"diagnosis over {MAX_LABEL} characters")
    parts = {name: hide([label, *aliases], text).lstrip(" ,.;") for name, text in parts.items()}
    parts = {name: text for name, text in parts.items() if re.search(r"\w", text)}
    size, chinese = sum(map(len, parts.values())), is_chinese("".join(parts.values()))
    if size < least * (1 if chinese else 4):
        return sets.drop("little but the diagnosis")
    ask = ask or ("请根据病历给出诊断。" if chinese else "Please give the diagnosis for this record.")
    question = f"{written(parts, chinese)}\n{ask}"
    answer = f"诊断：{label}" if chinese else f"Diagnosis: {label}"
    sets.add_task(split, "diagnosis", id, [question, answer], label=label,
                  group=group or group_of(label, icd), aliases=aliases)
    return question
