"""Records from a knowledge graph and from public releases; README.md has the formats."""

FOLDERS = {                                                     # of releases, by the name of their converter
    "agentclinic": "AgentClinic", "ai_hospital": "AI_Hospital", "ceval": "CEval", "cmb_clin": "CMB",
    "cmedqa2": "cMedQA2", "cmexam": "CMExam", "cmmlu": "CMMLU", "cmtmedqa": "CMtMedQA",
    "dxbench": "Chain-of-Diagnosis", "dxy_dialog": "dxy_dialog", "huatuo26m": "huatuo26M",
    "huatuo_kgqa": "Huatuo_KGQA", "meddialog": "COVID-Dialogue", "medfound": "MedFound",
    "medicalgpt": "MedicalGPT", "mediqa": "MEDIQA2019", "medmcqa": "MedMCQA", "medqa": "MedQA",
    "mts_dialog": "MTS-Dialog", "tcm_sd": "TCM-SD", "toyhom": "Toyhom", "xywy": "QASystemOnMedicalKG",
    "39health": "QASystemOnMedicalGraph"}
