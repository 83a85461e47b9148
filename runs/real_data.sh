#!/usr/bin/env bash
# Real records, from public releases: converts each and joins them into the files that a run reads.  Seconds.
#   runs/real_data.sh RELEASES OUT      RELEASES holds huatuo26M/ cMedQA2/ Huatuo_KGQA/ MedQA/ CMExam/ CMtMedQA/
#                                       AI_Hospital/ MedicalGPT/; data/README.md says where each is from
set -euo pipefail
[ $# = 2 ] || { echo "usage: $0 RELEASES OUT" >&2; exit 2; }
[ -d "$1" ] || { echo "$1: no such folder; data/README.md says what it should hold" >&2; exit 2; }
releases=$(realpath "$1")
out=$(realpath -m "$2")
cd "$(dirname "$0")/.."
python=${PYTHON:-python}

names=()
for folder in huatuo26M cMedQA2 Huatuo_KGQA MedQA CMExam CMtMedQA AI_Hospital MedicalGPT; do
    name=$(tr "[:upper:]" "[:lower:]" <<< "$folder")
    "$python" -m "data.prepare_$name" "$releases/$folder" --out "$out"
    names+=("$name")
done
"$python" -m data.combine "$out" "${names[@]}"
