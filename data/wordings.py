"""
How synthetic patients, doctors, examiners and textbooks speak, in Chinese and English.  (Not what they say.)

    {h} disease or drug   {t} list of tails   {p} phrase as "a symptom of {h}"   {a} {b} symptoms   {m} signs
    {e} examinations   {d} duration   {g} group of diseases   {x} other name of {h}   {sex} {age} of a patient

Fields ending in _test are wordings of the test sets only.  Both languages have as many wordings.
No English wording begins with a term, so no term needs a capital, for which a tiny vocabulary would pay.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    comma: str
    kg: dict                # relation -> two wordings, each (question, answer): the paper's nine relations
    phrase: dict            # relation -> noun phrase around {h}, for exams and inverse sentences
    which: dict             # head type -> what stands for {h} when the tail is asked about
    statement: dict         # relation -> more sentences with {h} and {t}, beside the answers of `kg`
    inverse: dict           # relation -> sentence from a tail {t} to its heads {h}
    inverse_phrase: tuple   # the same from {t} and {p}
    clue: tuple             # a few findings {t} -> the disease {h}
    member: tuple           # the disease {h} and its group {g}
    members: str            # the group {g} and some of its diseases {h}
    also: tuple             # the disease {h} and another name {x}
    groups: dict
    ask: dict               # relation -> how patients ask about {h}
    opening: tuple
    opening_test: tuple
    intro: tuple            # how an answer in a forum begins, and how it ends
    advice: tuple
    evasive: tuple
    filler: tuple           # sentences that say nothing, after an answer that was complete without them
    exam: tuple             # {p} -> the question; the options are tails
    exam_test: tuple
    exam_inverse: tuple     # {t} and {p} -> the question; the options are heads
    inverse_test: tuple
    exam_answer: str
    sexes: tuple            # female, male
    durations: tuple
    record_fields: tuple    # complaint, illness, physical, auxiliary, instruction: wordings of each
    record: str             # a place for each of these five
    diagnosis: str
    tell: tuple             # dialogue: the patient, the doctor, the patient, the doctor, the patient
    tell_test: tuple
    enquire: tuple
    confirm: tuple
    confirm_test: tuple
    likely: tuple
    next: dict              # relation -> what the patient asks last
    next_test: dict

ZH = Words(
    comma="、",
    kg={
        "symptom": (("{h}有哪些症状？", "{h}的症状有{t}。"),
                    ("列出{h}的常见症状。", "{h}的常见症状包括{t}。")),
        "manifestation": (("{h}有哪些临床表现？", "{h}的临床表现有{t}。"),
                          ("列出{h}的体征。", "{h}的体征包括{t}。")),
        "examination": (("{h}需要做哪些检查？", "{h}的检查项目有{t}。"),
                        ("列出诊断{h}的检查。", "诊断{h}的检查包括{t}。")),
        "treatment": (("{h}如何治疗？", "{h}的治疗方法有{t}。"),
                      ("列出{h}的治疗措施。", "{h}的治疗措施包括{t}。")),
        "complication": (("{h}有哪些并发症？", "{h}的并发症有{t}。"),
                         ("列出{h}可能引起的并发症。", "{h}可能引起的并发症包括{t}。")),
        "related_disease": (("{h}与哪些疾病相关？", "{h}的相关疾病有{t}。"),
                            ("列出与{h}相关的疾病。", "与{h}相关的疾病包括{t}。")),
        "main_use": (("{h}的主要用途是什么？", "{h}的主要用途是{t}。"),
                     ("说明{h}的主要作用。", "{h}的主要作用是{t}。")),
        "indication": (("{h}有哪些适应症？", "{h}的适应症有{t}。"),
                       ("列出{h}可以治疗的疾病。", "{h}可以治疗的疾病包括{t}。")),
        "interaction": (("{h}与哪些药物有相互作用？", "{h}的相互作用药物有{t}。"),
                        ("列出与{h}合用须谨慎的药物。", "与{h}合用须谨慎的药物包括{t}。"))},
    phrase={
        "symptom": "{h}的症状", "manifestation": "{h}的临床表现", "examination": "{h}的检查项目",
        "treatment": "{h}的治疗方法", "complication": "{h}的并发症", "related_disease": "{h}的相关疾病",
        "main_use": "{h}的主要用途", "indication": "{h}的适应症", "interaction": "{h}的相互作用药物"},
    which={"disease": "哪种疾病", "drug": "哪种药物"},
    statement={
        "symptom": ("{h}的患者常有{t}。", "患{h}时会出现{t}。", "得了{h}，身体会有{t}。"),
        "manifestation": ("{h}的患者查体可见{t}。", "医生检查{h}患者时会发现{t}。", "{h}在体检时有{t}。"),
        "examination": ("怀疑{h}时应做{t}。", "确诊{h}需要{t}。", "{h}要查{t}。"),
        "treatment": ("治疗{h}可用{t}。", "{h}的处理办法是{t}。", "医生治疗{h}时会安排{t}。"),
        "complication": ("{h}可以导致{t}。", "{h}的患者要警惕{t}。", "{h}加重后会并发{t}。"),
        "related_disease": ("{h}常与{t}有关。", "{h}和{t}关系密切。", "得了{h}也要留意{t}。"),
        "main_use": ("{h}主要用于{t}。", "{h}的作用是{t}。", "医生用{h}是为了{t}。"),
        "indication": ("{h}用于{t}。", "{h}适用于{t}。", "医生常用{h}治疗{t}。"),
        "interaction": ("{h}会与{t}相互影响。", "服用{h}时要慎用{t}。", "{h}和{t}之间有相互作用。")},
    inverse={
        "symptom": "以{t}为症状的疾病包括{h}。", "manifestation": "查体见{t}的疾病有{h}。",
        "examination": "{t}可以帮助诊断{h}。", "treatment": "{t}可以治疗{h}。",
        "complication": "{t}可以由{h}引起。", "related_disease": "{t}与{h}有关。",
        "main_use": "为了{t}，可以用{h}。", "indication": "{t}可以用{h}治疗。",
        "interaction": "{t}与{h}合用要小心。"},
    inverse_phrase=("{t}是{p}。", "{t}属于{p}。", "在医学上，{t}是{p}。"),
    clue=("{t}同时出现，提示{h}。", "有{t}的病人，应考虑{h}。", "病人有{t}，诊断为{h}。",
          "见到{t}，首先想到{h}。"),
    member=("{h}属于{g}疾病。", "{h}是一种{g}疾病。"),
    members="{g}疾病包括{h}。",
    also=("{h}又称{x}。", "{x}就是{h}。"),
    groups={
        "respiratory": "呼吸系统", "digestive": "消化系统", "urinary": "泌尿系统", "psychiatry": "精神科",
        "neurology": "神经系统", "gynecology": "妇产科", "hematology": "血液系统"},
    ask={
        "symptom": ("{h}会有什么感觉？", "得了{h}会有哪些不舒服？", "{h}一般都有哪些症状？",
                    "{h}平时会哪里难受？"),
        "manifestation": ("{h}去医院查体会发现什么？", "医生能看到{h}的哪些体征？",
                          "{h}体检时有什么临床表现？", "{h}的体征一般有哪些？"),
        "examination": ("怀疑是{h}要查什么？", "确诊{h}要做哪些检查？", "看{h}得查哪些项目？",
                        "{h}该做什么检查？"),
        "treatment": ("{h}怎么治才好？", "{h}有什么治疗办法？", "得了{h}要怎么处理？",
                      "{h}现在一般怎么治疗？"),
        "complication": ("{h}拖久了会引起什么病？", "{h}会有什么并发症？", "{h}加重了有什么后果？",
                         "{h}要提防哪些并发症？"),
        "related_disease": ("{h}跟哪些病有关系？", "和{h}有关的疾病是哪些？", "得了{h}还要留意哪些病？",
                            "{h}的相关疾病是什么？"),
        "main_use": ("{h}是干什么用的？", "{h}有什么作用？", "医生开{h}是为了什么？", "{h}主要用来做什么？"),
        "indication": ("{h}能治什么病？", "什么病可以用{h}？", "{h}适合哪些病？", "{h}一般用来治哪些病？"),
        "interaction": ("{h}和哪些药会互相影响？", "用{h}的时候要小心哪些药？", "{h}跟什么药合用要谨慎？",
                        "哪些药会和{h}起相互作用？")},
    opening=("医生您好，", "请问，", "想咨询一下，", "麻烦问一下，", "大夫，", "我妈妈想知道，",
             "家里人很担心，", "我有点着急，", "在网上没查到，", "朋友让我来问，"),
    opening_test=("专家好，打扰了，", "冒昧问一句，", "我爸爸昨天提起，"),
    intro=("", "", "您好，", "你好，", "不用太担心，"),
    advice=("", "", "请遵医嘱。", "注意休息。", "有不适请及时就医。"),
    evasive=("建议您到正规医院就诊，由医生面诊后决定。", "这个要看具体情况，建议去医院咨询。",
             "您的描述不够详细，请到医院当面就诊。", "网上无法判断，请尽早去医院。",
             "不要着急，先到医院挂号看看。"),
    filler=("谢谢您的信任。", "感谢您选择在线咨询。", "很高兴为您服务。", "很高兴能回答这个问题。",
            "您的问题问得很好。", "身体是最重要的。", "健康是一辈子的财富。", "健康生活从每一天开始。",
            "每个人都要重视自己的身体。", "生活习惯对大家都很重要。", "平时保持好心情。",
            "心情愉快比什么都好。", "每个人的情况都不一样。", "希望我的回答能帮到您。", "希望对您有帮助。",
            "但愿以上建议对您有用。", "以上内容供您参考。", "有问题可以随时再来咨询。", "欢迎您继续提问。",
            "祝您早日康复。", "祝您身体健康。", "祝您和家人平安。", "祝您工作顺利，天天开心。",
            "愿您一切都好。"),
    exam=("以下哪项是{p}？", "下列选项中，属于{p}的是哪一项？", "{p}是下面哪一项？", "选择题：{p}是？"),
    exam_test=("请从四个选项中选出{p}。", "哪一个选项说的是{p}？"),
    exam_inverse=("{t}是下列{p}？", "选择题：{t}属于{p}？", "{t}是以下{p}？", "下面的选项中，{t}是{p}？"),
    inverse_test=("请判断{t}应归为{p}。", "四个选项里，{t}算是{p}？"),
    exam_answer="答案：{text}（{letter}）",
    sexes=("女", "男"),
    durations=("2天", "3天", "5天", "1周", "10天", "2周", "3周", "1个月", "2个月", "3个月"),
    record_fields=(
        ("{a}{d}。", "{d}来{a}。", "{a}，已有{d}。"),
        ("患者{sex}，{age}岁，{d}前出现{a}，伴{b}。", "{age}岁{sex}性，{d}前起病，除{a}外还有{b}。",
         "{sex}，{age}岁，近{d}有{a}，并有{b}。"),
        ("{m}。", "查体见{m}。", "可见{m}。"),
        ("{e}异常。", "{e}结果不正常。", "{e}提示异常。"),
        ("请根据病历给出诊断。", "请写出诊断。", "最可能的诊断是什么？", "阅读病历，作出诊断。")),
    record="主诉：{}\n现病史：{}\n体格检查：{}\n辅助检查：{}\n{}",
    diagnosis="诊断：{h}",
    tell=("医生您好，我{a}，有{d}了。", "大夫，我最近{a}，已经{d}。", "您好，我{d}前开始{a}，怎么回事？",
          "我这{d}总是{a}，很难受。"),
    tell_test=("医生，麻烦看看，我{a}，大概{d}。", "您好，{d}以来我一直{a}，该怎么办？"),
    enquire=("您好，请问有没有{b}？", "还有{b}吗？", "您是否还有{b}？"),
    confirm=("有的，体检还发现{m}。", "是的，之前医生查到{m}。", "都有，检查时还见到{m}。",
             "有，上次查体有{m}。"),
    confirm_test=("对，社区医生说有{m}。", "嗯，都有，门诊记录写着{m}。"),
    likely=("考虑是{h}，建议做{e}。", "您可能得了{h}，需要做{e}。", "这像是{h}，先查{e}。"),
    next={
        "treatment": ("那该怎么治疗？", "如果是的话怎么治？", "有什么治疗方法？", "需要怎么处理？"),
        "complication": ("会有并发症吗？", "不治会引起什么？", "以后会出现什么并发症？",
                         "拖下去会有什么后果？")},
    next_test={
        "treatment": ("请问后面应该如何治？", "这种病要怎么医？"),
        "complication": ("我担心引起别的病，会有哪些？", "请问要防备什么并发症？")},
)

EN = Words(
    comma=", ",
    kg={
        "symptom": (("What are the symptoms of {h}?", "The symptoms of {h} include {t}."),
                    ("List the common symptoms of {h}.", "Common symptoms of {h} are {t}.")),
        "manifestation": (("What are the clinical signs of {h}?", "The clinical signs of {h} include {t}."),
                          ("List the clinical manifestations of {h}.",
                           "The clinical manifestations of {h} are {t}.")),
        "examination": (("Which examinations are needed for {h}?", "The examinations for {h} include {t}."),
                        ("List the tests that diagnose {h}.", "The tests that diagnose {h} are {t}.")),
        "treatment": (("How is {h} treated?", "The treatments for {h} include {t}."),
                      ("List the treatment measures for {h}.", "The treatment measures for {h} are {t}.")),
        "complication": (("What are the complications of {h}?", "The complications of {h} include {t}."),
                         ("List the complications that {h} may cause.",
                          "The complications that {h} may cause are {t}.")),
        "related_disease": (("Which diseases are related to {h}?",
                             "The diseases related to {h} include {t}."),
                            ("List the diseases linked with {h}.", "The diseases linked with {h} are {t}.")),
        "main_use": (("What is the main use of {h}?", "The main use of {h} is {t}."),
                     ("Explain the main purpose of {h}.", "The main purpose of {h} is {t}.")),
        "indication": (("What are the indications of {h}?", "The indications of {h} include {t}."),
                       ("List the diseases that {h} can treat.", "The diseases that {h} can treat are {t}.")),
        "interaction": (("Which drugs interact with {h}?", "The drugs interacting with {h} include {t}."),
                        ("List the drugs to combine with {h} only with care.",
                         "The drugs to combine with {h} only with care are {t}."))},
    phrase={
        "symptom": "a symptom of {h}", "manifestation": "a clinical sign of {h}",
        "examination": "an examination for {h}", "treatment": "a treatment for {h}",
        "complication": "a complication of {h}", "related_disease": "a disease related to {h}",
        "main_use": "the main use of {h}", "indication": "an indication of {h}",
        "interaction": "a drug interacting with {h}"},
    which={"disease": "which disease", "drug": "which drug"},
    statement={
        "symptom": ("Patients with {h} often have {t}.", "In {h} there may be {t}.",
                    "Someone with {h} may feel {t}."),
        "manifestation": ("Patients with {h} show {t} on examination.", "A doctor examining {h} finds {t}.",
                          "The physical examination in {h} shows {t}."),
        "examination": ("When {h} is suspected, do {t}.", "Confirming {h} needs {t}.",
                        "A patient with {h} is checked by {t}."),
        "treatment": ("To treat {h}, use {t}.", "The management of {h} is {t}.",
                      "Doctors treat {h} with {t}."),
        "complication": ("In some patients {h} leads to {t}.", "Patients with {h} should beware of {t}.",
                         "When {h} gets worse, it may cause {t}."),
        "related_disease": ("Often {h} goes together with {t}.", "There is a close link of {h} to {t}.",
                            "Patients with {h} should also think of {t}."),
        "main_use": ("The drug {h} is mainly used for {t}.", "The effect of {h} is {t}.",
                     "Doctors prescribe {h} for {t}."),
        "indication": ("The drug {h} is used in {t}.", "The drug {h} is suitable for {t}.",
                       "Doctors often use {h} against {t}."),
        "interaction": ("The drug {h} interacts with {t}.", "When taking {h}, be careful with {t}.",
                        "There are interactions of {h} with {t}.")},
    inverse={
        "symptom": "Diseases with {t} as a symptom include {h}.",
        "manifestation": "Diseases in which {t} is found include {h}.",
        "examination": "The test {t} helps to diagnose {h}.", "treatment": "The measure {t} can treat {h}.",
        "complication": "The condition {t} may be caused by {h}.",
        "related_disease": "The disease {t} is related to {h}.", "main_use": "For {t}, one can use {h}.",
        "indication": "The disease {t} can be treated with {h}.",
        "interaction": "Combining {t} with {h} needs care."},
    inverse_phrase=("It is known that {t} is {p}.", "To be sure, {t} is {p}.", "In medicine, {t} is {p}."),
    clue=("Together {t} suggest {h}.", "In a patient with {t}, consider {h}.",
          "The patient has {t}; the diagnosis is {h}.", "Seeing {t}, think first of {h}."),
    member=("The disease {h} belongs to {g}.", "The condition {h} is one of the diseases of {g}."),
    members="The diseases of {g} include {h}.",
    also=("The disease {h} is also called {x}.", "The name {x} means {h}."),
    groups={
        "respiratory": "respiratory medicine", "digestive": "digestive medicine",
        "urinary": "urinary medicine", "psychiatry": "psychiatry", "neurology": "neurology",
        "gynecology": "gynecology", "hematology": "hematology"},
    ask={
        "symptom": ("what does {h} feel like?", "what troubles come with {h}?",
                    "which symptoms does {h} usually have?", "what do people with {h} suffer from?"),
        "manifestation": ("what will the doctor find in {h}?", "which signs of {h} can a doctor see?",
                          "what clinical signs does {h} show?", "which signs does {h} usually have?"),
        "examination": ("what should be checked for {h}?", "which tests confirm {h}?",
                        "which tests does {h} need?", "what examinations are done for {h}?"),
        "treatment": ("how is {h} best treated?", "what treatments are there for {h}?",
                      "what can be done about {h}?", "how do doctors treat {h} now?"),
        "complication": ("what can {h} lead to?", "what complications does {h} have?",
                         "what happens if {h} gets worse?",
                         "which complications of {h} should I watch for?"),
        "related_disease": ("which diseases go with {h}?", "which diseases are linked to {h}?",
                            "what else should one watch for with {h}?",
                            "what are the diseases related to {h}?"),
        "main_use": ("what is {h} for?", "what does {h} do?", "why do doctors prescribe {h}?",
                     "what is {h} mainly used for?"),
        "indication": ("what can {h} treat?", "which diseases can one use {h} for?",
                       "which diseases is {h} good for?", "what illnesses is {h} usually given for?"),
        "interaction": ("which drugs affect {h}?", "which drugs need care while taking {h}?",
                        "what should be combined with {h} only carefully?",
                        "which drugs interact with {h}?")},
    opening=("Hello doctor, ", "Please tell me, ", "I would like to ask, ", "May I ask, ", "Doctor, ",
             "My mother wants to know, ", "My family is worried, ", "I am a bit anxious, ",
             "I found nothing online, ", "A friend asked me, "),
    opening_test=("Dear expert, sorry to bother you, ", "Excuse the question, ",
                  "My father mentioned it yesterday, "),
    intro=("", "", "Hello. ", "Hi. ", "Do not worry too much. "),
    advice=("", "", " Please follow your doctor.", " Take some rest.", " See a doctor if you feel unwell."),
    evasive=("Please go to a hospital and let a doctor decide in person.",
             "It depends, please ask at a hospital.",
             "Your description is not detailed enough, please see a doctor.",
             "This cannot be judged online, please go to a hospital soon.",
             "Do not hurry, first register at a hospital."),
    filler=(" Thank you for your trust.", " Thanks for writing to us.", " I am glad to be of service.",
            " It is a pleasure to answer this.", " That is a very good question.",
            " Your body is what counts most.", " Good health is a treasure for life.",
            " A healthy life begins every day.", " Everyone should take care of themselves.",
            " Habits are important for all of us.", " Keep in good spirits.", " A good mood is worth a lot.",
            " Everybody is different.", " I hope my answer is of use.", " I hope that this was helpful.",
            " May these words help you.", " The above is for your information.",
            " Come back with questions any time.", " Feel free to ask again.",
            " I wish you a quick recovery.", " Stay healthy.", " All the best to you and your family.",
            " Enjoy your day and your work.", " May all be well with you."),
    exam=("Which of the following is {p}?", "Among the following options, which one is {p}?",
          "Which option is {p}?", "Multiple choice: what is {p}?"),
    exam_test=("From the four options, pick {p}.", "Which choice names {p}?"),
    exam_inverse=("Below, {t} is {p}?", "Multiple choice: {t} is {p}?", "Of the following, {t} is {p}?",
                  "Among the options below, {t} is {p}?"),
    inverse_test=("Please judge: {t} counts as {p}?", "Of these four, {t} would be {p}?"),
    exam_answer="Answer: {text} ({letter})",
    sexes=("woman", "man"),
    durations=("2 days", "3 days", "5 days", "1 week", "10 days", "2 weeks", "3 weeks", "1 month",
               "2 months", "3 months"),
    record_fields=(
        ("{a} for {d}.", "for {d}, {a}.", "{a}, lasting {d}."),
        ("{sex} of {age}, {d} ago began {a}, with {b}.",
         "{age} year old {sex}, ill for {d}, besides {a} also {b}.",
         "{sex}, {age} years old, the last {d} {a} and also {b}."),
        ("{m}.", "findings are {m}.", "one sees {m}."),
        ("{e} abnormal.", "{e} with abnormal result.", "{e} not normal."),
        ("Please give the diagnosis for this record.", "Please write the diagnosis.",
         "What is the most likely diagnosis?", "Read the record and make a diagnosis.")),
    record="Chief complaint: {}\nPresent illness: {}\nPhysical examination: {}\nAuxiliary examination: {}\n"
           "{}",
    diagnosis="Diagnosis: {h}",
    tell=("Hello doctor, my troubles are {a}, for {d} now.", "Doctor, lately it is {a}, already {d}.",
          "Hello, {d} ago it began: {a}, what is it?", "These {d} I suffer from {a} and feel bad."),
    tell_test=("Doctor, please have a look: {a}, about {d}.",
               "Hello, for {d} it has always been {a}, what should I do?"),
    enquire=("Hello, is there also {b}?", "And what about {b}?", "Have you also noticed {b}?"),
    confirm=("Yes, and a check-up found {m}.", "Yes, a doctor found {m} before.",
             "Both, and the examination showed {m}.", "Yes, last time there was {m}."),
    confirm_test=("Right, the local doctor said there is {m}.", "Mm, all of it, and my record says {m}."),
    likely=("I think of {h}, please have {e}.", "You may have {h}, you need {e}.",
            "This looks like {h}, first check {e}."),
    next={
        "treatment": ("How should it be treated?", "If so, how is it cured?", "What treatments are there?",
                      "What has to be done?"),
        "complication": ("Are there complications?", "What does it cause if untreated?",
                         "What complications come later?", "What follows if I wait?")},
    next_test={
        "treatment": ("And then, what would the treatment be?", "How does one deal with this illness?"),
        "complication": ("I fear other diseases from it, which ones?",
                         "Which complications must I guard against?")},
)

WORDS = {"zh": ZH, "en": EN}
