#!/usr/bin/env bash
# The whole story on the embedded default: tiny base -> SFT -> reward model -> PPO -> evaluation of base, SFT and PPO -> report.
#   ./speedrun.sh            under 6 minutes on 2 CPU cores (in English 9);  report: runs/speedrun/report.html
#   ./speedrun.sh --smoke    the same path, seconds a stage
#   ./speedrun.sh --seed 3 --lang en --out runs/speedrun-en
set -euo pipefail
cd "$(dirname "$0")"
. scripts/environment.sh

seed=0 lang=zh out=runs/speedrun base=tiny
train=() ppo=() evaluate=()
while [ $# -gt 0 ]; do
    case "$1" in
        --smoke) out=runs/smoke base=runs/smoke/base train=(--steps 4) ppo=(--steps 3 --value-warmup 1 --batch-size 8 --ignore-probes) evaluate=(--limit 8) ;;
        --seed) seed=$2; shift ;;
        --lang) lang=$2; shift ;;
        --out) out=$2; shift ;;
        *) echo "speedrun.sh: unknown argument $1; there are --smoke, --seed N, --lang zh|en, --out DIR" >&2; exit 2 ;;
    esac
    shift
done
set -x
if [ "$base" != tiny ]; then
    python -m clinicalgpt.pretrain --lang "$lang" --out "$base" --steps 10 --width 64 --overwrite
fi
python train_sft.py --base "$base" --lang "$lang" --seed "$seed" --out "$out/sft" --overwrite "${train[@]}"
python train_reward.py --init "$out/sft" --lang "$lang" --seed "$seed" --out "$out/reward" --overwrite "${train[@]}"
python train_ppo.py --init "$out/sft" --reward "$out/reward" --lang "$lang" --seed "$seed" --out "$out/ppo" --overwrite "${ppo[@]}"
python evaluate.py --models "base=$base" "sft=$out/sft" "ppo=$out/ppo" --reward "$out/reward" --lang "$lang" --seed "$seed" \
    --out "$out" --title "ClinicalGPT: from a base model to a clinical assistant" "${evaluate[@]}"
