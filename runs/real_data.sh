#!/usr/bin/env bash
# Real records, from public releases: converts each and makes one data set of them, the files that a run reads.  Half a minute.
#   runs/real_data.sh RELEASES OUT      RELEASES holds huatuo26M/ cMedQA2/ Huatuo_KGQA/ MedQA/ CMExam/ CMtMedQA/ AI_Hospital/
#                                       MedicalGPT/ and, if there, MEDIQA2019/; data/README.md says where each is from
set -euo pipefail
[ $# = 2 ] || { echo "usage: $0 RELEASES OUT" >&2; exit 2; }
[ -d "$1" ] || { echo "$1: no such folder; data/README.md says what it should hold" >&2; exit 2; }
releases=$(realpath "$1")
out=$(realpath -m "$2")
cd "$(dirname "$0")/.."
python=${PYTHON:-python}

sources=()
for folder in huatuo26M cMedQA2 Huatuo_KGQA MedQA CMExam CMtMedQA AI_Hospital MedicalGPT MEDIQA2019; do
    name=$(tr "[:upper:]" "[:lower:]" <<< "${folder%2019}")
    [ "$name" = mediqa ] && [ ! -d "$releases/$folder" ] && continue
    "$python" -m "data.prepare_$name" "$releases/$folder" --out "$out/converted"
    sources+=("$name=$out/converted/${name}_*.jsonl")
done
"$python" -m data.build --out "$out" --source "${sources[@]}" --prompts-from cmedqa2 --pretrain
