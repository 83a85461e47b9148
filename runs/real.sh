#!/usr/bin/env bash
# All stages on real records: a small base pretrained on their text, SFT, reward model, PPO, and the four evaluations on rows kept out.
#   runs/real.sh RELEASES [OUT]      RELEASES: the folder with huatuo26M/, cMedQA2/, ... (data/README.md says where they come from)
# About a quarter of an hour on 2 CPU cores.  A base of a few million weights learns the manner of doctors, not medicine: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
releases=${1:?usage: runs/real.sh RELEASES [OUT]} out=${2:-runs/real}
set -x
runs/real_data.sh "$releases" "$out/data"
python -m clinicalgpt.pretrain --text "$out/data/pretrain.txt" --out "$out/base" --vocabulary 8192 --width 256 --layers 3 --batch-size 24 \
    --steps 400 --overwrite
python train_sft.py --base "$out/base" --data "$out/data/train.jsonl" --valid "$out/data/valid.jsonl" --out "$out/sft" \
    --batch-size 32 --max-len 384 --steps 250 --eval-every 250 --overwrite
python train_reward.py --init "$out/sft" --data "$out/data/preferences_train.jsonl" --valid "$out/data/preferences_valid.jsonl" \
    --out "$out/reward" --max-len 384 --steps 240 --overwrite
python train_ppo.py --init "$out/sft" --reward "$out/reward" --data "$out/data/prompts.jsonl" --valid "$out/data/valid.jsonl" --out "$out/ppo" \
    --batch-size 32 --steps 24 --eval-prompts 64 --max-new-tokens 96 --overwrite --ignore-probes      # so small a reward model fails some
python evaluate.py --models "base=$out/base" "sft=$out/sft" "ppo=$out/ppo" --reward "$out/reward" --graph none --limit 150 \
    --data "$out"/data/test_{dialogue,exam,diagnosis,qa}.jsonl --max-new-tokens 96 --out "$out" --title "ClinicalGPT on real records"
