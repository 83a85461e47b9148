"""TCM-SD, records of Chinese medicine with the syndrome: github.com/Borororo/ZY-BERT.

train.json, dev.json, test.json, or the sample TCM-SD_data_sample.json, which is split by ids; a record a
line: {"example_id", "chief_complaint", "medical_history", "FDMR" (what the four examinations found),
"lcd_name" (disease), "syndrome", "norm_syndrome"}.  The label is the normalised syndrome, the alias the one
that the hospital wrote.  The group comes from the disease, as the organs of a syndrome are no organs.
"""
from data.health_records import add_diagnosis, group_of
from data.releases import command, field, find, read_records, split_of

FILES = {"train.json": "train", "dev.json": "valid", "test.json": "test", "TCM-SD*_sample.json": None}
TEXTS = {"complaint": "chief_complaint", "illness": "medical_history", "examination": "FDMR"}


def convert(release, sets):
    """Make diagnosis records of TCM-SD."""
    paths = {release: None} if release.is_file() else {
        path: split for name, split in FILES.items() if (path := find(release, name, required=False))}
    for path, split in paths.items():
        for place, record in read_records(path):
            id = field(record, place, "example_id")
            parts = {section: field(record, place, name) for section, name in TEXTS.items()}
            label, alias = field(record, place, "norm_syndrome"), field(record, place, "syndrome")
            group = group_of(field(record, place, "lcd_name"))
            add_diagnosis(sets, split or split_of(id), id, parts, label, [alias], group=group,
                          ask="请根据病历给出中医证候诊断。")


if __name__ == "__main__":
    command("tcm_sd", convert)
