"""
Tables of data/privacy.py: what names of people and places are made of, what is never one, and invented ones.

Chinese strings are sets of characters; tuples hold words.  (Not here: any pattern.)
"""
# Surnames.  Those of NOUNS and more so of VERBS are parts of everyday words: they need more evidence.
SURNAMES = (
    "王李张刘陈杨赵周吴徐孙朱马胡郭林罗郑梁谢宋唐冯邓曹彭萧肖蔡潘田董袁蒋贾丁魏薛叶阎杜戴夏钟汪谭邹熊"
    "孟秦邱侯江尹薄顾邵龙钱闫汤黎庞樊兰殷施陶洪翟颜倪芦韦俞柳裴齐聂庄卢姚姜崔吕韩傅程沈苏沙焦柯欧卞巩"
    "葛娄窦章莫祁骆辛赖岑褚屈甄覃蒲凌霍虞阮蓝柴滕郝蔺卓涂佟冉嵇冼郜晏荀邢邬隋涉桑瞿闵郁裘娜郦鄢阚旷匡"
    "麻邝鄂仇佘宁谷封仲伊纪舒臧翁胥逄亓冀郏郗郯莘糜昝眭缪蒯逯谌谯阙栾厉靳邸郎桓敖寇屠巢钮雍付詹毕蒙喻"
    "穆简费席宗刁丛奚仝扈晁芮邰辜狄童卿茹练湛尉")
NOUNS = (
    "鲁麦楚黄左安任余武盛段石牛花金车毛苗甘许项尤史孔文米申雷贺龚鲍包康伍卜巴柏储乔季耿华范廖陆饶党乐"
    "梅岳池鞠桂冷巫茅荆牟艾苑栗楼苟曲朴闻皮盘南练劳晋司商燕禹祖漆鹿隆杭")
VERBS = (
    "于时应何向曾单全常高易代查关强严明祝成白水温解方连计景游谈房干印平古尚戚路管支万宫卫符迟")
COMPOUND = ("欧阳", "司马", "上官", "诸葛", "东方", "夏侯", "皇甫", "尉迟", "公孙", "慕容", "令狐", "宇文",
            "长孙", "司徒", "端木", "独孤", "南宫", "申屠", "轩辕", "呼延", "澹台", "钟离", "赫连", "淳于")
# The most frequent surnames, in order; others that are words first, which odds alone find.
FREQUENT = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖萧田董袁潘于蒋蔡余杜叶程苏魏吕丁任"
    "沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向"
    "汤常温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单"
    "季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄"
    "窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查"
    "麻苑迟邝")
RARE = "畅原保扬官衣台尧占户展才冶呼晃相智渠生勾修茶禄竺利厍乜养丰后红权盖益公言能苍双翦贡濮浦慕伏贲邴都"
# Of NOT_GIVEN and other words: what names have all the same, now and then.
WEAK_GIVEN = "为来有得无自百千万三四五六七八九十双后头石毛火电生男炎设放"
# Characters of given names: after an uncertain surname, or with few words around, a name has no others.
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明秀霞平刚桂英华玉兰红梅建国志文斌辉鹏宇浩轩梓涵子怡欣雨晨佳慧婷雪"
    "琳琪瑶瑞嘉诚博思睿俊凯峰林海波云飞翔龙虎鑫淼森彬彤晓小春夏秋冬梦洁莉莹颖倩雯丹凤莲菊珍珠宝贵福禄"
    "寿康泰祥荣昌盛兴旺德仁义礼智信忠孝廉美善贤淑贞惠芬芝香莎萍燕蓉蕾薇蓓蕊茜菲萌媛媚婉娴姣婧嫣妍妮娇"
    "琴瑾瑜璐琦珊珂玲环碧岚岩峻崇川江河洪涌澜清源润泽沛渊潇瀚灵炜焕煜熙烨炳亮光耀昊旭昕晗晴昱景晖朗朋"
    "星辰月宁安定家宏宗宽宸容寒冰凌凡元亨利永恒久长远通顺悦愉忻恬恩惟慈懿成功业立新民世代学书诗画乐歌"
    "唐汉楚鲁若如依伊尔雅靖韬略武威雄豪毅坚柏松竹桐楠枫梧栋梁树根苗青翠绿蓝紫彩金银铜铁锋锐钢铭钧钰锦"
    "铮良友大天地方圆正公伯仲叔季振奋跃腾东南西北开启帆航帅师冠亚卓尧舜禹巧庆延邦彦守继承绍培敬希望心"
    "念君卿士登岳爱羽翰翼霖露霏雷霄韵音然胜才素语诺曦琛楷煊翊宥澄沐萱歆玥玮珏颂棋桦榕槐柯樱棠茵芸芷苓"
    "茹荔葵薪淇渝滨汶沁沅泓洲涟淳淮湛溢潮璇璋璞珺琼瑛琰一之勤俭党卫克广满盼喜笑昂钊朔朝赫骏骁鹤鸿鹭麒"
    "麟麓黎慕亭仪佩俐倚健傲儒全兆冉凝勋励勉勃协升卉厚奇奕妙姗姿娅娉婵昀骥菁齐锁魁舟屿柠芮芊苒茉菡菀葭"
    "蔓蕙蘅霁霈霆靓颐馥骞驰鲲鹃鸥黛宪占纲壮恺仓柱财花阳援超少亦生富")
# Characters that no given name has: they make medical words, verbs and particles out of surnames.
NOT_GIVEN = (
    "的了是有无不在及或等时前后上下者我你您他她它们这那哪么什吗呢吧啊就都把被让给对跟请问找看说与到去"
    "来从向为因但而且也又很太更最再还已曾将会能应该须需要得着过起出入做作行用服吃喝药病症炎痛疼血热压"
    "肿瘤癌疸疹痒咳痰喘吐泻便尿汗晕昏迷惊厥伤口疮脓疤癣痘瘀胀闷麻痹瘫瘦胖肥骨肉皮肤肺肝胃肾脾肠胆脑颅"
    "胸腹腰背颈肩膝腕踝趾肢眼耳鼻喉咽舌齿牙唇脸面额头发毛囊腺膜管脉细胞菌毒抗激素酶酸碱盐糖脂蛋液体质"
    "量度率数次周岁每多些个只几半点钟级期型性类种科室院诊断检查治疗术刀针片粒丸膏散剂汤饮食油烟酒茶水"
    "奶饭菜米豆肛阴宫卵精孕胎产经带乳房儿童妇男幼婴例位名间段变化减低升降复旧围均约损害坏死活动反映果"
    "况状态感觉受伴随转移常规见现医展续停止按照谢州部区域处县乡镇虑述显著始终吸呼打叫身龄年人至烦和中"
    "苦醉于以重括领右腿烂副代签诉主陪床")
# Given names all the same.
GIVEN_WORDS = (
    "[胜亚若]男|[建志卫正]中|中[华伟秋]|和平|向[阳东前明荣红]|向|有[才福德根良财贵成林庆禄]"
    "|会[民芳英兰珍明军平云敏]|[福金根长新春]水|水[英生根仙清花莲]|[鹤柏延永万寿长庆益松瑞兆丰新华大]年"
    "|来[福喜顺弟娣宝]|[福春运喜东]来|为[民国]|人[杰凤龙]|[永兴顺德福]发|发[财根]|[婉雪灵]儿|幼[薇安萱兰]"
    "|[知景笃]行|作霖|常[青春]|素[珍芬琴英华云梅兰萍霞]|东升|[国永]升|重阳|无忌|得[胜福]|经纶|展[鹏飞]"
    "|显达|以[诺安]|右军|至诚")
# What names of peoples with other languages are written with: 阿依古丽·买买提.
SOUNDS = (
    "阿艾爱安巴白拜包比宾波博布才曹达丹德迪丁都多尔恩法格古哈海汗赫吉加江杰卡克库坤拉兰朗雷力丽利列林鲁罗"
    "洛玛马麦曼买米"
    "密明木穆娜纳乃尼努诺帕普齐奇恰却热仁日如萨赛桑沙山莎扎苏索塔泰坦提图吐土托瓦旺维吾乌西夏谢辛玉珠卓孜"
    "兹依伊亚雅叶央耶英"
    "尤约甫肉不地得东当伦措姆次顿巧金巫先则增贡嘎冈强确曲平登珍旦让合素铁贾居斯特夫娃肯卜叶迪别洪勒杜逊慧"
    "瑞莱尕朋央宗")
# 某种, 某病: no name before it.
NOT_AFTER_MOU = "种些个次人类病药疾市县地医院区校厂国公企省村镇乡年月日天一项段部处"
PROVINCES = ("北京", "天津", "上海", "重庆", "河北", "山西", "辽宁", "吉林", "黑龙江", "江苏", "浙江", "安徽",
             "福建", "江西", "山东", "河南", "湖北", "湖南", "广东", "海南", "四川", "贵州", "云南", "陕西",
             "甘肃", "青海", "台湾", "内蒙古", "广西", "西藏", "宁夏", "新疆", "香港", "澳门")
CITIES = (
    "广州 深圳 珠海 汕头 佛山 东莞 中山 惠州 湛江 江门 茂名 肇庆 杭州 宁波 温州 嘉兴 湖州 绍兴 金华 "
    "台州 南京 无锡 徐州 常州 苏州 南通 扬州 镇江 盐城 连云港 济南 青岛 淄博 烟台 潍坊 济宁 泰安 "
    "威海 临沂 德州 聊城 菏泽 武汉 宜昌 襄阳 荆州 黄石 十堰 长沙 株洲 湘潭 衡阳 岳阳 常德 郴州 怀化 "
    "郑州 洛阳 开封 新乡 南阳 许昌 商丘 信阳 周口 石家庄 唐山 保定 邯郸 廊坊 沧州 秦皇岛 太原 大同 "
    "临汾 运城 沈阳 大连 鞍山 抚顺 锦州 长春 四平 哈尔滨 齐齐哈尔 大庆 佳木斯 牡丹江 合肥 芜湖 蚌埠 "
    "安庆 阜阳 福州 厦门 泉州 漳州 莆田 南昌 九江 赣州 上饶 成都 绵阳 德阳 南充 宜宾 泸州 自贡 贵阳 "
    "遵义 昆明 大理 曲靖 西安 咸阳 宝鸡 汉中 渭南 兰州 天水 西宁 银川 乌鲁木齐 呼和浩特 包头 赤峰 "
    "南宁 柳州 桂林 梧州 海口 三亚 拉萨 义乌 昆山 江阴").split()
# What looks like a name and is none: people of books, places, words.
COMMON = {
    *PROVINCES, *CITIES, *(
        "台鉴 惠鉴 余无 主任 丈夫 本周 上周 下周 每周 隔周 华佗 张仲景 李时珍 孙思邈 钟南山 李东垣 朱丹溪"
        " 叶天士 吴鞠通 王清任 张景岳 刘完素 张从正 葛洪 "
        "钱乙 傅青主 张锡纯 王孟英 李兰娟 张伯礼 张文宏 林巧稚 马克思 高大 高兴 高明 高远 高雅 高贵 高中 "
        "安静 安定 安宁 安康 安心 安全 安顺 平和 平安 平静 平康 平通 温和 温暖 明亮 明智 强大 成功 成立 "
        "成长 石英 金黄 金银 花香 白芷 白芍 黄芪 黄金 黄连 连续 方正 应允 常年 严冬 文学 文化 文静 康乐 "
        "水利 水星 华东 华南 华北 华中 马上 江河 江南 江北 河南 海洋 陈旧 孙辈 周边 周全 任意 任重 左东 "
        "和平 雷达 鲁莽 毛利 万一 万幸 古代 古朴 查明 关心 关爱 关之 时光 尤其 尤以 全天 全心 全力 全程 "
        "单一 景天 代可 牛黄 石斛 党参 麦冬 游泳 计算 支原 许可 丁香 向 时 白天 明天 今天 水平 左右 高铁 "
        "谈天 管教 明朗 夏季 宁好 宁天 安排 安置 祝健康 解答 解惑 解释 糜烂 周一 周二 周三 周四 周五 "
        "周六 周日 周末 蒲公英 葛根素 徐长卿 马利兰 叶绿素 郁金香 叶开泰 练习 薄弱 应善 柯萨奇 霍奇金 "
        "卫生 容易 符合 于刚 成群 高达 路过 凌晨 苏醒 舒适 平素 傅进 关键 时候 强调 周报制 "
        "韩国 韩剧 付费 付出 付账 钱包 盛夏 盛大 盛产 盖章 代笔 代办 代购 管路 管床 管道 管家 江水 金秋 "
        "金融 金牌 黄昏 黄牛 黄油 高考 高校 高层 高速 高薪 高楼 高手 高峰 高原 高级 高龄 高处 高价 高超 "
        "高职 白领 白菜 白糖 白板 白云 白雪 马车 马虎 马达 石头 石灰 石材 石板 石子 石棉 石墨 方言 方针 "
        "方块 方形 古人 古城 古董 古籍 古典 古法 安检 安保 安家 安葬 平房 平地 平板 平米 平价 平民 平方 "
        "成果 成就 成品 成语 成套 常住 常务 常识 常客 常温 车辆 车站 车票 车库 车门 车厢 车主 车座 房租 "
        "房东 房产 房子 房款 房贷 路线 路口 路费 路面 路灯 路段 边防 边境 单据 单身 单人 单间 单程 单车 "
        "计时 计件 计较 计费 包裹 包子 包厢 包车 包月 包里 司仪 商店 商标 商户 花园 花瓶 花店 花卉 花朵 "
        "水库 水池 水管 水泥 水井 水壶 水稻 水产 水彩 水边 温室 温馨 文凭 文员 文秘 文艺 武术 武器 武装 "
        "万里 万年 万能 万物 万事 全员 全日 全款 全新 全市 全年 全县 全省 全校 全班 和气 和好 和睦 和尚 "
        "和谐 和蔼 和善 时尚 时机 时段 时差 时装 时速 时刻 时针 向导 向东 向日 向阳 应酬 应聘 应届 应付 "
        "应邀 应急 应试 连夜 连日 连云 连环 连长 连队 关门 关机 关照 关怀 关税 关张 关停 米线 米酒 米缸 "
        "毛豆 毛衣 毛笔 毛线 毛毯 毛坯 牛棚 牛仔 熊胆 龙虾 龙头 龙舟 雷雨 雷电 雷声 雷管 雷锋 夏令 夏装 "
        "孔雀 孔洞 孟婆 童话 童年 童装 童车 童子 章程 章鱼 项链 项圈 纪律 纪委 纪录 席位 席子 席间 查房 "
        "查阅 查询 查看 查对 查处 查获 游客 游览 游玩 游乐 游行 游轮 易拉 易碎 易燃 于今 于此 于理 于事 "
        "解放 解散 解雇 解说 解压 干部 干粮 干洗 干脆 干旱 印尼 印记 印花 冷库 冷气 冷战 冷漠 冷清 党员 "
        "党校 党委 党支 党组 农田 农户 农历 农场 师范 师生 师徒 柴火 柴油 柴草 柴鸡 梅雨 梅子 梅干 柳枝 "
        "桂花 桑树 麦田 麦秸 麦子 麻将 麻辣 麻袋 麻绳 宁愿 宁可 乐园 乐器 乐队 乐谱 乐曲 康健 康佳 温饱 "
        "施工 施肥 施舍 施压 施展 施暴 施教 张贴 张嘴 张望 张罗 张扬 张家界 强盗 强行 强光 强降 任教 "
        "任职 任课 任期 任由 任凭 任选 费时 史书 史料 史前 申办 申领 申诉 申述 申购 左转 左近 左邻右舍 "
        "陆运 池塘 池水 沙漠 沙滩 沙石 沙子 沙土 沙拉 沙县 谷雨 谷子 洪峰 洪涝 洪亮 贺卡 贺信 贺礼 贺岁 "
        "贺电 祝贺 祝寿 祝词 戴罪 戴孝 戴手套 许愿 许久 许诺 谢意 谢绝 谢礼 谢客 谢罪 唐诗 唐朝 唐装 "
        "唐筛 宋词 宋朝 宋体 明年 明日 明早 明晚 明星 明码 明信片 明细 明知 明目 明文 汤圆 汤勺 汤锅 "
        "汤汁 汤包 姜汤 姜丝 姜末 葛粉 葛藤 蓝天 蓝牙 蓝领 红旗 红绿灯 红豆 尹始 曲折 曲奇 曲子 曲目 "
        "樊篱 潘多拉 萧条 萧山 萧瑟 杜撰 杜鹃 叶子 叶面 田地 田间 田野 田园 田螺 田七 严厉 严肃 严禁 "
        "严寒 严惩 严实 余款 余额 余生 余粮 余热 余地 余姚 邹城 郑重 赖床 赖账 赖皮 赖以 庞大 庞杂 殷切 "
        "殷勤 殷红 陶冶 陶醉 陶器 颜料 颜值 阎王 阎罗 侯爵 侯诊 邵阳 顾问 顾及 顾此 顾忌 顾名 李子 杨树 "
        "杨桃 杨絮 杨柳 柏树 苗条 苗木 苗圃 苗头 苗族 苗药 凌乱 凌空 凌辱 霍然 房卡 莫非 莫大 莫过 庄严 "
        "庄稼 庄园 庄重 辛勤 辛劳 阳台 阳历 阳间 阳春 欧美 欧元 欧式 席梦思 甘甜 景区 景点 景色 景观 "
        "景象 包容 宫廷 宗教 宗族 储蓄 储物 毕生 卜算 占卜 冉冉 解馋 段落 段子 段位 雷同 丁字 丁酮 丁点 "
        "钟表 钟点 钟点工 钟头 钟声 钟爱 汪洋 汪汪 汪塘 巫婆 巫术 巫师 荣幸 荣获 荣誉 荣昌 荣耀 隆重 "
        "隆冬 隆胸 平整 华侨 华夏 华丽 华山 华语 华裔 郎中 都城 都江堰 尚且 尚佳 展览 展厅 展示 展销 "
        "保安 保姆 保险 保管 保修 保洁 保底 保释 保温 官员 官网 原价 原籍 原件 原装 原单位 原本 衣柜 "
        "衣着 衣架 衣衫 台阶 台风 台灯 占用 占道 占有 户口 户籍 户主 才华 呼叫 呼救 呼喊 呼唤 相机 相册 "
        "相亲 相遇 智慧 智障 渠沟 生意 生日 勾引 勾选 皮鞋 皮衣 皮带 修理 修车 茶几 茶杯 茶馆 利息 利润 "
        "养老 养殖 养猪 养鸡 养鱼 丰收 丰盛 公路 公厕 公告 公示 公证 言论 能否 双休 劳务 劳保 封面 封口 "
        "伏天 伏特加 都市 荆条 "
        "单元 单纯 "
        "于心 方法 程序 包括 宁静 任何 任务 程度 管教子 代相传 田大学").split()}
# Characters that no name of a place has, and that none begins with.
NOT_PLACE = "在到去于从来至往我你他们的是有就转送回入症属过对说这那该每谢感"
NOT_FIRST = "前后由经被把让大超本各某全当附和及与或两为住"

# Of names of hospitals: known ones, words common to many, and characters of private ones.
HOSPITALS = (
    "中日友好|东方|协和|同仁|华西|湘雅|瑞金|天坛|安贞|阜外|积水潭|同济|仁济|宣武|友谊|朝阳|华山|长征|长海"
    "|西京"
    "|唐都|齐鲁|新桥|大坪|盛京|龙华|曙光|望京|广安门|西苑|东直门|解放军|武警|长庚|玛丽|邵逸夫|佑安|世纪坛"
    "|地坛|毓璜顶|鼓楼")
HOSPITAL_WORDS = (
    "第?[一二三四五六七八九十〇百\\d]++|人民|中心|中医|中西医|结合|中|妇幼|妇女|保健|儿童|妇产|肿瘤|胸科"
    "|口腔|眼科|传染病|附属[一-龥]{2,4}(?=医院)|附属|医科|大学|医学院|军区|骨科|骨伤|脑科|精神|卫生|心血"
    "管|康复|药|总|空军"
    "|海军|陆军|职工|铁路|红十字|老年|工人|油田|矿区|煤矿|钢铁|皮肤病|结核病|研究|省立|市立|区|县|市|省|"
    "总队|社区|专科|综合")
COUNTIES = "攸郧房沛丰睢莘单曹冠费赵磁易雄献景徽岷泾礼渠洋勉郏嵩杞滑淇息萧泗歙祁蠡"       # of one character
BRAND = "仁爱康宁博济慈惠民安和华同德圣嘉佑善恒泰瑞福寿普光曙馨颐鼎益众信诚亲雅怡阳春友谊世纪新东"

# Capitalised words that begin sentences or stand beside names, and are none.
NOT_NAMES = set((
    "The A An I He She It We You They This That These Those My Your His Her Our Their There Here What "
    "When Where Why Who How Which Is Are Was Were Am Be Been Do Does Did Has Have Had Can Could Will "
    "Would Should Shall May Might Must Not No Yes Yeah Yep Nope Okay Ok Oh Ah Um Uh Hmm Well So And But "
    "Or If Then Than As At In On Of For From To By With Please Thank Thanks Hello Hi Hey Good Great "
    "Right Sure Fine Sorry Sir Madam Ma Now Today Tomorrow Yesterday Let Lets Just Also Only Any All "
    "Some Every Each Both Patient Patients Doctor Doctors Dr Mr Mrs Ms Miss Nurse Physician Hospital "
    "Clinic Center Medical Medicine Surgery Emergency Department Unit General Practitioner Assistant "
    "Manager Anesthetist Midwife Specialist Surgeon History Physical Exam Examination Name Date Age Sex "
    "Male Female Address Phone Chief Complaint Present Past Family Social Review Assessment Plan "
    "Diagnosis Treatment Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March "
    "April June July August September October November December Disease Syndrome Virus Health Care Blood "
    "Heart Disorder Test Unknown None Unremarkable Negative Positive Denies Reports States Presents "
    "Stable Alert Normal Left Christian Jewish American African Asian Hispanic Indian Chinese Caucasian "
    "Guest Father Mother Son Daughter Wife Husband Covid Street Avenue Road Drive After Before During "
    "Since While Because However Although Given Once Take Try Call See Follow Followed Admitted "
    "Discharged Seen Known Born Currently Recently Previously Afternoon Morning Evening Day Night Week "
    "Month Year University College School Institute Foundation Association Home Med Sample Additionally "
    "Internal Nuclear Primary Wort Rectal Lives Says").split())
COMMON_EN = NOT_NAMES | set((
    "Children Childrens Community University Regional County Memorial Surgical City State National Local "
    "Mental Psychiatric Veterans Women Womens Teaching Public Private Pain Eye Dental Sleep Cancer "
    "Outpatient Inpatient Urgent Family Primary Rehabilitation Rehab Specialty Pediatric Cardiology "
    "Fertility Walk In Same Head Municipal People Peoples Pulmonary Medicare Maintenance First Second "
    "Third Fourth Fifth Sixth Hearing Diabetes Allergy Free Rural Tertiary Referral Base Field Travel "
    "Heart Vascular Orthopedic Neurology Dermatology Oncology Infirmary District").split())
FIRST_MALE = (
    "Mark James Robert John Michael David William Richard Joseph Thomas Charles Christopher Daniel "
    "Matthew Anthony Steven Paul Andrew Joshua Kenneth Kevin Brian George Timothy Ronald Edward Jason "
    "Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel "
    "Gregory Alexander Patrick Raymond Jack Dennis Jerry Tyler Aaron Jose Adam Nathan Henry Zachary "
    "Douglas Peter Kyle Noah Ethan Jeremy Walter Christian Keith Roger Terry Austin Sean Gerald Carl "
    "Harold Dylan Arthur Lawrence Jordan Jesse Bryan Billy Bruce Gabriel Joe Logan Alan Juan Albert "
    "Willie Elijah Wayne Randy Vincent Mason Roy Ralph Bobby Russell Bradley Philip Eugene Carlos Luis "
    "Miguel Frank Donald Tom Tim Ben Sam Mike Steve Dave Ahmed Omar Ivan Oscar Victor Marcus Oliver Liam "
    "Lucas Leon Hugo Mohammed Muhammad Mohamed Ali Hassan Ibrahim Rajesh Ravi Sanjay Arjun Vijay Amit "
    "Wei Jun Ming Chen Hiroshi Kenji Takeshi Dmitri Sergei Boris Pavel Andrei Pedro Pablo Diego Javier "
    "Fernando Jorge Ricardo Mateo Enrique Antonio Giovanni Marco Luca Pierre Jacques Hans Klaus Lars "
    "Erik Sven Kofi Kwame Tyrone Darnell Jamal Malik Trevor Stuart Graham Nigel Simon Neil Ian Ross "
    "Craig Derek Glenn Curtis Leonard Norman Stanley Howard Alfred Ernest Clifford Herbert").split()
FIRST_FEMALE = (
    "Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Karen Sarah Lisa Nancy Betty Sandra "
    "Margaret Ashley Kimberly Emily Donna Michelle Carol Amanda Melissa Deborah Stephanie Rebecca Sharon "
    "Laura Cynthia Dorothy Amy Kathleen Angela Shirley Emma Brenda Pamela Nicole Anna Samantha Katherine "
    "Christine Debra Rachel Carolyn Janet Maria Olivia Heather Helen Catherine Diane Julie Victoria "
    "Joyce Lauren Kelly Christina Ruth Joan Virginia Judith Evelyn Hannah Andrea Megan Cheryl Jacqueline "
    "Madison Teresa Abigail Sophia Martha Sara Gloria Janice Kathryn Ann Isabella Judy Charlotte Julia "
    "Alice Jean Amber Denise Danielle Marilyn Beverly Natalie Theresa Diana Brittany Doris Kayla Alexis "
    "Lori Marie Jane Susie Kate Lucy Ellen Fatima Aisha Elena Sofia Carmen Rosa Nina Irene Mia Priya "
    "Anjali Lakshmi Sunita Neha Yuki Akiko Keiko Sakura Mei Ling Jing Olga Natasha Svetlana Tatiana Anya "
    "Ingrid Astrid Chiara Giulia Francesca Lucia Guadalupe Esperanza Consuelo Juana Pilar Leila Yasmin "
    "Zainab Khadija Amina Latoya Keisha Tamika Ebony Claire Eleanor Florence Edith Agnes Beatrice "
    "Harriet Josephine Louise Marjorie Mildred Phyllis Rita Sylvia Tracy Wendy Yvonne Zoe Chloe Ava Ella "
    "Lily Molly Nora Paula Tina Vera Vivian Robin Tammy Crystal Erin Sheila Peggy Connie Bonnie Ruby "
    "Thelma Ethel Gladys Hazel").split()
LAST = (
    "Abbey Barlow Calder Dunmore Ellery Farrow Garland Hadley Ingram Jarrow Kendrick Lambert Marlowe "
    "Norwood Oakley Penrose Quimby Radley Selwyn Thorne Underhill Varley Whitby Yardley Ashdown Brandt "
    "Corwin Delaney Esmond Fielding Granger Holloway Ives Jessop Kirkby Langley Mercer Nesbit Orwell "
    "Paxton Redfern Standish Tilbury Upton").split()
STATES = (
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC "
    "ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC").split()
# Invented places, streets and hospitals.
PLACES = (
    "青岚 云泽 明川 临沙 东岭 澄溪 安洲 平陵 禾山 清浦 瑞原 景河 松桥 长陂 白沙 永塘 南屏 新渡 "
    "石泉 枫林").split()
PLACES_EN = (
    "Fairhaven Millbrook Ashford Brookdale Eastbury Glenview Harwick Lakemont Northfield Oakhurst").split()
