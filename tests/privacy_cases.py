"""
Medical texts with private parts whose places are known, for tests of data/privacy.py.  (Nobody here is real.)

    cases(language, pool, count, seed)  ->  count texts, each with its parts [(start, end, kind), ...]

Two pools, `tune` and `test`: no given name, template, street or hospital is in both; rules are improved on
the first.  Nine sets of Chinese templates and six of English ones were written one after the other,
    each after
the rules for the one before.  On the first look the rules found 81 to 98 % of the parts of a Chinese set,
    96 %
of the last (what was missed: names between words that no rule knew), and all of the last three English ones.
`test` is the eighth of the Chinese sets.  Rules were improved after that look: its 99 % is what known
wordings get.  Texts hold decoys too, which no rule may touch: values, doses, eponyms, durations.
"""
import random
import re

DECOYS = {
    "zh": (
        "血压130/80 mmHg|体温38.5℃，脉搏102次/分|白细胞12.3×10^9/L|阿莫西林0.5 g每日3次|帕金森病|"
        "克罗恩病|桥本甲状腺炎|川崎病|阿尔茨海默病|肌酐88 μmol/L|腹痛3天|胸闷2周|高热不退|黄疸加重|"
        "白带增多|常有头晕|何时复查待定|ASA II级|T2N1M0期|ICD-10编码J18.9|乙肝疫苗第2针|"
        "EGFR 19外显子缺失|凌晨3:30发作|左侧肢体无力|全身乏力|安静时心率76次/分|水肿明显|于当地医院治疗|"
        "建议到三甲医院复查|任何不适随诊|华佗再造丸6 g|1-2周后复查|方便时复诊|单纯疱疹|尿量1500 ml/24h|"
        "格拉斯哥评分15分|肌力4/5级|金黄色葡萄球菌阳性|马凡综合征|石膏固定|血糖7.8-11.1 mmol/L|"
        "经常失眠10年3月余|余无殊|从未手术|时有咳嗽|80岁以上慎用|89岁以下人群").split("|"),
    "en": (
        "BP 130/80 mmHg|temperature 38.5|WBC 12.3 x 10^9/L|metoprolol 25 mg twice daily|"
        "Parkinson disease|Crohn's disease|Alzheimer's dementia|Hashimoto thyroiditis|"
        "creatinine 1.2 mg/dL|for 3 days|2 weeks of cough|strength 5/5|grade III/VI murmur|stage T2N1M0|"
        "ICD-10 J18.9|BRCA1 mutation|the Moderna vaccine|at 3:30 pm|ejection fraction 55-60%|"
        "a Foley catheter|Kawasaki disease|Glasgow Coma Scale 15|Babinski sign negative|"
        "went to bed at 10 pm|in the hospital|may 2 tablets be taken|Murphy sign positive|Tylenol No. 3|"
        "Pap smear normal|Kaposi sarcoma|Graves disease|a follow-up clinic|an 85-year-old neighbor|"
        "Apgar 9 and 10|SpO2 98% on room air").split("|")}

POOLS = {
    ("zh", "tune"): {
        "surname": (
            "王 李 赵 周 徐 胡 高 郭 何 罗 梁 宋 郑 谢 韩 于 邓 冯 曾 彭 欧阳 上官 汪 田 石 张 刘 陈 杨 "
            "黄 吴 孙 朱 马 林 唐 许 沈 吕 苏 卢 蒋 蔡 贾 丁 魏 薛 叶 余 潘 杜 戴 夏 钟 姜 任 方 白 康 "
            "毛").split(),
        "given": (
            "建国 志强 丽娟 淑华 振华 永康 德胜 思源 凤英 家豪 雪梅 瑞 梓萱 一诺 佩瑶 卫东 爱民 世昌 "
            "忠良 雅琴 慧敏 翠兰 少华 启航 若曦 嘉懿 承志 月娥 素珍 宝山 广林 克俭 彦斌 晓彤 紫薇 博文 "
            "鸿飞 绍辉 友谅 书豪 亦菲 可欣 其昌 之远 艺凡 婷婷 佩芬 彩云 耀祖 思齐 沐阳 梓轩 语桐 依诺 "
            "凌云 冬梅 维民 凤霞 金锁 守业").split(),
        "city": (
            "湖北省武汉市 江苏省南京市 广东省深圳市 上海市 浙江省杭州市 四川省成都市 湖南省长沙市 "
            "山东省青岛市 北京市 陕西省西安市 河南省郑州市 福建省厦门市 重庆市 辽宁省大连市 "
            "安徽省合肥市 江西省南昌市 云南省昆明市 黑龙江省哈尔滨市 天津市 广西壮族自治区南宁市 "
            "山西省太原市 甘肃省兰州市 江苏省苏州市 河北省邢台市").split(),
        "district": (
            "洪山区 江宁区 南山区 徐汇区 萧山区 锦江区 岳麓区 市南区 海淀区 雁塔区 金水区 思明区 渝中区 "
            "沙河口区 高陵县 胶州市 庐阳区 青云谱区 五华区 南岗区 和平区 青秀区 小店区 城关区").split(),
        "street": (
            "珞狮路 中山北路 科苑路 漕溪路 市心南路 建设大街 春熙路 麓山南路 香港中路 学院路 小寨东路 "
            "花园路 厦禾路 解放碑步行街 民权路 人民大道 文化巷 青年街 长江中路 翠湖北路 中央大街 南京路 "
            "民族大道 并州路").split(),
        "hospital": (
            "武汉市第三医院 南京鼓楼医院 深圳市人民医院 上海瑞金医院 浙江大学医学院附属第二医院 "
            "宜城县人民医院 成都市第七人民医院 湘雅二医院 青岛大学附属医院 西安交通大学第一附属医院 "
            "郑州仁济医院 厦门市妇幼保健院 重庆医科大学附属儿童医院 北京协和医院 大连市中心医院 "
            "胶州市人民医院 高陵县中医医院 四川大学华西医院 解放军第960医院 沙河口区卫生服务中心 "
            "康宁医院 德州市第二人民医院 昌乐县妇幼保健院 安徽医科大学第一附属医院").split(),
        "date": (
            "{y}年{m}月{d}日 {y}-{mm}-{dd} {m}月{d}日 {y}.{m}.{d} {y}年{mm}月{dd}日 {y}/{m}/{d} "
            "{m}月{d}号 {y}{mm}{dd} {y}年{m}月 {zh} {y}年{m}月{d}号 {y}-{m}-{d} {y}.{mm}.{dd} "
            "{y}年{mm}月 {zhmd} {y}/{mm}/{dd} {yy}年{m}月{d}日 {y}-{mm}").split(),
        "phone": (
            "139{4}{4}|027-8{7}|158{4}{4}|136{4}{4}|187-{4}-{4}|177 {4} {4}|010-6{7}|(028)8{7}|"
            "+86 133{4}{4}|0755-2{7}|151{4}{4}|199 {4} {4}|021-5{7}|0371-6{7}|13{1}-{4}-{4}|"
            "86-189{4}{4}|（0512）6{7}|022 8{7}|135{4}{4}|186{4}{4}|150-{4}-{4}|178 {4} {4}|0531-8{7}|"
            "(010)6{7}").split("|")},
    ("zh", "test"): {
        "surname": (
            "王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗 梁 宋 郑 谢 韩 唐 冯 于 董 萧 "
            "程 曹 袁 邓 许 傅 沈 曾 彭 吕 苏 卢 蒋 蔡 贾 丁 魏 薛 叶 阎 余 潘 杜 戴 夏 钟 汪 田 任 姜 "
            "范 方 石 姚 谭 廖 邹 熊 金 陆 郝 孔 白 崔 康 毛 邱 秦 江 史 顾 侯 邵 孟 龙 万 段 钱 汤 尹 "
            "黎 易 常 武 乔 贺 赖 龚 文 施 洪 陶 翟 安 颜 倪 严 牛 温 季 俞 章 "
            "欧阳 司马 诸葛 皇甫 东方").split(),
        "given": (
            "秀梅 秀云 桂珍 桂琴 玉梅 玉珍 淑芬 淑珍 丽华 丽芳 红梅 红霞 海波 海涛 晓明 晓燕 小波 小燕 "
            "建新 建明 国栋 国富 志华 志成 永红 永贵 文忠 文静 春燕 春玲 金华 金水 宝兰 长友 大鹏 洪涛 "
            "立军 树生 景波 兆丰 兴旺 占魁 振江 学文 春阳 东明 晨希 俊宇 子睿 子晴 紫琪 梦婕 雅婕 诗蕊 "
            "欣妍 浩文 泽林 铭泽 宇涵 奕泽 沐瑶 芷萱 安妮 佳琪 佳明 鑫 磊 楠 琴 蓉 阳 虎 峰 岩 钢 媛媛 "
            "莉莉 露露").split(),
        "city": (
            "山东省淄博市 河南省安阳市 湖北省荆门市 湖南省邵阳市 四川省达州市 广东省韶关市 浙江省湖州市 "
            "江苏省连云港市 辽宁省丹东市 黑龙江省牡丹江市 陕西省延安市 安徽省安庆市 江西省吉安市 "
            "广西壮族自治区北海市 云南省保山市 福建省三明市 河北省邯郸市 山西省临汾市 天津市 重庆市").split(),
        "district": (
            "张店区 文峰区 东宝区 双清区 通川区 浈江区 吴兴区 海州区 振兴区 爱民区 宝塔区 迎江区 吉州区 "
            "海城区 隆阳区 三元区 丛台区 尧都区 桓台县 林州市 京山市 德清县 东海县").split(),
        "street": (
            "柳泉路 文明大道 象山大道 宝庆东路 朝阳路 风采路 红旗路 苍梧路 锦山大街 平安街 枣园路 "
            "人民路 井冈山大道 北部湾西路 永昌路 列东街 滏东大街 鼓楼北大街 教场巷 师专路").split(),
        "hospital": (
            "淄博市中心医院 安阳市人民医院 荆门市第一人民医院 邵阳市中心医院 达州市中心医院 "
            "韶关市第一人民医院 湖州市中心医院 连云港市第一人民医院 丹东市中心医院 "
            "牡丹江医学院附属红旗医院 延安大学附属医院 安庆市立医院 井冈山大学附属医院 北海市人民医院 "
            "保山市人民医院 三明市第一医院 邯郸市中心医院 临汾市人民医院 桓台县人民医院 德清县中医院 "
            "北京大学第三医院 首都儿科研究所附属儿童医院 复旦大学附属儿科医院 四川大学华西口腔医院 "
            "天津医科大学总医院 重庆医科大学附属第二医院").split(),
        "date": (
            "{y}年{m}月{d}日 {y}-{mm}-{dd} {y}/{m}/{d} {m}月{d}日 {y}年{mm}月{dd}日 {y}.{m}.{d} "
            "{y}年{m}月 {zh} {y}{mm}{dd} {m}月{d}号 {y}.{mm}.{dd}").split(),
        "phone": (
            "134{4}{4}|181{4}{4}|152-{4}-{4}|176 {4} {4}|0533-2{7}|0372-5{6}|(0518)8{7}"
            "|+86 15{1}{4}{4}").split("|")},
    ("en", "tune"): {
        "first": (
            "James Mary Robert Linda Michael Susan David Karen William Patricia Thomas Jennifer Daniel "
            "Elizabeth Kevin Sarah George Nancy Edward Lisa Brian Emily Ronald Amanda Jason Rebecca "
            "Gary Michelle Nicholas Laura Samuel Helen Frank Anna Peter Rachel Henry Julia Joseph "
            "Margaret Charles Sandra Christopher Ashley Matthew Kimberly Anthony Donna Steven Carol "
            "Paul Stephanie Andrew Sharon Joshua Cynthia Kenneth Kathleen Timothy Angela").split(),
        "last": (
            "Johnson Miller Davis Wilson Anderson Taylor Thomas Moore O'Neill Smith Brown Garcia "
            "Martinez Jackson Thompson Lee Harris Clark Lewis Robinson Walker Hall Nguyen King Wright "
            "Scott Torres Hill Flores Baker Rivera Campbell Mitchell Carter Roberts McDonald O'Brien "
            "Patel Kowalski Schneider Okafor Fitzgerald Smith-Jones Jones Williams Rodriguez Hernandez "
            "Lopez Gonzalez Perez White Sanchez Ramirez Allen Young Green Adams Nelson "
            "Gomez Phillips").split(),
        "street": (
            "Oak Street|Maple Avenue|Lakeview Drive|Second Street|Elm Street|Washington Boulevard|"
            "Pine Lane|Park Avenue|Old Mill Road|River Court|5th Avenue|Sunset Blvd|Cedar St.|"
            "Highland Way|Chestnut Street|Jefferson Avenue|Willow Drive|North Main Street|Lincoln Road|"
            "Hillcrest Court|42nd Street|Ocean Parkway|Magnolia Ln|Church St").split("|"),
        "town": (
            "Springfield, IL 62704|Dayton, OH 45402|Mesa, AZ 85201|Boston, MA 02115|Columbus, GA 31901|"
            "Salt Lake City, UT 84101|Portland, OR 97204-1234|Reno, NV 89501|Fargo, ND 58102|"
            "Denver, CO 80203|Saint Paul, MN 55102|Baton Rouge, LA 70802|Austin, TX 78701-2345|"
            "Omaha, NE 68102|New York, NY 10016|Seattle, WA 98101|Fort Worth, TX 76102|"
            "Ann Arbor, MI 48104|Tulsa, OK 74103-1122|Grand Rapids, MI 49503|Buffalo, NY 14201|"
            "Nashville, TN 37203|San Diego, CA 92101|Little Rock, AR 72201").split("|"),
        "hospital": (
            "Riverside Memorial Hospital|St. Luke's Hospital|Mercy Medical Center|"
            "Massachusetts General Hospital|St. Joseph's Hospital|Cedars Medical Center|"
            "Bellevue Hospital|Good Shepherd Medical Center|Lincoln County Hospital|Harborview Clinic|"
            "Johns Hopkins Hospital|St. Vincent Medical Center|Northwestern Memorial Hospital|"
            "Sacred Heart Hospital|Valley Health Center|Saint Agnes Hospital|Brookhaven Clinic|"
            "Tampa General Hospital|Kaiser Medical Center|Mount Sinai Hospital|"
            "University of Michigan Hospital|Lakeside Surgery Clinic|Cleveland Clinic|"
            "Mount Carmel Hospital").split("|"),
        "date": (
            "{mm}/{dd}/{y}|{y}-{mm}-{dd}|{month} {d}, {y}|{m}/{d}/{y}|{month} {d}{th}, {y}|"
            "{d} {mon} {y}|{mon} {d}, {y}|{mm}-{dd}-{y}|{month} {d}|{m}/{d}/{yy}|{d} {month} {y}|"
            "{month} {y}|{d}{th} of {month} {y}|{mm}/{dd}/{yy}|{mon}. {d}, {y}|{y}/{mm}/{dd}|"
            "{d}-{mon}-{y}|{month} {d}{th}|{mon} {y}|{d} {month}|{m}-{d}-{y}|{month} of {y}|"
            "{d}{th} {month} {y}").split("|"),
        "phone": (
            "({3}) {2}1-{4}|{3}-{2}3-{4}|{3}.{2}5.{4}|({3}) {2}7-{4}|+1 {3}-{2}4-{4}|{3} {2}6-{4}|"
            "{3}-{2}8-{4}|({3}) {2}9-{4}|1-{3}-{2}2-{4}|{3}.{2}6.{4}|({3}) {2}3-{4}|{3}-{2}7-{4}|"
            "{3}.{2}4.{4}|+1-{3}-{2}5-{4}|{3} {2}9-{4}|({3}) {2}8-{4}|{3}-{2}4-{4}|{3}.{2}2.{4}|"
            "1 ({3}) {2}6-{4}|({3}) {2}2-{4}|{3}-{2}9-{4}|{3}.{2}7.{4}|+1 {3} {2}8-{4}").split("|")},
    ("en", "test"): {
        "first": (
            "Robert Jennifer William Elizabeth Richard Jessica Thomas Karen Daniel Lisa Anthony Sandra "
            "Donald Ashley Paul Kimberly Kenneth Michelle Kevin Emily Ronald Melissa Jason Stephanie "
            "Ryan Laura Gary Amy Nicholas Shirley Jonathan Anna Brandon Ruth Frank Kathleen Raymond "
            "Amanda Patrick Judith Tyler Catherine Omar Anjali Pedro Ingrid").split(),
        "last": (
            "Smith Johnson Davis Wilson Anderson Taylor Moore Jackson Lee Thompson Lewis Clark Walker "
            "Allen Hill Flores Green Baker Campbell Carter Gomez Phillips Parker Collins Morales Rogers "
            "Reyes Cook Bailey Cooper Peterson Howard Ramos Kim Chavez James Alvarez Mendoza Foster "
            "Sanders Patel Long Powell Jenkins Perry Butler Barnes Fisher Henderson Coleman Simmons "
            "Patterson Romero Graham Kennedy Wells Vasquez Hudson Hawkins Lawson Fields Bishop Lynch "
            "Schultz McCoy O'Neal Vargas Banerjee Kobayashi Moretti Larsson").split(),
        "street": (
            "Birch Street|Lexington Avenue|Quarry Lane|South Third Street|Summit Road|Juniper Court|"
            "14th Street|Harrison Blvd|Creekside Drive|Market St.|Castle Way").split("|"),
        "town": (
            "Tucson, AZ 85701|El Paso, TX 79901|Cedar Rapids, IA 52401|Green Bay, WI 54301-1100|"
            "Santa Ana, CA 92701|Norfolk, VA 23510").split("|"),
        "hospital": (
            "Vanderbilt University Hospital|Grace Hospital|Aurora Medical Center|St. Anthony Hospital|"
            "Maple Grove Memorial Hospital|Eastern Idaho Medical Center|Geisinger Clinic|"
            "Pioneer Health Center|Danbury Hospital|San Juan Hospital|Mennonite Hospital|"
            "Georgetown University Medical Center").split("|"),
        "date": (
            "{m}/{d}/{y}|{mm}/{dd}/{y}|{m}/{d}/{yy}|{month} {d}, {y}|{mon} {d}, {y}|{d} {mon} {y}|"
            "{y}-{mm}-{dd}|{month} {d}|{month} {y}|{d} {month}, {y}").split("|"),
        "phone": (
            "({3}) {2}1-{4}|{3}-{2}6-{4}|{3}.{2}3.{4}|+1 {3}-{2}2-{4}").split("|")}}

TEMPLATES = {
    ("zh", "tune"): [
        "患者{name}，男，{old}岁，因“{decoy}”于{date}入院。{decoy}。主治医师：{name}。",
        "姓名：{name} 性别：女 年龄：56岁 住院号：{record} 床号：{bed}床 入院日期：{date}。{decoy}，{d"
        "ecoy}。",
        "{surname}医生您好，我在{hospital}做了检查，{decoy}，电话{phone}，麻烦回复。",
        "身份证号：{id}，家庭住址：{address}。现病史：{decoy}，{decoy}。",
        "{date}行手术，{date}出院。{name}主任查房后指示：{decoy}。",
        "我叫{name}，今年34岁，{decoy}，微信号{account}，邮箱{email}。",
        "家属{name}签字同意，联系电话：{phone}。{decoy}。",
        "{masked}，女，{decoy}，转入{hospital}。",
        "{name}，女，{old}岁，{decoy}，{date}就诊于{hospital}，{decoy}。",
        "患者姓名：{name}，病历号：{record}，{decoy}。{date}复查，{decoy}。",
        "病人{name}于{date}在{hospital}行手术治疗，术后{decoy}。{again}目前{decoy}。",
        "{surname}主任，您好！我母亲{decoy}，{date}在{hospital}住院，{decoy}，请问怎么办？",
        "谢谢{surname}大夫。{decoy}，手机{phone}。",
        "联系人：{name}，与患者关系：配偶，电话：{phone}，现住址：{address}。",
        "医师签名：{name}    记录日期：{date}    {decoy}",
        "请{name}教授会诊，{decoy}。会诊医师：{name}。",
        "患儿{name}，男，6个月，{decoy}，其母{name}代诉，{date}起病。",
        "护士{name}，{bed}床患者{decoy}，{decoy}。",
        "医保卡号：{record}，身份证号码：{id}，银行卡号：{card}。{decoy}。",
        "身份证{id15}，护照号：{passport}，出生地：{address}。{decoy}，{decoy}。",
        "我是{surname}女士的儿子，她{old}岁，家住{address}，{decoy}。",
        "{surname}先生，45岁，{decoy}。检查号：{record}，报告医师：{name}，审核医师：{name}。",
        "患者{masked}，男，62岁，{decoy}，由{hospital}转入我院{ward}病区。",
        "QQ：{qq}，邮箱{email}，预约网址{url}，{decoy}。",
        "父亲{name}，{old}岁，{date}因{decoy}去世；{decoy}。",
        "名叫{name}的患者，{decoy}，{date}至今{decoy}。",
        "接诊医生：{name}\n主诉：{decoy}\n既往史：{decoy}，{date}曾在{hospital}治疗。",
        "{surname}护士长：{bed}床，{decoy}；{decoy}，家属电话{phone}。",
        "加微信{account}咨询，{decoy}，{surname}老师。",
        "出院小结：{name}，住院号{record}，{date}入院，{date}出院。{decoy}，{decoy}。",
        "寄到{address}，收件人{name}女士，{phone}。{decoy}。",
        "{masked}，男，70岁，{decoy}，{decoy}。",
        "入院记录\n姓名：{name}　　出生地：{address}\n性别：男　　入院日期：{date}\n主诉：{decoy}。",
        "患者{name}，女性，{old}岁，主因“{decoy}”由门诊收入我科。{decoy}。于{date}在全麻下手术，术者："
        "{name}，助手：{name}。",
        "{surname}医师：你好！我父亲{name}{date}在{hospital}查出{decoy}，{decoy}。",
        "尊敬的{surname}教授，我今年{old}岁，{decoy}。{hospital}的{surname}主任建议手术，可以吗？",
        "病案号：{record}；姓名：{name}；科室：心内科；床号：{bed}。{decoy}。",
        "今日{name}主任医师查房：{decoy}，{decoy}。{date}复查。记录者：{name}。",
        "{name}（男，{old}岁），{decoy}，{date}死亡。",
        "护士长{name}电话通知家属{name}，{decoy}。联系方式：{phone}。",
        "居民身份证号码{id}，参保号{record}，开户行卡号{card}，手机号：{phone}。",
        "通讯地址：{address}，邮编见附页。收件人：{name}，电话{phone}。{decoy}。",
        "丈夫{name}陪同来诊。{decoy}。{again}诉{decoy}。",
        "本人{name}，身份证号{id}，同意手术。{decoy}。签名：{name}　{date}",
        "{masked}，男，{old}岁，{date}起{decoy}，在{hospital}予输液治疗，{decoy}。",
        "我妈妈叫{name}，{decoy}，住在{address}，{date}从{hospital}出院。",
        "{bed}床{name}，{decoy}，{decoy}；{bed}床，{decoy}。",
        "报告单 检查编号：{record} 姓名：{name} 年龄：{old}岁 所见：{decoy} 诊断医师：{name}",
        "我爷爷{old}岁，{date}摔倒，{decoy}，拨打{phone}，微信：{account}。",
        "{name}女士您好，您在{hospital}预约的检查时间为{date}，详情见{url}。{decoy}。",
        "门诊号 {record} 患者 {name} 就诊，{decoy}。接诊医师 {name}。",
        "请{surname}大夫看看，{decoy}，谢谢{surname}医生！邮箱是{email}，QQ号{qq}。",
        "患儿{name}，生后2天，其父{name}诉患儿{decoy}，其母{old}岁，{date}在{hospital}分娩。",
        "医生{name}：{decoy}。患者{name}：知道了，{decoy}。",
        "患者：{name}　性别：女　年龄：{old}岁　门诊号：{record}　{decoy}。",
        "{date}，患者{name}因{decoy}来我院就诊，{decoy}。曾于{date}在{hospital}住院。",
        "主诉：{decoy}。患者{masked}，{old}岁，{date}出现上述症状，{hospital}诊断明确。",
        "{surname}大夫，我是您的病人{name}，{date}做的手术，现在{decoy}，该怎么办？",
        "我叫{name}，{old}岁，家住{address}，最近{decoy}，{decoy}。我的手机号是{phone}。",
        "住院医师：{name}　主治医师：{name}　主任医师：{name}　日期：{date}。{decoy}。",
        "家属：{name}（儿子），电话：{phone}。{decoy}，{decoy}。",
        "手术记录 患者姓名：{name} 手术日期：{date} 术者：{name} 麻醉医师：{name} {decoy}",
        "{bed}床，{name}，{old}岁，{decoy}。遵{surname}主任医嘱，{decoy}。",
        "身份证号{id}，医保号{record}，银行卡{card}，联系地址：{address}。",
        "请联系护士{name}，微信号：{account}，电话：{phone}，{decoy}。",
        "我母亲{name}今年{old}岁，{date}在{hospital}查出{decoy}，{surname}教授说{decoy}。",
        "经{hospital}{surname}主任会诊，考虑{decoy}，{date}转入{ward}病区。",
        "户籍地址：{address}；现住址：{address}；{decoy}。",
        "出生日期：{date}，姓名：{name}，{decoy}。监护人：{name}，QQ{qq}。",
        "{name}先生{date}复诊，{decoy}，{decoy}。医师：{name}",
        "患者{name}及家属{name}要求出院，{decoy}。签字：{name} {date}",
        "你好，{surname}医生，我{date}月经来潮，{decoy}，邮箱{email}。",
        "{date}至{date}在{hospital}住院，住院号{record}，{decoy}。",
        "孩子叫{name}，{decoy}，在{hospital}看过，{surname}医师开的药，报告见{url}。",
        "{name}，男性，{old}岁，农民，主因{decoy}入院，{decoy}。{again}于{date}出院。",
        "随访：{name}的女儿{name}接听电话（{phone}），诉{decoy}。",
        "患者{name}，男，{old}岁。{date}因“{decoy}”收入院，{decoy}，{decoy}。",
        "姓名：{name}，病历号：{record}，送检医院：{hospital}，报告日期：{date}。{decoy}。",
        "{surname}主任您好，我爱人{name}{date}在{hospital}做了手术，{decoy}。",
        "患者{name}既往{decoy}，否认{decoy}。联系人：{name}，电话：{phone}。",
        "{date} 09:20 {name}主治医师查房记录：{decoy}，{decoy}。",
        "今随{surname}教授查房，患者诉{decoy}，{decoy}。上级医师：{name}",
        "转诊单：患者{name}，性别女，年龄{old}岁，由{hospital}转至{hospital}，{decoy}。",
        "医生：您好，请问怎么称呼？患者：我叫{name}。医生：{decoy}吗？患者：{decoy}。",
        "家属{name}（患者之子）来电{phone}，诉{decoy}。",
        "我是{name}，{date}在您门诊看过，{decoy}，{decoy}，谢谢！",
        "感谢{hospital}的{surname}医生和{surname}护士，{decoy}。",
        "申请医师：{name}；检查医师：{name}；检查日期：{date}；{decoy}。",
        "常住地址：{address}，身份证：{id}，单位电话：{phone}。{decoy}。",
        "{masked}，女，{old}岁，{decoy}，{date}入{hospital}。",
        "护士{name}报告：{bed}床{name}{decoy}，已通知值班医生{name}。",
        "疫苗接种：{name}，{date}，{decoy}。家长：{name}。邮箱：{email}。",
        "患者姓名 {name}　住院号 {record}　床号 {bed}　诊断 {decoy}",
        "其妻{name}陪同，{decoy}；其兄{name}有{decoy}史。",
        "病理号：{record}。送检医师：{name}。{decoy}。会诊意见（{surname}主任）：{decoy}。",
        "{name}女士，{old}岁，{decoy}，加QQ：{qq}，或微信{account}。",
        "银行账户：{card}，户名{name}。{decoy}，{decoy}。",
        "{surname}大夫，{decoy}怎么办？我住在{address}。",
        "患者{name}，女，{old}岁，因“{decoy}”于{date}由急诊收入我科。既往在{hospital}诊断为{decoy}。",
        "姓名：{name}，性别：男，年龄：{old}岁，住址：{address}，联系电话：{phone}，入院时间：{date}。"
        "{decoy}。",
        "{surname}医生，您好！我是{name}，上次在{hospital}找您看的，{decoy}，{decoy}。",
        "{date}，{surname}主任查房：{decoy}，{decoy}，继续目前治疗。记录医师：{name}",
        "手术者：{name}；第一助手：{name}；麻醉师：{name}；手术日期：{date}。{decoy}。",
        "患者家属{name}表示理解并签字，{decoy}。{date}",
        "{name}，男，{old}岁，{decoy}，住院号：{record}，{bed}床。",
        "患者{name}，{decoy}，{date}在{hospital}行检查，{decoy}。{again}要求转院。",
        "我父亲{name}，今年{old}岁，{decoy}，去年在{hospital}住院，{surname}主任主刀。",
        "你好{surname}大夫，{decoy}，我的电话是{phone}，微信号：{account}。",
        "患者身份证号{id}，医保卡号：{record}，联系人{name}，电话{phone}。{decoy}。",
        "患儿{name}，女，3岁，{decoy}。其父亲{name}陪同就诊，{date}初诊。",
        "病人{name}入院后{decoy}，{decoy}，{date}出院，主管医生：{name}。",
        "{masked}，男，{old}岁，{date}无明显诱因出现{decoy}，就诊于{hospital}。",
        "检查医生：{name}　审核医生：{name}　报告时间：{date}　{decoy}",
        "请{surname}教授会诊后诊断：{decoy}。{name}主任医师同意上述意见。",
        "我叫{name}，住{address}，{decoy}，{decoy}，邮箱{email}。",
        "责任护士：{name}，{bed}床，{decoy}，{decoy}。护士长：{name}",
        "{hospital}出院记录：{name}，{date}入院，{date}出院，{decoy}。",
        "谢谢{surname}医生的耐心解答，{decoy}。{surname}护士也很好。",
        "开户银行卡号：{card}，持卡人：{name}。{decoy}，{decoy}。",
        "孕妇{name}，孕38周，{date}在{hospital}产检，{decoy}。配偶：{name}。",
        "患者{name}，男性，{old}岁，工人，因“{decoy}”于{date}入院。{decoy}，{decoy}。主治医师：{name}。",
        "姓名：{name}　性别：女　年龄：{old}岁　科别：呼吸内科　床号：{bed}　住院号：{record}　{decoy}。",
        "{surname}主任您好：我妈妈{name}，{old}岁，{date}在{hospital}检查，{decoy}，{decoy}。",
        "{date}术后第二天，{surname}教授查看病人，{decoy}，指示继续观察。记录：{name}",
        "患者{name}由其子{name}送来我院，{decoy}，{decoy}。联系电话：{phone}。",
        "知情同意书：患者{name}，授权委托人：{name}，与患者关系：夫妻，身份证号：{id}。{decoy}。",
        "大夫您好，我叫{name}，家在{address}，{decoy}，{decoy}。",
        "病人{name}，{old}岁，{decoy}，{hospital}转来，{date}急诊手术，术者{name}，{decoy}。",
        "报告医生：{name}　审核医生：{name}　检查日期：{date}　检查号：{record}　{decoy}",
        "{masked}，女，{old}岁。{decoy}。{date}在{hospital}就诊。",
        "{bed}床患者{name}今晨{decoy}，值班医师{name}处理，{decoy}。",
        "{surname}医生你好，我的手机{phone}，微信{account}，{decoy}，请回复。",
        "医院：{hospital}　患者：{name}　诊断：{decoy}　医生签名：{name}",
        "患者{name}的丈夫{name}代述：{decoy}，{decoy}，{date}加重。",
        "{name}女士，{date}在{hospital}体检发现{decoy}。",
        "死亡记录：患者{name}，{old}岁，{date}因{decoy}抢救无效死亡。参加人员：{surname}主任、{surname}"
        "护士长。",
        "感谢{hospital}{surname}大夫，{decoy}。也谢谢{surname}护士。",
        "户籍地址：{address}，单位电话：{phone}，邮箱：{email}，{decoy}。",
        "保险单号：{record}，付款卡号：{card}，投保人：{name}，{decoy}。",
        "随访日期：{date}，随访医生：{name}，患者{name}诉{decoy}，{decoy}。",
        "新生儿{name}，父亲{name}，母亲{name}，{date}在{hospital}出生，{decoy}。",
        "会诊邀请：请心内科{name}主任会诊，患者{name}，{decoy}，{decoy}。",
        "患者{name}，女，{old}岁，退休，因“{decoy}”于{date}步行入院。患者既往{decoy}，曾在{hospital}治疗。",
        "姓名：{name}  性别：男  年龄：{old}岁  床号：{bed}  病案号：{record}  入院日期：{date}  主诉"
        "：{decoy}。",
        "{surname}主任，我是患者{name}的女儿，我妈{date}在{hospital}做的CT，{decoy}，请您看一下。",
        "{date}，{name}主任医师查房，患者诉{decoy}，查体：{decoy}。",
        "患者{name}，{old}岁，{decoy}。家属：{name}，联系电话：{phone}。",
        "手术同意书：本人{name}，身份证号{id}，同意接受手术。患者签名：{name}，日期：{date}。{decoy}。",
        "您好，我叫{name}，家住{address}，{decoy}三个月了，{decoy}。",
        "病人{name}术后恢复可，{decoy}，{date}拆线，术者：{name}，{decoy}。",
        "检查号：{record}，姓名：{name}，送检科室：消化科，报告医师：{name}，审核医师：{name}。{decoy}。",
        "{masked}，男，{old}岁，因{decoy}于{date}就诊于{hospital}。",
        "{bed}床{name}，{decoy}，{decoy}。值班护士：{name}。",
        "{surname}大夫您好，打扰了，{decoy}，我的手机号{phone}，微信：{account}。",
        "转院记录：患者{name}，男，由{hospital}转入，{decoy}，{decoy}。主管医师：{name}。",
        "患者{name}的妻子{name}陪同就诊，{decoy}，{date}起病。",
        "{name}先生，您{date}在{hospital}的化验结果：{decoy}。",
        "我爸爸{name}，{old}岁，{date}查出{decoy}，{surname}教授建议手术。",
        "多谢{surname}医生！{decoy}已经好了。上次是{surname}护士给我打的针。",
        "现住址：{address}，邮箱：{email}，单位电话：{phone}，{decoy}。",
        "医保卡号：{record}，银行卡号：{card}，持卡人：{name}，{decoy}。",
        "复诊记录：{date}，医生：{name}，患者{name}自述{decoy}，{decoy}。",
        "产妇{name}，{date}在{hospital}顺产一女婴，{decoy}。丈夫：{name}。",
        "请{surname}主任、{surname}教授会诊，{decoy}。经治医师：{name}。"],
    ("zh", "test"): [
        "患者{name}，男，{old}岁，因“{decoy}”于{date}门诊收住入院。{decoy}，{decoy}。",
        "患者姓名：{name}，住院号：{record}，床号：{bed}，出生日期：{date}，主管医师：{name}。{decoy}。",
        "{surname}医生您好，我是{name}的家属，他{date}在{hospital}住过院，{decoy}，{decoy}。",
        "{date}{name}副主任医师查房：{decoy}，{decoy}，同意目前治疗。",
        "病人{name}，女，{old}岁，既往{decoy}，{date}在{hospital}做过手术。",
        "授权委托书：委托人：{name}，身份证号码：{id}；受托人：{name}，手机：{phone}。{decoy}。",
        "医生你好，我叫{name}，住在{address}，{decoy}，{decoy}怎么办？",
        "手术医师：{name}，麻醉医师：{name}，器械护士：{name}，手术日期：{date}。{decoy}。",
        "影像号：{record}　姓名：{name}　性别：男　报告医生：{name}　{decoy}",
        "{masked}，女，{old}岁，{decoy}，{date}至{hospital}就诊。",
        "{bed}床患者{name}诉{decoy}，{decoy}。护士：{name}。",
        "{surname}主任，我加了您的微信，我的号是微信：{account}，电话{phone}，{decoy}。",
        "患者{name}由{hospital}转来，{decoy}，{decoy}。接诊医生：{name}。",
        "患儿{name}的母亲{name}诉患儿{decoy}，{date}就诊。",
        "{name}女士在{hospital}随访，{date}复查，{decoy}。",
        "我奶奶{name}今年{old}岁了，{decoy}，{surname}大夫说不用手术。",
        "谢谢{surname}医生，{decoy}好多了。另外想问{surname}老师，{decoy}要紧吗？",
        "家庭住址：{address}，邮箱：{email}，联系电话：{phone}，{decoy}。",
        "参保号：{record}，卡号：{card}，户名：{name}，{decoy}。",
        "病程记录：{date}，患者{name}出现{decoy}，请示{surname}主任后处理，{decoy}。",
        "孕妇{name}于{date}在{hospital}建档，{decoy}。丈夫{name}，{decoy}。",
        "会诊医师：{name}，会诊时间：{date}，{decoy}。申请医师：{name}。"],
    ("en", "tune"): [
        "Patient: {name}. MRN: {record}. Admitted on {date} with {decoy}. {decoy}.",
        "Mr. {last} was seen at {hospital} on {date}; {decoy}, {decoy}.",
        "Dr. {last} called {phone}. {decoy}. Email: {email}.",
        "She lives at {address}. {decoy}. Age {old}, {decoy}.",
        "Patient Name: {name}\nDOB: {date}\nMRN: {record}\nHistory: {decoy}, {decoy}.",
        "Mrs. {last} is a {old}-year-old woman with {decoy} who presented on {date}. Mrs. {last} has {"
        "decoy}.",
        "{name} was transferred from {hospital} on {date}. {decoy}. {again} reports {decoy}.",
        "Dr. {name} reviewed the chart on {date}: {decoy}, {decoy}.",
        "Dictated by: {name}, MD. {date}. {decoy}.",
        "Call her daughter {name} at {phone}. {decoy}.",
        "Mr. {last} lives at {address}. {decoy}, {decoy}.",
        "SSN {ssn}, insurance ID {member}, card {card}. {decoy}.",
        "Hi {first}, this is Dr. {last} from {hospital}. {decoy}?",
        "My name is {name}, my email is {email} and my phone is {phone}. {decoy}.",
        "Ms. {name} (Room {room}) had {decoy} since {date}; {decoy}.",
        "Referred by: {name}. Account number: {record}. {decoy}. See {url}.",
        "The patient, {name}, underwent surgery on {date} at {hospital}; {decoy}.",
        "Attending: {last}, {first}. {decoy}. Seen {date}, {decoy}.",
        "Nurse {last} noted {decoy} on {date}. Fax: {phone}. ZIP {zip}.",
        "Signed by {name}, RN, {date}. {decoy}.",
        "DISCHARGE SUMMARY\nName: {name}\nAdmission date: {date}\nDischarge date: {date}\nMr. {last} h"
        "ad {decoy} and {decoy}.",
        "{name} is a {old} year old man referred by Dr. {last} of {hospital} for {decoy}.",
        "I saw Ms. {last} in clinic on {date}. She has {decoy}. Miss {last} denies {decoy}.",
        "Patient {name} (MRN {record}) presented on {date} with {decoy}; {decoy}.",
        "Dear Dr. {last}, thank you for referring {name}. {decoy}. Sincerely, {name}, MD",
        "Emergency contact: {name}, phone {phone}. Home address: {address}. {decoy}.",
        "His wife, {name}, can be reached at {phone}. {decoy}, {decoy}.",
        "On {date} he was taken to {hospital} with {decoy}. Dr. {last} performed the operation.",
        "Hello {first}, I am Dr. {last}. What brings you in? I have {decoy} since {date}.",
        "Policy number: {member}. Passport No. {member}. Credit card {card}. SSN: {ssn}. {decoy}.",
        "Electronically signed by: {name} on {date}. {decoy}.",
        "{last}, {first} - Bed {room} - {decoy}. Attending: Dr. {last}.",
        "Her father died at age {old} of {decoy}. She was born on {date} in {hospital}.",
        "Email {email} or visit {url}. Professor {last} will see you on {date}; {decoy}.",
        "The patient was seen by {name}, NP, on {date}. {decoy}. {again} advised rest.",
        "Surgeon: {name}. Assistant: {name}. {decoy}. Account #{record}.",
        "Name: {last}, {first}\nMRN: {record}\nDate of service: {date}\n{decoy}; {decoy}.",
        "{name} is a {old}-year-old male with {decoy} seen at {hospital} on {date}.",
        "Mr. {name} was admitted on {date}. He has {decoy}. Mr. {last} takes {decoy}.",
        "The patient's daughter {name} called from {phone}. {decoy}.",
        "Dr. {last} and Dr. {last} reviewed the films on {date}: {decoy}, {decoy}.",
        "Patient name: {name}, DOB: {date}, address: {address}. {decoy}.",
        "Hello, Mrs. {last}. How are you? I have {decoy} since {date}.",
        "Primary care physician: {name}. Phone: {phone}. {decoy}.",
        "She was transferred to {hospital} on {date} under the care of Dr. {name}. {decoy}, {decoy}.",
        "Member ID: {member}. Account No. {record}. Card {card}. {decoy}.",
        "Reviewed by: {name}, MD on {date}. {decoy}. Email {email}.",
        "Good morning, Dr. {last}. My husband {name} has {decoy}; he is {old} years old.",
        "{name} (MRN: {record}) lives at {address}. {decoy}.",
        "Room {room}: {decoy}. Nurse {last} will call {phone}. See {url}.",
        "SSN: {ssn}. Next of kin: {name}. {decoy}. Seen {date}.",
        "Ms. {last} is aged {old}. On {date}, {decoy}. She returned to {hospital} on {date}.",
        "{name}, a {old}-year-old woman, was admitted to {hospital} on {date} with {decoy}.",
        "Patient: {name}\nPhone: {phone}\nAddress: {address}\nComplaint: {decoy}",
        "Mr. {last} is here for follow-up. He was last seen on {date}. {decoy}, {decoy}. Mr. {last} agrees.",
        "Consult requested by Dr. {last}. {decoy}. Dictated by: {name} on {date}.",
        "Doctor: Hello, Miss {last}. Patient: Hi, Doctor {last}. I have {decoy} since {date}.",
        "Dear {first}, your appointment at {hospital} is on {date}. {decoy}. Dr. {name}",
        "Emergency contact is her sister {name} ({phone}). {decoy}.",
        "MRN: {record}; SSN: {ssn}; Passport number {member}. {decoy}.",
        "Mrs. {name} had surgery at {hospital} in {date}. {decoy}; {decoy}.",
        "Physician: {name}, MD. Date: {date}. {decoy}.",
        "He is {old} years old and lives alone at {address}. {decoy}.",
        "I discussed the case with Professor {last} on {date}. {decoy}. Contact {email}.",
        "Ward {bed}, Bed {bed}: {name}. {decoy}. Nurse: {name}.",
        "Name: {name}. Age: {old}. Insurance number: {member}. Credit card: {card}. {decoy}.",
        "My son {name} has {decoy}. Visit {url}. {decoy}?",
        "Signed by: {last}, {first}. {date}. {decoy}.",
        "{name} is a {old}-year-old man who was admitted to {hospital} on {date} for {decoy}.",
        "Patient Name: {name}. Date of Birth: {date}. MRN: {record}. {decoy}.",
        "Dr. {last} saw Mrs. {last} on {date}. She reports {decoy} and {decoy}.",
        "Mr. {name} lives at {address}. He has {decoy}. Mr. {last} drinks coffee.",
        "Thank you, Dr. {last}, for referring {name}. {decoy}. Phone: {phone}.",
        "The patient's wife {name} says he has {decoy} since {date}.",
        "Attending physician: Dr. {name}. Dictated by: {name}. {decoy}, {decoy}.",
        "Nurse {last} called {phone} on {date}. {decoy}.",
        "SSN: {ssn}. Policy number {member}. Credit card {card}. Email: {email}. {decoy}.",
        "Emergency contact: {name}, daughter, {phone}. {decoy}; {decoy}.",
        "Hello Dr. {last}, my name is {name}. I have {decoy}. I was at {hospital} on {date}.",
        "Ms. {last} is {old} years old. {decoy}. Follow up with Dr. {last} on {date}.",
        "{last}, {first} was seen on {date}. Bed {bed}. {decoy}. Signed by: {name}, MD",
        "Referred by: {name}. Account number: {record}. Visit {url}. {decoy}.",
        "Her mother, {name}, was treated at {hospital} for {decoy}.",
        "Surgeon: {name}. Date: {date}. Address: {address}. {decoy}."],
    ("en", "test"): [
        "{name} is a {old} year old woman admitted to {hospital} on {date} with {decoy}.",
        "Name: {name}. DOB: {date}. MRN: {record}. {decoy}, {decoy}.",
        "Mrs. {last} was evaluated by Dr. {last} on {date}. She has {decoy} and {decoy}.",
        "Mr. {name}, who lives at {address}, complains of {decoy}. Mr. {last} is retired.",
        "Dear Dr. {last}: I saw {name} on {date}. {decoy}. Call me at {phone}.",
        "According to her husband {name}, she has {decoy} since {date}.",
        "Surgeon: Dr. {name}. Assistant: {name}. {decoy}, {decoy}.",
        "Nurse {last} paged Dr. {last} on {date}. {decoy}.",
        "Social security number {ssn}. Member ID {member}. Card number {card}. Email: {email}. {decoy}.",
        "Next of kin: {name}, son, {phone}. {decoy}; {decoy}.",
        "Hello, my name is {name}. Dr. {last} at {hospital} gave me {decoy} on {date}.",
        "Ms. {last} is {old} years old. {decoy}. Appointment with Dr. {last} on {date}.",
        "{last}, {first} presented on {date}. Room {room}. {decoy}. Electronically signed by: {name}, MD",
        "Contact: {name}. Admission number: {record}. Visit {url}. {decoy}.",
        "His father, {name}, died at {hospital} of {decoy}.",
        "Attending: {name}. Date: {date}. Address: {address}. {decoy}."]}

MONTHS = "January February March April May June July August September October November December".split()
ZH = "一 二 三 四 五 六 七 八 九 十 十一 十二".split()


def digits(draw, count):
    return "".join(str(draw.randrange(10)) for _ in range(count))


def date(draw, form):
    y, m, d = draw.randrange(1950, 2025), draw.randrange(1, 13), draw.randrange(1, 29)
    th = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(d, "th")
    zh = "".join("〇一二三四五六七八九"[int(digit)] for digit in str(y))
    zh += f"年{ZH[m - 1]}月{ZH[min(d, 12) - 1]}日"
    return form.format(y=y, m=m, d=d, mm=f"{m:02}", dd=f"{d:02}", yy=f"{y % 100:02}", month=MONTHS[m - 1],
                       mon=MONTHS[m - 1][:3], th=th, zh=zh, zhmd=zh.split("年")[1])


def identity(draw):
    """Eighteen digits, the last one by the rule of GB 11643: weights 2^17 ... 2^1, sum modulo 11."""
    first = f"{draw.randrange(11, 66)}{digits(draw, 4)}{date(draw, '{y}{mm}{dd}')}{digits(draw, 3)}"
    weights = 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2
    return first + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(first, weights)) % 11]


def card(draw):
    """Sixteen digits, the last one such that the sum of Luhn is a multiple of ten."""
    first = "62" + digits(draw, 13)
    total = sum(sum(map(int, str(int(digit) * (2 - i % 2)))) for i, digit in enumerate(first))
    return first + str(-total % 10)


def pick(draw, count):
    return "".join(draw.choice("abcdefghkmnpqrstuvwxyz") for _ in range(count))


def phone(draw, form):
    """{4} four digits; in English {3} three and {2} two as in area codes: they begin with 2 to 7."""
    lowest = {"3": 200, "2": 20} if "{3}" in form else {}
    return re.sub(r"\{(\d)\}", lambda size: str(draw.randrange(lowest[size[1]], 10**int(size[1]) * 8 // 10))
                  if size[1] in lowest else digits(draw, int(size[1])), form)


def part(name, pool, draw, decoys):
    """One part: (text, kind); kind None for what may stay."""
    if name == "old":
        age = draw.choice([45, 67, 88, 91, 94, 102])
        return str(age), "age" if age > 89 else None
    if name == "decoy":
        return draw.choice(decoys), None
    if name in ("surname", "first", "last"):
        return draw.choice(pool[name]), "name"
    if name == "masked":
        return draw.choice(pool["surname"]) + draw.choice(["某", "某某", "××"]), "name"
    if name == "name":
        first, last, between = ("surname", "given", "") if "given" in pool else ("first", "last", " ")
        return draw.choice(pool[first]) + between + draw.choice(pool[last]), "name"
    if name == "hospital":
        return draw.choice(pool[name]), name
    if name == "date":
        return date(draw, draw.choice(pool[name])), name
    if name == "phone":
        return phone(draw, draw.choice(pool[name])), name
    if name == "address" and "city" in pool:
        home = draw.choice(["{}号", "{}号{}栋{}单元{}室", "{}弄{}号{}室", "{}号{}楼"])
        numbers = re.sub("{}", lambda _: str(draw.randrange(1, 999)), home)
        return "".join(draw.choice(pool[key]) for key in ("city", "district", "street")) + numbers, name
    if name == "address":
        return f"{draw.randrange(1, 9999)} {draw.choice(pool['street'])}, {draw.choice(pool['town'])}", name
    if name in ("id", "id15"):
        number = identity(draw)
        return number if name == "id" else number[:6] + number[8:17], "id"
    if name == "card":
        return card(draw), name
    if name == "zip":
        return digits(draw, 5), "address"
    if name == "email":
        return f"{pick(draw, 5)}.{pick(draw, 3)}{digits(draw, 2)}@{pick(draw, 6)}.com", name
    if name == "url":
        return f"https://www.{pick(draw, 6)}.com/{pick(draw, 3)}?id={digits(draw, 3)}", name
    if name in ("account", "qq"):
        return pick(draw, 4) + digits(draw, 4) if name == "account" else "8" + digits(draw, 8), "account"
    return {"record": draw.choice(["", "ZY", "M"]) + digits(draw, draw.choice([6, 8, 10])),
            "member": "XQ" + digits(draw, 9), "passport": "E" + digits(draw, 8), "bed": str(draw.randrange(1,
            99)),
            "ssn": f"{digits(draw, 3)}-{digits(draw, 2)}-{digits(draw, 4)}",
            "ward": draw.choice("一二三四五六"),
            "room": str(draw.randrange(100, 999))}[name], "number"


def cases(language, pool, count, seed=0):
    """A template names its parts in braces; {again} is the last {name} once more."""
    draw, made = random.Random(f"{language}{pool}{seed}"), []
    for _ in range(count):
        text, parts, person = "", [], ""
        for words, name in re.findall(r"([^{]*)(?:\{(\w+)\})?", draw.choice(TEMPLATES[language, pool])):
            text += words
            if name:
                piece, kind = (person, "name") if name == "again" else part(
                    name, POOLS[language, pool], draw, DECOYS[language])
                person = piece if name == "name" else person
                if kind:
                    parts.append((len(text), len(text) + len(piece), kind))
                text += piece
        made.append((text, parts))
    return made
