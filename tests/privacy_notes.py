"""
Notes, messages and letters of a hospital with Chinese names in them, for tests of data/privacy.py.  (Nobody
here is real.)

    notes(pool, count)  ->  count texts, each with the places of its names [(start, end), ...]

Templates of privacy_cases.py mark nearly all names by a word that a rule knows.  These were written to see
what happens to names that nothing known marks: `first` when the odds of data/likely_names.py were settled on
other texts, `second` after they were improved by what `first` showed.  On the first look 94.3 and 97.5 % of
the names were found, and 95.9 and 89.9 % of what was taken for a name was one; rules alone find 28 and 29 %.
Surnames come as often as in China.
"""
import random
import re

# Surnames by their share of the people, per mille.
SHARES = {
    72: "王",
    71: "李",
    67: "张",
    54: "刘",
    45: "陈",
    31: "杨",
    22: "黄",
    21: "赵",
    20: "吴周",
    14: "徐孙",
    13: "马",
    12: "朱",
    11: "胡郭何林",
    10: "高",
    9: "罗郑",
    8: "梁",
    7: "谢宋唐",
    6: "许邓韩冯曹彭曾肖",
    5: "田董潘袁蔡蒋余于杜",
    4: "叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪",
    3: "廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫雷",
    2: "龙黎史陶贺毛段郝顾龚邵万覃武钱戴严莫孔向常汤",
    1: "康温易施文牛樊葛邢安齐乔伍庞颜倪庄聂章鲁岳翟殷申耿关焦左柳甘祝包符蒙冉仇臧占褚",
}
DOUBLE = ("欧阳", "司徒", "上官")
GIVEN = (
    "伟 芳 娜 秀英 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 秀兰 霞 平 刚 桂英 玉兰 萍 毅 浩 宇 婷 雪梅 "
    "丽娟 建华 国华 建平 玉梅 "
    "桂兰 秀珍 海燕 小军 晓丽 永强 志强 文杰 志伟 建国 淑珍 桂芝 凤英 玉珍 翠兰 春梅 玉英 秀云 秋生 水生 "
    "根生 阿妹 阿福 金凤 银凤 慧敏 "
    "慧玲 嘉欣 嘉怡 家乐 家豪 俊杰 俊峰 子豪 子轩 子涵 梓涵 欣妍 一诺 依诺 诗琪 雨欣 雨彤 晨曦 若曦 皓宇 "
    "浩宇 佳琪 思琪 思雨 奕辰 沐宸 "
    "宇航 宇泽 泽宇 欣悦 可馨 语桐 艺涵 铭轩 昕怡 锦程 立新 卫东 卫民 跃华 国庆 国富 福生 福林 长青 长海 "
    "振宇 振东 鸿飞 广财 广州 炳坤 炎 "
    "焱 祺 琪 珊 颖 燕 洁 莹 菲 倩 瑶 怡 薇 晗 彬 斌 鑫 森 林 栋 楠 松 柏年 守义 守仁 德胜 德才 德发 学文"
    " 学武 小龙 小虎 小宝 大勇 "
    "大刚 宝根 宝华 招弟 引娣 腊梅 冬梅 夏莲 美凤 美玲 彩霞 彩云 瑞芳 瑞雪 惠珍 惠兰 素芬 素梅 月琴 月英 "
    "雅丽 雅芝 亚楠 亚男 胜利 胜男 "
    "解放 援越 延安 京生 沪生 建设 跃进 慧珍 佩瑜 秉义 连生 秀枝 小娥 鸣谦 安琪 心怡 梓豪 景行 红霞 铁军 "
    "金贵 素云 庆华 淑敏 东升 向前 "
    "雨泽 乐瑶 清远").split()
FOREIGN = (
    "阿卜杜拉·麦麦提 古丽娜尔·阿布都 迪丽拜尔·吐尔洪 叶尔兰·别克 阿依努尔·沙力").split()
DECOYS = (
    "夜间阵发性呼吸困难|心率波动在70-80次/分|予头孢曲松静滴|无寒战|腹软无压痛|双肺呼吸音粗|大便潜血阳性|"
    "尿常规未见异常|纳差1周|"
    "胃管引出咖啡色液体约50ml|皮肤黏膜无黄染|言语含糊|双下肢轻度凹陷性水肿|伤口敷料干燥|已告知绝对卧床|指"
    "脉氧97%|睡眠尚可|暂停抗凝|"
    "血钾3.1mmol/L|停用二甲双胍|复查胸部CT|低盐低脂饮食|继续观察|左膝关节活动受限|有吸烟史三十年|咽部充血"
    "|手术切口愈合良好|等待床位|医保已登记|"
    "明早抽血|考虑不稳定型心绞痛|方便时复查肝功能|高危跌倒|白蛋白28g/L|黄色脓痰|何种药物过敏不详|马来酸氯"
    "苯那敏已停|于半卧位休息|安排周三造影|"
    "石膏拆除后锻炼").split("|")
TEMPLATES = {
    "first": [
        "今天病房一共12人，{n}、{n}、{n}三个做检查，{n}下午回来，{d}。",
        "下午三点{n}突然胸闷，{d}，当时{n}在场，立即呼叫{n}抢救。",
        "刚跟{n}的女婿通过电话，{d}，他说晚上过来。",
        "{n}这两天胃口不错，{d}，就是脾气大。",
        "麻烦转告{n}：{d}，周五之前来拿报告。",
        "昨日收治{n}一名，{d}；今晨{n}办理出院。",
        "我姓{s}，孩子叫{n}，{d}，想咨询一下。",
        "医生好，替我婆婆{n}问一下，{d}，需要住院吗？",
        "谢谢{n}医生耐心解答，{d}，已经好多了。",
        "请问{n}主任这周出诊吗？{d}，想挂{s}主任的号。",
        "老伴{n}走得早，{d}，现在跟小儿子{n}住。",
        "患者{n}由120送来，{d}，随行有其同事{n}。",
        "既往病历显示{n}曾行阑尾切除，{d}。",
        "主诊{n}，副主诊{n}，规培生{n}；{d}。",
        "{n}，{age}，男，{d}，拟行冠脉造影。",
        "病史由{n}（患者长女）提供，{d}。",
        "兹证明{n}因病需休息两周，{d}。经治医师：{n}",
        "本人{n}，自愿放弃手术，{d}，后果自负。见证人：{n}。",
        "致{n}医师：贵科转来的{n}已收入我科，{d}，谢谢信任。",
        "{n}医生台鉴：{d}，敬请指教。晚{n}谨上",
        "分诊台：{n}、{d}、红区；{n}、{d}、黄区。",
        "药房{n}来电，{n}的处方剂量有误，{d}，已请{n}更正。",
        "查对：腕带姓名{n}与医嘱一致，{d}，执行人{n}，核对人{n}。",
        "夜里两点{n}拔了针，{d}，{s}护士重新穿刺。",
        "护士说{n}的母亲{n}情绪激动，{d}，已安抚。",
        "入组受试者{n}，编号已登记，{d}，研究护士{n}随访。",
        "康复师{n}评估：{d}，建议{n}继续训练。",
        "营养科会诊（{n}）：{d}。",
        "检验科{n}电话报告危急值：{n}，{d}。",
        "患者{full}，哈萨克族，{d}，翻译{n}。",
        "姓名 {sp} 年龄 {age} 诊断 {d}",
        "{n}和{n}是双胞胎，{d}，都在儿科{n}那里看。",
        "寻找家属：{n}，约{age}岁，{d}，知情者请联系护士站{n}。",
        "出院小结抄送：社区{n}医生；{d}。",
        "上次{n}开的药吃完了，{d}，{n}让我再来找您。",
        "护理组长{n}带{n}、{n}两位同学查看压疮，{d}。",
    ],
    "second": [
        "早班小结：{n}发热，{d}；{n}睡眠好；{n}拒绝服药，{d}。",
        "{n}今晨空腹血糖偏低，{d}，{n}给予口服葡萄糖后好转。",
        "你帮我问问{n}，{d}，什么时候能出院？我是她弟弟{n}。",
        "昨天{n}查的CT，{d}，结果{n}还没来拿。",
        "我儿子{n}今年上小学，{d}，{n}大夫让忌口。",
        "贵院{n}主任惠鉴：患者{n}术后恢复顺利，{d}。{n}顿首",
        "申请会诊科室：骨科；申请人：{n}；会诊目的：{d}。应邀医师：{n}",
        "死亡讨论：{n}汇报病史，{d}；{n}认为死因明确；{n}总结。",
        "入院告知书已由{n}签收，{d}，与患者关系：{n}之夫。",
        "门诊护士{n}发现{n}面色苍白，{d}，遂送抢救室。",
        "血型复核：{n}、{n}双人核对，{d}。",
        "老年科{n}床旁看望{n}，{d}，嘱家属{n}陪夜。",
        "微信群：{n}：{d}；{n}：收到；{n}：我马上到。",
        "本周值班表 周一{n} 周二{n} 周三{n}，{d}。",
        "接诊时{n}神志清楚，{d}，由丈夫{n}抬入。",
        "放射科诊断医师{n}、审核医师{n}，{d}。",
        "出院随访第一次：{n}，接听人{n}，{d}。",
        "{n}，住本院职工宿舍，{d}，其岳父{n}有同样病史。",
        "投诉人{n}反映{n}态度生硬，{d}，科主任{n}已道歉。",
        "{full}的丈夫{full}不懂汉语，{d}，由{n}代为解释。",
    ],
}


def person(draw):
    surnames = [(surname, share) for share, some in SHARES.items() for surname in some]
    surnames += [(surname, 1) for surname in DOUBLE]
    return draw.choices(*zip(*surnames))[0] + draw.choice(GIVEN)


def part(name, draw):
    """(text, whether it is a name): n a person, s a surname, sp with a space, full of another language."""
    if name in ("d", "age"):
        return draw.choice(DECOYS) if name == "d" else str(draw.randrange(18, 89)), False
    if name == "full":
        return draw.choice(FOREIGN), True
    if name == "sp":
        given = [given for given in GIVEN if len(given) == 1]
        return draw.choice("王李张刘陈") + " " + draw.choice(given), True
    return person(draw) if name == "n" else draw.choice("王李张刘陈杨黄赵吴周"), True


def notes(pool, count):
    draw, made = random.Random(pool), []
    for i in range(count):
        text, names = "", []
        for words, name in re.findall(r"([^{]*)(?:\{(\w+)\})?", TEMPLATES[pool][i % len(TEMPLATES[pool])]):
            text += words
            if name:
                piece, private = part(name, draw)
                names += [(len(text), len(text) + len(piece))] * private
                text += piece
        made.append((text, names))
    return made
