"""AI_Hospital, cases with an expert's diagnosis and, graded, a model's: github.com/LibertFan/AI_Hospital.

evaluation_iiyi_gpt4_onestep.jsonl: {"patient_id", "reference_diagnosis": {"diagnosis", "basis", "treatment"},
"doctor_diagnosis": {"diagnosis": sections #诊断结果#, #诊断依据#, ...}, "diagnosis_choice": "A" best to "D"}.
The case text of `basis` is the input; health_records.py takes the diagnosis out of it.
"""
import re

from data.health_records import add_diagnosis, diagnoses, separate
from data.releases import command, field, only_file, read_records, split_of


def convert(release, sets):
    """Make diagnosis records of AI_Hospital, and preferences: expert over model, where graded C or D."""
    for place, record in read_records(only_file(release, "evaluation_iiyi_*_onestep.jsonl")):
        expert = field(record, place, "reference_diagnosis", dict)
        model = field(field(record, place, "doctor_diagnosis", dict), place, "diagnosis")
        named, case = diagnoses(field(expert, place, "diagnosis")), field(expert, place, "basis")
        label = next(iter(separate(named[0] if named else "")), "")
        if "*" in label or "初步诊断" in label:       # masked, or "as preliminary"
            label = ""
        id = str(field(record, place, "patient_id", int))
        question = add_diagnosis(sets, split_of(id), id, {"text": case}, label)
        section = re.search("#诊断结果#([^#]*)", model)
        if question and section and split_of(id) != "test" and record.get("diagnosis_choice") in ("C", "D"):
            answers = ["诊断：" + "；".join(names) for names in (named, diagnoses(section[1]))]
            sets.add_preference(split_of(id), id, [{"role": "user", "content": question}], *answers)


if __name__ == "__main__":
    command("ai_hospital", convert)
