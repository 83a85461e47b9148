"""
How facts of a knowledge graph are asked and stated, by relation: the paper's nine and 40 more.
(Not here: which question is made of which fact, see prepare_graph.py; reading text, see facts.py.)

    {h}  the head    {t}  its tails, joined          templates(lang)[relation] has
    phrase  a tail is a ... of {h}: for exam questions, and to deny a fact
    cues    words that announce the relation in a sentence of any shape, for reading text
    pairs   wordings (question, answer); any question goes with any answer

Of the nine, the first two wordings are the paper's, see wordings.py, and three more are made of what patients
and textbooks say there.  A relation that has no row here makes no question.  The tails of VALUES are amounts
and phrases: two that differ may both be true, so they make questions, but neither wrong answers nor
contradictions.  Other names of a relation, as releases spell them, stand in SAME.  No wording begins with a
term in English, see wordings.py.  A long line of cues goes on below, three spaces in.
"""
from typing import NamedTuple

from data.wordings import WORDS


class Template(NamedTuple):
    phrase: str
    cues: tuple
    pairs: tuple


VALUES = {"cost", "cure_rate", "duration", "incidence", "insurance", "susceptible_population", "transmission",
          "onset_age", "incubation", "prognosis", "dosage", "storage", "mechanism"}
SAME = {
    "acompany": "complication", "accompany": "complication", "has_symptom": "symptom",
    "prevent": "prevention",
    "easy_get": "susceptible_population", "get_way": "transmission", "get_prob": "incidence",
    "cure_lasttime": "duration", "cured_prob": "cure_rate", "cost_money": "cost", "yibao_status": "insurance",
    "cure_department": "department", "belongs_to": "department", "do_eat": "food_good", "not_eat": "food_bad",
    "no_eat": "food_bad", "recommand_eat": "recipe", "recommend_eat": "recipe", "food_recommended": "recipe",
    "common_drug": "drug", "recommand_drug": "recommended_drug", "recommend_drug": "recommended_drug",
    "need_check": "check", "cause_of_disease": "cause", "etiology": "cause", "part": "body_part",
    "population": "susceptible_population", "susceptible": "susceptible_population", "age": "onset_age",
    "infection": "transmission", "period": "duration", "rate": "cure_rate", "money": "cost",
    "side_effect": "adverse_reaction", "component": "ingredient", "usage": "dosage", "form": "dosage_form",
    "differential": "differential_diagnosis", "category": "subtype", "type": "subtype"}

CUES = {                                                             # of the paper's nine: Chinese | English
    "symptom": "症状 感觉 不适 不舒服 难受 出现 表现为 表现出 感到 主诉 常有 伴有 伴随 患者常有 会有"
        "| symptom|symptoms|feel|feels|suffer from|suffers from|suffer|experience|experiences"
        "|complain of|complains of|present with|presents with|there may be|often have|may have"
        "|often has|troubled by",
    "manifestation": "临床表现 体征 查体 表现为 体检 体格检查 医生检查 可见 症状 出现 会有"
        "| clinical manifestations|clinical signs|clinical sign|sign|signs|manifestation"
        "|manifestations|on examination|physical examination|doctor examining|show|shows|finding"
        "|findings|present with|presents with",
    "examination": "检查 化验 检验 确诊 诊断 查 怀疑 检测 辅助检查 做 明确"
        "| examination|examinations|test|tests|tested|diagnose|diagnosis|diagnosed|diagnoses|confirm"
        "|confirming|confirmed|checked by|suspected|suspects|suspect|work-up|examined|checkup|checked",
    "treatment": "治疗 疗法 处理 处理办法 可用 措施 医治 缓解 救治 治愈 采用"
        "| treatment|treatments|treat|treated|treating|therapy|therapies|management|managed|manage"
        "|cure|cured|relieve|relieved|handled",
    "complication": "并发症 并发 引起 导致 引发 诱发 警惕 造成 合并 伴发 后果 发展为 合并症"
        "| complication|complications|lead to|leads to|cause|causes|result in|results in|beware of"
        "|bring about|develop into|progress to|give rise to|gives rise to|trigger|triggers",
    "related_disease": "相关疾病 相关 有关 关系密切 关联 留意 联系"
        "| related to|related|linked|link|associated|goes together|go together|connected|think of",
    "main_use": "用途 作用 用于 为了 功效 用来 功能 主治"
        "| main use|used for|purpose|effect|effects|prescribe|prescribed|function|serves",
    "indication": "适应症 适应证 可以治疗 用于 适用于 治疗 适用 治 主治 针对 对症 医治"
        "| indication|indications|can treat|treat|treats|treating|used in|used for|used to treat"
        "|suitable for|treated with|treated by|against|indicated|used against",
    "interaction": "相互作用 合用 同服 慎用 相互影响 药物相互作用 同时服用 联用 联合使用 一起服用 并用 配伍"
        " 相互作用药物 谨慎"
        "| interact|interacts|interacting|interaction|interactions|combine|combined|combining|careful"
        "|taken together|together with|used together|co-administered"}

# relation; phrase | cues; four times question > answer; Chinese, then English
TABLE = """
department
zh {h}的就诊科室 | 科室 挂 就诊 科 看 挂号 门诊 诊疗 诊疗范围
  {h}应该挂哪个科？ > {h}应该挂{t}。
  {h}属于哪个科室？ > {h}所属的科室是{t}。
  得了{h}去哪个科看病？ > 得了{h}可以去{t}就诊。
  {h}的就诊科室是什么？ > {h}的就诊科室是{t}。
en a department that treats {h} | department|departments|ward|clinic|seen in|visit|go to|register
  Which department treats {h}? > The department that treats {h} is {t}.
  Where should a patient with {h} register? > A patient with {h} should register at {t}.
  Which clinic should I visit for {h}? > For {h}, visit {t}.
  To which department does {h} belong? > The department for {h} is {t}.

prevention
zh {h}的预防方法 | 预防 避免发生 防止 防范
  如何预防{h}？ > 预防{h}的方法有{t}。
  怎样才能不得{h}？ > 要防止{h}，可以{t}。
  {h}的预防措施有哪些？ > {h}的预防措施包括{t}。
  平时怎么防范{h}？ > 平时防范{h}要注意{t}。
en a way to prevent {h} | prevent|prevention|preventing|prevented|preventive|avoid getting
  How can {h} be prevented? > The ways to prevent {h} are {t}.
  What protects against {h}? > What protects against {h} is {t}.
  List the preventive measures for {h}. > The preventive measures for {h} include {t}.
  How does one avoid getting {h}? > To avoid getting {h}, attend to {t}.

cause
zh {h}的病因 | 病因 原因 引起 导致 由于 诱因 因为 造成 起因
  {h}是什么原因引起的？ > 引起{h}的原因有{t}。
  {h}的病因有哪些？ > {h}的病因包括{t}。
  为什么会得{h}？ > 得{h}是由于{t}。
  {h}是怎么得的？ > {h}的起因是{t}。
en a cause of {h} | cause|causes|caused by|due to|reason|reasons|because of|etiology|triggered by|result of
  What causes {h}? > The causes of {h} include {t}.
  Why does one get {h}? > The reasons for getting {h} are {t}.
  Where does {h} come from? > In most cases {h} is due to {t}.
  List the causes of {h}. > Known causes of {h} are {t}.

susceptible_population
zh {h}的易感人群 | 易感人群 好发 高发 多发 易患 高危人群 多见于 易感
  哪些人容易得{h}？ > 容易得{h}的人群有{t}。
  {h}的易感人群是什么？ > {h}的易感人群是{t}。
  {h}好发于哪些人？ > {h}好发于{t}。
  {h}多见于什么人？ > {h}多见于{t}。
en a group at risk of {h} | at risk|susceptible|prone|more common in|risk groups|affects|likely to get
  Who is likely to get {h}? > Those likely to get {h} are {t}.
  Which people are susceptible to {h}? > The people susceptible to {h} are {t}.
  Who is at risk of {h}? > At risk of {h} are {t}.
  In whom is {h} more common? > The disease {h} is more common in {t}.

transmission
zh {h}的传播途径 | 传播 传染 感染途径 传染性 传染方式
  {h}是怎么传播的？ > {h}的传播途径是{t}。
  {h}会传染吗？ > 关于{h}的传染性：{t}。
  {h}通过什么方式传染？ > {h}的传染方式是{t}。
  说明{h}的传染途径。 > {h}的传染途径为{t}。
en the transmission of {h} | transmission|transmitted|spread|spreads|contagious|infectious|passed on
  How is {h} transmitted? > The transmission of {h}: {t}.
  Is {h} contagious? > As to whether {h} is contagious: {t}.
  How does {h} spread? > The way in which {h} spreads: {t}.
  Explain the route of transmission of {h}. > The route of transmission of {h} is {t}.

cost
zh {h}的治疗费用 | 费用 花费 多少钱 收费 价格 花多少
  治疗{h}要花多少钱？ > 治疗{h}的费用：{t}。
  {h}的治疗费用是多少？ > {h}的治疗费用是{t}。
  看{h}大概花费多少？ > 看{h}的花费：{t}。
  {h}治下来贵吗？ > {h}的收费情况是{t}。
en the cost of treating {h} | cost|costs|price|expensive|fee|fees|charge
  How much does it cost to treat {h}? > The cost of treating {h}: {t}.
  What is the price of treating {h}? > The price of treating {h} is {t}.
  Is the treatment of {h} expensive? > The fee for {h}: {t}.
  What does one pay for {h}? > What one pays for {h}: {t}.

duration
zh {h}的治疗周期 | 周期 疗程 多久 病程 多长时间 持续 治疗时间
  {h}多久能治好？ > {h}的治疗周期是{t}。
  {h}的疗程有多长？ > {h}的疗程为{t}。
  治好{h}需要多长时间？ > 治好{h}需要的时间：{t}。
  {h}要治多久？ > {h}的治疗时间一般是{t}。
en the duration of treatment for {h} | duration|how long|takes|course|lasts|period|length of treatment
  How long does it take to cure {h}? > The time it takes to cure {h}: {t}.
  What is the duration of treatment for {h}? > The duration of treatment for {h} is {t}.
  How long is a course of treatment for {h}? > A course of treatment for {h} lasts {t}.
  How long will {h} be treated? > The period of treatment for {h} is {t}.

cure_rate
zh {h}的治愈率 | 治愈率 治愈概率 治好的可能 治愈的可能 治愈
  {h}的治愈率是多少？ > {h}的治愈率是{t}。
  {h}能治好吗？ > {h}治好的可能性：{t}。
  {h}治愈的概率有多大？ > {h}治愈的概率为{t}。
  得了{h}有多大希望治愈？ > {h}治愈的希望：{t}。
en the cure rate of {h} | cure rate|chance of cure|curable|cured in|probability of cure|chances
  What is the cure rate of {h}? > The cure rate of {h} is {t}.
  Can {h} be cured? > The chance of cure in {h}: {t}.
  How likely is it to recover from {h}? > The chances of recovering from {h}: {t}.
  What is the probability of cure in {h}? > The probability of cure in {h} is {t}.

insurance
zh {h}的医保情况 | 医保 报销 医疗保险 保险
  {h}属于医保疾病吗？ > {h}是否属于医保：{t}。
  治疗{h}可以报销吗？ > 治疗{h}的报销情况：{t}。
  {h}的医保情况怎样？ > {h}的医保情况：{t}。
  医疗保险管{h}吗？ > 医疗保险是否管{h}：{t}。
en the insurance status of {h} | insurance|insured|reimbursed|reimbursement|covered by
  Is {h} covered by medical insurance? > Medical insurance for {h}: {t}.
  Is the treatment of {h} reimbursed? > Reimbursement for {h}: {t}.
  What is the insurance status of {h}? > The insurance status of {h}: {t}.
  Does the insurance pay for {h}? > Whether the insurance pays for {h}: {t}.

incidence
zh {h}的发病率 | 发病率 患病率 患病比例 发病概率 得病率
  {h}的发病率是多少？ > {h}的发病率：{t}。
  {h}常见吗？ > {h}的患病情况：{t}。
  得{h}的概率有多大？ > 得{h}的概率：{t}。
  {h}的患病比例是多少？ > {h}的患病比例为{t}。
en the incidence of {h} | incidence|prevalence|how common|probability of getting|frequency
  What is the incidence of {h}? > The incidence of {h}: {t}.
  How common is {h}? > How common {h} is: {t}.
  What is the probability of getting {h}? > The probability of getting {h}: {t}.
  What is the prevalence of {h}? > The prevalence of {h} is {t}.

food_good
zh 适合{h}患者的食物 | 宜吃 适合吃 可以吃 多吃 宜食 应吃 有益 食物 食疗
  得了{h}吃什么好？ > 得了{h}适合吃{t}。
  {h}患者宜吃哪些食物？ > {h}患者宜吃{t}。
  {h}可以多吃些什么？ > {h}患者可以多吃{t}。
  哪些食物对{h}有益？ > 对{h}有益的食物有{t}。
en a food that is good in {h} | good to eat|should eat|recommended food|foods|eat|food|diet|beneficial
  What is good to eat with {h}? > What is good to eat with {h} is {t}.
  Which foods should a patient with {h} eat? > A patient with {h} should eat {t}.
  Which foods help in {h}? > The foods that help in {h} include {t}.
  What should one eat more of with {h}? > With {h}, eat more of {t}.

food_bad
zh {h}患者忌吃的食物 | 忌吃 不能吃 不宜吃 忌食 忌口 少吃 不宜食用 禁食 避免食用 禁忌食物 食物 饮食
   不要吃 别吃 不可以吃
  得了{h}不能吃什么？ > 得了{h}不能吃{t}。
  {h}患者忌吃哪些食物？ > {h}患者忌吃{t}。
  {h}的饮食禁忌有哪些？ > {h}患者要少吃{t}。
  哪些食物对{h}有害？ > {h}患者不宜食用的有{t}。
en a food to avoid in {h} | avoid eating|not eat|should avoid|foods to avoid|food to avoid|bad to eat
   |cut out|must not eat|should not eat|do not eat|never eat|cannot eat|stay away from|refrain from
   |keep off|avoid|food|foods
  What should one not eat with {h}? > What one should not eat with {h} is {t}.
  Which foods must be avoided in {h}? > The foods to avoid in {h} are {t}.
  What food is bad in {h}? > A patient with {h} should avoid eating {t}.
  What must a patient with {h} cut out? > A patient with {h} must cut out {t}.

recipe
zh 适合{h}患者的菜谱 | 食谱 菜谱 菜肴 食疗 推荐菜
  给{h}患者推荐几道菜。 > 推荐给{h}患者的菜肴有{t}。
  {h}有哪些食疗菜谱？ > {h}的食疗菜谱有{t}。
  得了{h}做什么菜吃好？ > 得了{h}可以做的菜谱有{t}。
  {h}患者的食谱怎么安排？ > {h}患者的食谱可以安排{t}。
en a dish for patients with {h} | dish|dishes|recipe|recipes|meal|meals|menu
  Which dishes suit a patient with {h}? > The dishes that suit a patient with {h} are {t}.
  Recommend some dishes for {h}. > Dishes to recommend for {h} include {t}.
  What should one cook for a patient with {h}? > Recipes for a patient with {h} are {t}.
  What could be on the menu with {h}? > On the menu with {h} there could be {t}.

drug
zh {h}的常用药 | 药物 用药 药品 常用药 服用 吃药 可用 使用 治疗 药
  {h}吃什么药？ > {h}可以服用的药物有{t}。
  {h}的常用药有哪些？ > {h}的常用药有{t}。
  治疗{h}用哪些药物？ > 治疗{h}的药物包括{t}。
  得了{h}要怎么用药？ > {h}的用药包括{t}。
en a drug for {h} | drug|drugs|medicine|medicines|medication|medications|given for|prescribed|treat
   |treated|treatment
  Which drugs are given for {h}? > The drugs given for {h} are {t}.
  What medicine does one take for {h}? > The medicines for {h} include {t}.
  List the common drugs for {h}. > Common drugs for {h} are {t}.
  What medication does {h} need? > The medication for {h} is {t}.

recommended_drug
zh {h}的推荐药物 | 推荐药物 推荐用药 推荐药品 药物 用药 治疗
  有哪些推荐用于{h}的药品？ > 推荐用于{h}的药品有{t}。
  请推荐治{h}的药。 > 治{h}的推荐药物有{t}。
  {h}推荐用什么药？ > {h}的推荐用药包括{t}。
  {h}买什么药合适？ > 适合{h}的推荐药品有{t}。
en a recommended drug for {h} | recommended drug|recommended drugs|recommended medicines|drugs|medicines
  Which drugs are recommended for {h}? > The recommended drugs for {h} are {t}.
  Please recommend a medicine for {h}. > Recommended medicines for {h} include {t}.
  What can one buy against {h}? > Drugs recommended against {h} are {t}.
  What is the recommended medication for {h}? > The recommended drugs in {h} include {t}.

check
zh {h}的检查 | 检查 化验 诊断 查 检测 做
  {h}要做什么化验？ > {h}要做的化验和检查有{t}。
  查{h}都查哪些？ > 查{h}要查的有{t}。
  怎样检查出{h}？ > 检查{h}可以用{t}。
  哪些检查能发现{h}？ > 能发现{h}的检查有{t}。
en a check for {h} | check|checks|test|tests|examination|examinations|checked
  Which checks find {h}? > The checks that find {h} are {t}.
  How is one tested for {h}? > The tests done for {h} are {t}.
  What is checked in {h}? > What is checked in {h} is {t}.
  How do doctors detect {h}? > Checks that detect {h} include {t}.

cure_way
zh {h}的疗法 | 疗法 治疗 医治 治法 办法
  {h}有哪些疗法？ > {h}的疗法有{t}。
  用什么方法治{h}？ > 治{h}的方法包括{t}。
  {h}怎么医治？ > 医治{h}的办法有{t}。
  说说{h}的治法。 > {h}的治法有{t}。
en a therapy for {h} | therapy|therapies|treatment|treatments|treat|treated
  Which therapies are there for {h}? > The therapies for {h} are {t}.
  In what way is {h} cured? > The ways to cure {h} include {t}.
  What can doctors do against {h}? > What doctors can do against {h} is {t}.
  Name the therapy for {h}. > The therapy for {h} is {t}.

body_part
zh {h}的发病部位 | 部位 发生在 累及 位于 侵犯 器官
  {h}发生在身体哪个部位？ > {h}发生在{t}。
  {h}的发病部位是哪里？ > {h}的发病部位是{t}。
  {h}会累及哪些器官？ > {h}会累及{t}。
  {h}是哪里的病？ > {h}的患病部位为{t}。
en a part of the body that {h} affects | part of the body|body part|site|located|affects|organ|organs
   |involves
  Which part of the body does {h} affect? > The part of the body that {h} affects is {t}.
  Where in the body is {h} located? > The site of {h} is {t}.
  Which organs does {h} involve? > The organs that {h} involves are {t}.
  What is the site of {h}? > In the body {h} is located in {t}.

onset_age
zh {h}的发病年龄 | 发病年龄 年龄 岁
  {h}在什么年龄发病？ > {h}的发病年龄是{t}。
  多大年纪容易得{h}？ > 容易得{h}的年龄：{t}。
  {h}的高发年龄是多少？ > {h}的高发年龄为{t}。
  什么年龄段要小心{h}？ > 要小心{h}的年龄段是{t}。
en the age at which {h} begins | age of onset|age|ages|onset
  At what age does {h} begin? > The age at which {h} begins: {t}.
  What is the age of onset of {h}? > The age of onset of {h} is {t}.
  At which age is {h} frequent? > The age at which {h} is frequent: {t}.
  How old are patients with {h}? > The usual age of patients with {h}: {t}.

stage
zh {h}的分期 | 分期 阶段 期别 分为
  {h}分为哪几期？ > {h}分为{t}。
  {h}的分期是怎样的？ > {h}的分期有{t}。
  {h}会经过哪些阶段？ > {h}会经过的阶段有{t}。
  列出{h}的各个阶段。 > {h}的各个阶段是{t}。
en a stage of {h} | stage|stages|phase|phases|staging
  What are the stages of {h}? > The stages of {h} are {t}.
  Into which stages is {h} divided? > The stages into which {h} is divided are {t}.
  Which phases does {h} go through? > The phases of {h} include {t}.
  How is {h} staged? > The staging of {h}: {t}.

incubation
zh {h}的潜伏期 | 潜伏期 潜伏
  {h}的潜伏期是多久？ > {h}的潜伏期是{t}。
  感染后多久出现{h}？ > {h}的潜伏时间为{t}。
  {h}能潜伏多长时间？ > {h}能潜伏{t}。
  {h}潜伏几天？ > {h}的潜伏期一般是{t}。
en the incubation period of {h} | incubation|incubation period|latency|incubates
  How long is the incubation period of {h}? > The incubation period of {h} is {t}.
  How soon after infection does {h} appear? > The incubation of {h} takes {t}.
  How long does {h} incubate? > The time that {h} incubates: {t}.
  What is the latency of {h}? > The latency of {h} is {t}.

subtype
zh {h}的分型 | 分型 类型 分类 亚型 种类 分为
  {h}有哪些类型？ > {h}的类型有{t}。
  {h}怎么分型？ > {h}的分型包括{t}。
  {h}可以分为哪几种？ > {h}可以分为{t}这些类型。
  列出{h}的亚型。 > {h}的亚型有{t}。
en a type of {h} | type|types|subtype|subtypes|kinds|kind|forms|classified|classification
  What types of {h} are there? > The types of {h} are {t}.
  How is {h} classified? > The classification of {h}: {t}.
  Which kinds of {h} exist? > The kinds of {h} include {t}.
  List the subtypes of {h}. > Subtypes of {h} are {t}.

pathogen
zh {h}的病原体 | 病原体 病原 致病菌 病菌 病毒 感染
  {h}的病原体是什么？ > {h}的病原体是{t}。
  {h}由什么病菌引起？ > 引起{h}的病原有{t}。
  感染什么会得{h}？ > 感染后会得{h}的病原体有{t}。
  {h}的致病菌有哪些？ > {h}的致病菌包括{t}。
en a pathogen of {h} | pathogen|pathogens|germ|germs|microbe|agent|infected with
  What is the pathogen of {h}? > The pathogen of {h} is {t}.
  Which germs cause {h}? > The germs behind {h} are {t}.
  Which infectious agent stands behind {h}? > The agent behind {h} is {t}.
  List the pathogens of {h}. > The pathogens of {h} include {t}.

risk_factor
zh {h}的危险因素 | 危险因素 风险因素 高危因素 增加风险 诱因
  {h}的危险因素有哪些？ > {h}的危险因素有{t}。
  什么会增加得{h}的风险？ > 增加{h}风险的有{t}。
  哪些因素容易诱发{h}？ > {h}的高危因素包括{t}。
  {h}与哪些风险因素有关？ > {h}的风险因素是{t}。
en a risk factor for {h} | risk factor|risk factors|risk|raise the risk|raises the risk
  What are the risk factors for {h}? > The risk factors for {h} are {t}.
  What raises the risk of {h}? > What raises the risk of {h} is {t}.
  Which habits favour {h}? > The factors that favour {h} include {t}.
  List the risks for {h}. > Risk factors of {h} include {t}.

prognosis
zh {h}的预后 | 预后 转归 结局
  {h}的预后怎么样？ > {h}的预后：{t}。
  {h}的转归如何？ > {h}的转归是{t}。
  得了{h}结局会怎样？ > {h}的结局：{t}。
  说说{h}的预后情况。 > {h}的预后情况是{t}。
en the prognosis of {h} | prognosis|outcome|outlook
  What is the prognosis of {h}? > The prognosis of {h}: {t}.
  What is the outlook with {h}? > The outlook with {h}: {t}.
  How does {h} end? > The outcome of {h} is {t}.
  Describe the prognosis of {h}. > The prognosis with {h} is {t}.

surgery
zh 治疗{h}的手术 | 手术 开刀 术式 治疗
  {h}做什么手术？ > {h}可以做的手术有{t}。
  {h}的手术方式有哪些？ > {h}的手术方式包括{t}。
  治疗{h}要开什么刀？ > 治疗{h}的手术是{t}。
  {h}有哪些术式？ > {h}的术式有{t}。
en an operation for {h} | surgery|surgeries|operation|operations|operated|surgical|procedure|procedures
   |treated
  Which operations are done for {h}? > The operations done for {h} are {t}.
  What surgery does {h} need? > The surgery for {h} is {t}.
  How is {h} operated on? > The surgical procedures for {h} include {t}.
  List the surgical procedures for {h}. > Operations for {h} include {t}.

differential_diagnosis
zh 需要与{h}鉴别的疾病 | 鉴别 鉴别诊断 区分 混淆 区别
  {h}要与哪些疾病鉴别？ > 需要与{h}鉴别的疾病有{t}。
  {h}容易和什么病混淆？ > 容易与{h}混淆的疾病有{t}。
  {h}的鉴别诊断有哪些？ > {h}的鉴别诊断包括{t}。
  诊断{h}时要区分哪些病？ > {h}要注意区分的疾病是{t}。
en a disease to tell apart from {h} | differential diagnosis|differential diagnoses|tell apart
   |told apart|distinguished|confused|mistaken
  From which diseases must {h} be distinguished? > The diseases to be distinguished from {h} are {t}.
  What is {h} easily confused with? > The diseases confused with {h} include {t}.
  What is the differential diagnosis of {h}? > The differential diagnosis of {h} is {t}.
  Which diseases must be told apart from {h}? > Diseases to be told apart from {h} are {t}.

sequela
zh {h}的后遗症 | 后遗症 遗留
  {h}有什么后遗症？ > {h}的后遗症有{t}。
  得过{h}会留下什么？ > {h}会遗留{t}。
  {h}治好后有哪些后遗症？ > {h}治好后的后遗症包括{t}。
  列出{h}的后遗症。 > {h}常见的后遗症是{t}。
en a late effect of {h} | sequela|sequelae|late effect|late effects|after-effects|long-term effects
  What are the late effects of {h}? > The late effects of {h} are {t}.
  What remains after {h}? > What remains as sequelae of {h} is {t}.
  Which after-effects can {h} have? > The after-effects of {h} include {t}.
  List the sequelae of {h}. > The sequelae of {h} are {t}.

nursing
zh {h}的护理要点 | 护理 照顾 照护 日常注意
  {h}如何护理？ > {h}的护理要点有{t}。
  怎么照顾{h}患者？ > 照顾{h}患者要做到{t}。
  {h}的护理措施有哪些？ > {h}的护理措施包括{t}。
  {h}日常要注意什么？ > {h}患者的日常护理是{t}。
en a nursing measure for {h} | nursing|care for|cared for|caring|home care
  How is a patient with {h} nursed? > The nursing of a patient with {h}: {t}.
  How does one care for someone with {h}? > To care for someone with {h}: {t}.
  List the nursing measures for {h}. > The nursing measures for {h} are {t}.
  What does home care in {h} involve? > Home care in {h} involves {t}.

vaccine
zh 预防{h}的疫苗 | 疫苗 接种
  预防{h}打什么疫苗？ > 预防{h}的疫苗有{t}。
  {h}有疫苗吗？ > {h}的疫苗有{t}。
  接种什么可以预防{h}？ > 可以接种{t}来预防{h}。
  列出针对{h}的疫苗。 > 针对{h}的疫苗包括{t}。
en a vaccine against {h} | vaccine|vaccines|vaccination|vaccinated|immunization
  Which vaccine protects against {h}? > The vaccine that protects against {h} is {t}.
  Is there a vaccine for {h}? > The vaccines for {h} are {t}.
  What vaccination prevents {h}? > The vaccination that prevents {h} is {t}.
  List the vaccines against {h}. > Vaccines against {h} include {t}.

dosage_form
zh {h}的剂型 | 剂型 制剂
  {h}有哪些剂型？ > {h}的剂型有{t}。
  {h}是什么剂型的药？ > {h}的剂型是{t}。
  {h}做成了哪些制剂？ > {h}的制剂包括{t}。
  说明{h}的剂型。 > {h}的药品剂型为{t}。
en a dosage form of {h} | dosage form|dosage forms|comes as|preparation|preparations|available as
  In which dosage forms does {h} come? > The dosage forms of {h} are {t}.
  What preparations of {h} are there? > The preparations of {h} include {t}.
  What is the dosage form of {h}? > The dosage form of {h} is {t}.
  As what is {h} sold? > In shops {h} is available as {t}.

adverse_reaction
zh {h}的不良反应 | 不良反应 副作用 副反应 毒副作用 出现 引起 导致
  {h}有哪些不良反应？ > {h}的不良反应有{t}。
  吃{h}有什么副作用？ > {h}的副作用包括{t}。
  服用{h}后会不舒服吗？ > 服用{h}后可能出现{t}。
  {h}会带来哪些反应？ > {h}带来的副反应有{t}。
en an adverse reaction to {h} | adverse reaction|adverse reactions|side effect|side effects
   |adverse effects|cause|causes|lead to|leads to
  What are the adverse reactions to {h}? > The adverse reactions to {h} are {t}.
  What side effects does {h} have? > The side effects of {h} include {t}.
  What can happen after taking {h}? > Adverse effects after taking {h} are {t}.
  List the side effects of {h}. > Side effects of {h} are {t}.

contraindication
zh {h}的禁忌 | 禁忌 禁忌症 禁用 忌用 禁忌证
  {h}的禁忌有哪些？ > {h}的禁忌有{t}。
  哪些情况禁用{h}？ > 禁用{h}的情况有{t}。
  什么人不能用{h}？ > 不能用{h}的包括{t}。
  列出{h}的禁忌症。 > {h}的禁忌症是{t}。
en a contraindication to {h} | contraindication|contraindications|contraindicated|forbidden
   |must not take|must not be used
  What are the contraindications to {h}? > The contraindications to {h} are {t}.
  When must {h} not be used? > The drug {h} must not be used in {t}.
  Who must not take {h}? > Those who must not take {h} are {t}.
  When is {h} forbidden? > The drug {h} is forbidden in {t}.

dosage
zh {h}的用法用量 | 用法 用量 剂量 服法 怎么吃 一次
  {h}怎么吃？ > {h}的服法：{t}。
  {h}的用法用量是什么？ > {h}的用法用量：{t}。
  {h}一次用多少？ > {h}的用量是{t}。
  {h}的剂量是多少？ > {h}的剂量为{t}。
en the dosage of {h} | dosage|dose|doses
  How is {h} taken? > The way to dose {h}: {t}.
  What is the dosage of {h}? > The dosage of {h} is {t}.
  How much {h} does one take? > The amount of {h} in a dose: {t}.
  What dose of {h} is usual? > The usual dose of {h} is {t}.

ingredient
zh {h}的成分 | 成分 成份 组成 含有 主要成分
  {h}的成分有哪些？ > {h}的成分有{t}。
  {h}含有什么？ > {h}含有{t}。
  {h}是由什么组成的？ > {h}的组成是{t}。
  列出{h}的主要成分。 > {h}的主要成分包括{t}。
en an ingredient of {h} | ingredient|ingredients|contains|contain|composed of|components|component
  What are the ingredients of {h}? > The ingredients of {h} are {t}.
  What does {h} contain? > The drug {h} contains {t}.
  What is {h} composed of? > The drug {h} is composed of {t}.
  List the main components of {h}. > The main components of {h} are {t}.

precaution
zh 使用{h}的注意事项 | 注意事项 注意 谨慎
  使用{h}要注意什么？ > 使用{h}要注意{t}。
  {h}的注意事项有哪些？ > {h}的注意事项有{t}。
  服{h}期间当心什么？ > 服{h}期间的注意事项包括{t}。
  说明{h}的用药注意。 > {h}的用药注意是{t}。
en a precaution with {h} | precaution|precautions|attention|cautions|warning|warnings
  What must one watch with {h}? > The precautions with {h} are {t}.
  Which precautions does {h} call for? > The precautions that {h} calls for include {t}.
  What needs attention when using {h}? > What needs attention when using {h} is {t}.
  List the warnings for {h}. > The warnings for {h} are {t}.

mechanism
zh {h}的作用机制 | 机制 原理 机理
  {h}的作用机制是什么？ > {h}的作用机制是{t}。
  {h}是怎么起作用的？ > {h}起作用的原理是{t}。
  {h}的机理如何？ > {h}的机理：{t}。
  解释{h}的药理机制。 > {h}的药理机制为{t}。
en the mechanism of {h} | mechanism|mechanisms|works by|acts by|mode of action
  What is the mechanism of {h}? > The mechanism of {h} is {t}.
  How does {h} work? > The way in which {h} works: {t}.
  Explain the mode of action of {h}. > The mode of action of {h}: {t}.
  By what mechanism does {h} act? > The mechanism by which {h} acts: {t}.

drug_class
zh {h}的药物类别 | 类别 类药物 归类
  {h}属于哪类药？ > {h}的药物类别是{t}。
  {h}是什么类型的药？ > {h}属于{t}。
  {h}归在哪一类药物？ > {h}归类为{t}。
  说明{h}的类别。 > {h}的类别：{t}。
en the class of {h} | class|classes|group of drugs|classed
  To which class of drugs does {h} belong? > The class of drugs of {h} is {t}.
  What class of drug is {h}? > The drug {h} is of the class {t}.
  How is {h} classed? > The drug {h} is classed as {t}.
  Name the drug class of {h}. > The drug class of {h}: {t}.

storage
zh {h}的贮藏方法 | 贮藏 储存 保存 存放
  {h}怎么保存？ > {h}的保存方法：{t}。
  {h}的贮藏条件是什么？ > {h}的贮藏条件是{t}。
  {h}要放在哪里？ > {h}的存放要求：{t}。
  说明{h}的储存方法。 > {h}的储存方法为{t}。
en the storage of {h} | storage|stored|store|kept
  How is {h} stored? > The storage of {h}: {t}.
  What are the storage conditions of {h}? > The storage conditions of {h} are {t}.
  Where must {h} be kept? > The place where {h} is kept: {t}.
  How does one store {h}? > To store {h}: {t}.

manufacturer
zh {h}的生产厂家 | 厂家 生产 药厂 企业
  {h}是哪个厂家生产的？ > {h}的生产厂家是{t}。
  哪些药厂生产{h}？ > 生产{h}的药厂有{t}。
  {h}由谁生产？ > {h}的生产企业是{t}。
  列出{h}的厂家。 > {h}的厂家有{t}。
en a maker of {h} | maker|makers|manufacturer|manufacturers|produced by|made by
  Who makes {h}? > The makers of {h} are {t}.
  Which manufacturers produce {h}? > The manufacturers of {h} are {t}.
  By whom is {h} produced? > In factories {h} is produced by {t}.
  List the makers of {h}. > Makers of {h} include {t}.
"""


def _rows(lang):
    """(relation, phrase, cues, pairs) of each block of the table."""
    for block in TABLE.strip().split("\n\n"):
        relation, *lines = block.replace("\n   ", " ").splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith(lang))
        phrase, cues = lines[start][3:].split(" | ")
        pairs = (tuple(line.strip().split(" > ")) for line in lines[start + 1:start + 5])
        yield relation, phrase, cues, tuple(pairs)


def templates(lang):
    """{relation: Template}, the paper's nine first."""
    words, found = WORDS[lang], {}
    for relation, cues in CUES.items():
        asked = [question[0].upper() + question[1:] for question in words.ask[relation]]
        pairs = words.kg[relation] + tuple(zip(asked, words.statement[relation], strict=False))
        found[relation] = Template(words.phrase[relation], _cues(cues.split("|", 1)[lang == "en"]), pairs)
    for relation, phrase, cues, pairs in _rows(lang):
        found[relation] = Template(phrase, _cues(cues), pairs)
    return found


def _cues(text):
    return tuple(cue.strip() for cue in (text.split("|") if "|" in text or text.isascii() else text.split()))
