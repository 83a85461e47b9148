"""DxBench, Muzhi and Dxy, symptoms with a diagnosis: github.com/FreedomIntelligence/Chain-of-Diagnosis.

evaluation/DxBench_zh.json, Muzhi_zh.json, Dxy_zh.json (--lang en: _en): lists of {"id", "explicit_symptoms":
[[name, "True" or "False"], ...], "implicit_symptoms", "candidate_diseases", "disease"}.  What the patient
told (explicit) is the chief complaint, what was asked for the present illness.  A symptom that names the
disease is left out, and so are the candidates: the question asks for a diagnosis as all others do.
The release calls its sets benchmarks: report no score on them after training on their train part.
"""
from data.health_records import add_diagnosis, hide, other_names
from data.releases import clean, command, field, find, read_records, split_of

WORDS = {"zh": ("、", "有{}", "没有{}", "；"), "en": (", ", "{}", "no {}", "; ")}


def told(record, place, name, disease, words):
    """The symptoms of a list as a sentence, those present first."""
    comma, present, absent, semicolon = words
    named = {"True": [], "False": []}
    for symptom in field(record, place, name, list):
        if not isinstance(symptom, list) or len(symptom) != 2 or not isinstance(symptom[0], str) \
                or symptom[1] not in ("True", "False"):
            raise ValueError(f"{place}: '{name}' should be pairs of name and 'True' or 'False'; repair it")
        text = clean(symptom[0])
        if text and hide([disease, *other_names(disease)], text) == text:
            named[symptom[1]].append(text)
    said = zip((present, absent), named.values(), strict=True)
    return semicolon.join(form.format(comma.join(names)) for form, names in said if names)


def convert(release, sets, lang="zh"):
    """Make diagnosis records of DxBench, Muzhi and Dxy."""
    if lang != "zh":
        sets.source = f"dxbench_{lang}"
    for name in "DxBench", "Muzhi", "Dxy":
        path = find(release, f"{name}_{lang}.json", required=False)
        for place, record in read_records(path) if path else ():
            id, disease = field(record, place, "id"), field(record, place, "disease")
            parts = {section: told(record, place, f"{kind}_symptoms", disease, WORDS[lang])
                     for section, kind in {"complaint": "explicit", "illness": "implicit"}.items()}
            add_diagnosis(sets, split_of(id), id, parts, disease, other_names(disease), least=1)


if __name__ == "__main__":
    command("dxbench", convert, lang=dict(default="zh", choices=("zh", "en"), help="language (default zh)"))
