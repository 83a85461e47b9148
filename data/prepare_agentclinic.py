"""AgentClinic, cases of examinations with a diagnosis, in English: github.com/SamuelSchmidgall/AgentClinic.

agentclinic_medqa*.jsonl: {"OSCE_Examination": {"Patient_Actor", "Physical_Examination_Findings",
"Test_Results", "Correct_Diagnosis"}}, the parts texts, lists and objects in each other.  The cases were
written from questions of MedQA's US examination.  (Not here: the files from MIMIC-IV and NEJM, which may not
be passed on.)
"""
from data.health_records import add_diagnosis, other_names
from data.releases import clean, command, digest, field, find_all, read_records, split_of

SECTION = {"Demographics": "information", "Symptoms": "complaint", "History": "illness",
           "Past_Medical_History": "history"}        # all else: history, with its name
DEPTH = 8


def told(value, place, depth=0):
    """Text from texts, lists and objects: "Vital Signs: Temperature: 36.8; Heart Rate: 120"."""
    if depth > DEPTH:
        raise ValueError(f"{place}: more than {DEPTH} objects or lists in each other; repair the record")
    if isinstance(value, dict):
        texts = {clean(key.replace("_", " ")): told(part, place, depth + 1) for key, part in value.items()}
        return ("; " if depth else "\n").join(f"{key}: {text}" for key, text in texts.items() if text)
    if isinstance(value, list):
        return ", ".join(filter(None, (told(part, place, depth + 1) for part in value)))
    return clean(str(value)) if value is not None else ""


def convert(release, sets):
    """Make diagnosis records of AgentClinic."""
    for path in find_all(release, "agentclinic_medqa*.jsonl"):
        for place, record in read_records(path):
            case = field(record, place, "OSCE_Examination", dict)
            label, parts = field(case, place, "Correct_Diagnosis"), {}
            for key, value in field(case, place, "Patient_Actor", dict).items():
                section = SECTION.get(key, "history")
                text = told(value if key in SECTION else {key: value}, place)
                parts[section] = "\n".join(filter(None, [parts.get(section), text]))
            parts["examination"] = told(field(case, place, "Physical_Examination_Findings", dict), place)
            parts["tests"] = told(field(case, place, "Test_Results", dict), place)
            id = digest(*parts.values(), label)[:16]
            add_diagnosis(sets, split_of(id), id, parts, label, other_names(label))


if __name__ == "__main__":
    command("agentclinic", convert, max_chars=4000)  # English takes more characters for the same tokens
