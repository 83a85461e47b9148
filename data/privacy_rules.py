"""
The rules of data/privacy.py: what private parts of medical text look like.  (Not here: what comes in.)

A rule is (kind, what a text must have to be searched, pattern); group x of a match, or else all of it, is the
private part.  Of two that overlap the earlier rule wins.  Patterns are built of named pieces.  Those of dates
have groups y, m, d for year, month and day, e for a last day, o for the ending of an ordinal.  Patterns begin
with letters rather than with conditions where they can: the search is then many times faster.
"""
import re

from data import names as table

HAN = "[一-龥]"

# Numbers
TOLL_FREE = "8(?:00|88|77|66|55|44|33)"              # such lines, and 400 in China, are nobody's: they stay
BIRTH = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
RECORD = (
    "(?:住院|病历|病案|门诊|就诊|登记|检查|影像|超声|病理|标本|CT|MRI?|X线|放射|报告|医保|社保|医疗保险|银行|信用"
    "|借记|保单|保险|档案|健康|诊疗|参保|急诊|条码|工|流水|卡|账|护照|通行证|军官证|病床|床|病区|房间)")
RECORD_EN = (
    "(?:MRN|SSN|DEA|NPI|Acct|[Rr]ecord|[Aa]ccount|[Aa]dmission|[Vv]isit|[Ee]ncounter|[Pp]atient|[Cc]hart"
    "|[Ss]ecurity|[Pp]assport|[Mm]ember|[Pp]olicy|[Ii]nsurance|[Pp]lan|[Gg]roup|[Ll]icense|[Aa]ccession"
    "|[Ss]pecimen|[Cc]ard|[Cc]ase)")
LOCAL = "(?:电话|手机|传真|[Tt]el|[Pp]hone|[Ff]ax|[Cc]ell)(?:号码?|号?是| number)?(?: is)?[.:： ]*"

# Dates
YEAR = r"(?P<y>(?:19|20)\d\d)"
DAY = r"(?P<d>\d{1,2})"
MONTHS = "January February March April May June July August September October November December".split()
MONTH = rf"(?P<m>(?:{'|'.join(MONTHS)}|{'|'.join(name[:3] for name in MONTHS)}|Sept)\b)"
ZH_N = "[一二三四五六七八九十]{1,3}"
TO_DAY = r"(?: ?[日号]?(?:-|–|—|~|至|到|和|、|，|及)(?P<e>\d{1,2})(?= ?[日号]))?"         # 5日-8日, 5-8日
NO_UNIT = r"(?!\d|[.:]\d| ?(?:mg|ml|mL|mcg|g\b|mm|cm|kg|%|times|days|weeks|hours|units|tablets|pills))"
BEFORE = r"(?<![\d./-])"

# Places
CITY = f"(?:{'|'.join((*table.PROVINCES, *table.CITIES))})"
REGION = f"(?:{CITY}(?:省|市|(?:回族|壮族|维吾尔)?自治区)?)"
ANYWHERE = f"(?:(?![{table.NOT_PLACE}]){HAN})"
PLACE = f"(?:(?![{table.NOT_PLACE}{table.NOT_FIRST}]){HAN})"
UNITS = (
    "(?:省|自治区|市|自治州|地区|盟|区|县|旗|街道|镇|乡|村|社区|小区|花园|新村|路|街|大道|巷|弄|胡同|号楼?|栋|幢"
    "|座|单元|楼|层|室|组|队)")
CHAIN = rf"(?:(?:{ANYWHERE}{{0,7}}?|[A-Z\d-]{{1,6}}){UNITS}){{1,10}}"
HOME = re.compile("(?:[住地]址|籍贯|出生地|户籍(?:所在地|地址)?|工作单位|现住) ?[:：]")
LIVES = re.compile("(?<!专)家[住在]|现住|居住[于在]|住[在于]|户籍|地址[是为]?")
HOUSE = re.compile("路|街|大道|巷|弄|胡同|村|社区|小区|花园|[栋幢座室]|单元")
WORDS = f"(?:{table.HOSPITAL_WORDS}|{table.HOSPITALS}|{PLACE}{{2,3}}区)"
ANY_TWO = (
    "(?!正规|三[甲级]|[公私]立|民营|知名|著名|权威|专业|普通|一流|医院|整形|美容|男科)"
    f"(?:(?:(?![{table.NOT_GIVEN}]){PLACE}){{2}}|[{table.BRAND}和]{{2}})")
DISTRICT = "(?:[市县]|自治[州县]|(?<![小地城市郊片社辖院山老灾疫住病牧军])区(?!医院))"
HOSPITAL = (
    "(?:医院|卫生院|医学中心|医疗中心|保健院|卫生服务中心|防治院|诊所)(?:[东西南北]院区?|分院|总院)?")
NAMED_HOSPITAL = "|".join([
    rf"{CITY}(?:[省市县区]{WORDS}{{0,6}}|{WORDS}{{1,6}}|市?{ANY_TWO})",
    rf"(?:{CITY}[省市]?)?{PLACE}{{2,4}}?{DISTRICT}(?:{WORDS}{{0,6}}|{ANY_TWO})",
    rf"{CITY}?{PLACE}{{2,8}}?(?:大学|学院|研究[所院])(?:{WORDS}{{0,6}}|{ANY_TWO})",
    rf"[{table.COUNTIES}]县{WORDS}{{1,6}}",
    rf"(?:{table.HOSPITALS}){CITY}?{WORDS}{{0,5}}",
    rf"[{table.BRAND}]{{2,4}}{WORDS}{{0,4}}",
    r"(?<!\d)\d{3}"])
HOSPITAL_EN = r"(?:Hospital|Medical Cent(?:er|re)|Clinic|Health Center|Infirmary)\b"
STREET = (
    "(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Terrace|Circle|Parkway)")
TOWN = rf"(?:[A-Z][a-z]+ ){{0,2}}[A-Z][a-z]+, (?:{'|'.join(table.STATES)})"
ZIP = r"\d{5}(?:-\d{4})?\b"

# Chinese names: surnames in four classes, given names in two, by how much the words around must say.
SURNAME = f"(?:{'|'.join(table.COMPOUND)}|[{table.SURNAMES}])"
FAMILY = f"(?:{SURNAME}|[{table.NOUNS}])"
UNSURE = f"[{table.NOUNS}{table.VERBS}]"
ANY_SURNAME = f"(?:{SURNAME}|{UNSURE})"
GIVEN = f"[{table.GIVEN}]{{1,2}}"
LOOSE = f"(?:{table.GIVEN_WORDS}|(?:(?![{table.NOT_GIVEN}]){HAN}){{1,2}})"
NO_WORD = f"(?:(?![{table.NOT_GIVEN}]){HAN})"
TWO = LOOSE.replace("{1,2}", "{2}")
NAMED = f"(?:{FAMILY}{LOOSE}|[{table.VERBS}]{GIVEN})"
STAFF = "(?:医师|医生|护士|技师|药师|大夫|主任)"
CAREER = (
    "(?:主治|主任|住院|经治|主管|管床|接诊|责任|记录|报告|审核|检验|手术|麻醉|送检|申请|上级|会诊|值班|随访|主诊"
    "|诊断|器械|床位|家庭|检查|预约|处方|开单|首诊|主刀|签约|康复|初诊|复诊|书写)")
AGENT = (
    "(?:收件|收货|寄件|申请|申诉|代理|授权|委托|受托|受益|持卡|监护|联络|证明|举报|投保|被保险|经办|负责|责任|介绍"
    "|担保|联系)人")
LABEL = (
    f"(?:姓 ?名|{AGENT}|签 ?名|签 ?字|签章|术者|助手"
    "|(?:记录|报告|审核|检验|核对|陪同|监护|操作|供史|陈述)[者人])(?:签名|签字|姓名)? ?[:：] *")
ROLE = "[者人师员长属父母妻夫子女儿友种偶录签]"      # how words for a person end: 记录者, 家属, 配偶
PERSON = (
    "(?:患者|病人|患儿|患方|伤员|伤者|死者|产妇|孕妇|术者|新生儿|家属|医生|医师|大夫|主任|教授|护士长|护士"
    "|药师|技师|护工|陪护|保姆|丈夫|妻子|老公|老婆|爱人|配偶|男友|女友|儿子|女儿|父亲|母亲|爸爸|妈妈|哥哥|弟弟|姐姐"
    "|妹妹|爷爷|奶奶|外公|外婆|姥姥|姥爷|公公|婆婆|岳父|岳母|叔叔|伯伯|舅舅|姑姑|姨妈|阿姨|侄子|侄女|外甥|嫂子|姐夫"
    "|妹夫|儿媳|女婿|孙子|孙女|其[父母子女夫妻兄弟姐妹]|本人|同事|朋友|邻居|室友|受试者|志愿者"
    f"|{AGENT}|床(?!单))")
AFTER = (                                            # what follows a name: 患者张伟因..., 其子李强陪同
    r"(?=[，,。；;：:、（(\s）)！!？?\dA-Za-z]|$"
    "|[于因自今系的诉来前陪代签由及和与说行在已现住接送称想感患有无到去曾昨晨再又突急被将未男女]|主诉|入院|查房"
    "|会诊|主刀|电话|处理|联系|报告|汇报|既往|否认|照顾|提供|回忆|告诉|觉得|出现|复查|复诊|表示|要求|同意|目前"
    "|出生|[一二三四五六七八九十]{1,2}月|接诊|负责|进行|完成|操作|反映|告知|询问|回答|收[，。]|查体|术[前后中]|治疗|经过|同前|一般)")
SEX_AGE = (
    r"(?=[\s，,、（(]*(?:(?:性别[:：]? ?)?[男女](?:性|[，,、；;。\s/）)\d]|$)|\d{1,3} ?岁"
    "|(?:住院|病历|病案|门诊|床)号|的(?:女儿|儿子|妻子|丈夫|母亲|父亲|家属|爱人)))")
TITLE = (
    "(?:(?:主治|住院|主管|责任|值班)医[师生]|先生|女士|小姐|太太|同志|大爷|大妈|大娘|阿姨|叔叔|奶奶|爷爷|师傅"
    "|老师|同学|医生|医师|大夫|副?主任|副?教授|护士|护师|药师|技师|院长|科长|老太太|老先生)")
NO_TITLE = (                                         # 谢谢医生, 祝医生工作顺利, 于医师指导下
    f"(?!(?<=[谢感多])(?<!谢谢)谢|祝{TITLE}(?:们|工作|身体|生活|一切|早|新|节|万|健|平|天)"
    "|于医[师生](?:指导|处|的|用))")
ASKS = "[知示院好随（(由经遵和与人者的找请看问谢老小约挂是见叫给你跟让听，。：；、！？ ]"
TITLED = "|".join([
    f"{SURNAME}{LOOSE}", f"[{table.NOUNS}]{TWO}", f"{UNSURE}{GIVEN}", rf"(?<![每一二两几\d上下本]){SURNAME}",
    f"(?:^|(?<={ASKS}))(?:[{table.NOUNS}]{LOOSE}|{UNSURE})"])
CALLED = (
    f"(?:我是(?={ANY_SURNAME}{GIVEN}[，,。的])|我叫|名叫|户名|[妈爸子女亲公婆孩宝爷奶]叫|名字[叫是]|姓名[是为]?)")
DATED = (
    r"(?=[，,] ?(?:\d{4}[年./-]|\d{1,2}月|\d{8}|[一二三四五六七八九十〇]+[年月]|孕\d"
    "|[于因患]|诊断|住院|入院))")

# English names
CAP = r"(?:Ma?c|O['’]|D[ei]|La|Van )?[A-Z][a-z]+(?:[-'’][A-Z][a-z]+)?\b"
NO_EPONYM = (
    r"(?!(?:['’]s)? (?:University|Hospital|College|School|Medical|(?:[a-z]+ )?(?:disease|syndrome|virus|sign"
    "|test|score|criteria|procedure|palsy|myotomy|malformation|fracture|reflex|phenomenon|operation|stain|cells?"
    "|bodies|wort)))")
LAST = rf"(?!(?:{'|'.join(sorted(table.NOT_NAMES))})\b){CAP}{NO_EPONYM}"
FIRST = rf"(?:{'|'.join((*table.FIRST_MALE, *table.FIRST_FEMALE))})\b"
INITIAL = r"(?: [A-Z](?:\.|(?= )))?"
FULL = rf"{FIRST}{INITIAL} {LAST}"
UP_TO_3 = rf"{LAST}{INITIAL}(?: {LAST}){{0,2}}"
TWO_WORDS = r"[A-Z][a-z]+(?: [A-Z]\.)? [A-Z][A-Za-z’'-]+"
REVERSED = rf"[A-Z]{{2,}}, [A-Z]{{2,}}\b{INITIAL}|{LAST}, {FIRST}{INITIAL}"
KIN = "[Pp]atient|wife|husband|son|daughter|mother|father|brother|sister|friend|neighbor"
LABEL_EN = (
    r"(?:[Nn]ame|ed [Bb]y|[Cc]ontact|\b[Kk]in|Guardian|Spouse|Attending|PCP|Provider|are physician|Assistant"
    "|Consultant|Anesthesiologist|Surgeon|Radiologist|Pathologist|cc)")
DEGREE = r"(?:M\.?D|RN|DO|PhD|NP)\b"

NUMBERS = [
    ("email", "@", r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"),
    ("url", r"http|www\.", r"(?:https?://|www\.)(?![A-Za-z0-9.-]*\.(?:gov|edu|int)\b)"   # those are public
     r"[A-Za-z0-9./?=&%_#:~+-]*[A-Za-z0-9/]"),
    ("account", "微信|[Qq][Qq]|[Ww]e[Cc]hat|[Ww]eixin|[Vv][Xx]", r"(?i:微信|qq|wechat|weixin|vx)"
     r"(?:群|号码|号|账号| ?ID)?\s*[:：是为]?\s*(?P<x>[A-Za-z0-9][A-Za-z0-9_-]{4,19})"),
    ("id", r"\d{15}", rf"(?<!\d)[1-9]\d{{5}}(?:(?:19|20)\d\d{BIRTH}\d{{3}}[\dXx]|\d\d{BIRTH}\d{{3}})"
     "(?![\\dA-Za-z])"),
    ("card", r"\d{4}[ -]?\d{4}[ -]?\d{4}",
     r"(?<!\d)(?:\d{16,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?)(?!\d)"),
    ("number", "[号卡证I]", rf"{RECORD}(?:卡|证|ID|单)?(?:编号|号码|账号|号|ID|[卡证](?=[:：]))\s*"
     r"(?:[:：为是]|No\.?)*\s*(?P<x>[A-Za-z]{0,4}-?\d[\dA-Za-z-]{0,24})"),
    ("number", r"(?:\d|-)\d{3}", rf"{RECORD_EN}(?: (?:[Nn]umber|[Nn]o|ID|[Cc]ard))*\.?\s?[:#]*\s?(?:is )?"
     r"(?P<x>(?=[A-Z-]{0,5}\d)[A-Z]{0,4}-?\d[\dA-Z-]{3,20})\b"),
    ("number", r"\d{3}-\d\d-\d{4}", r"(?<![\d-])\d{3}-\d\d-\d{4}(?![\d-])"),
    ("phone", r"\d{4}", r"(?<![\dA-Za-z.-])(?:(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}"
     r"|(?:[(（]0\d{2,3}[)）]|0\d{2,3}[- ])[2-9]\d{6,7}(?:-\d{1,5})?"
     rf"|(?:\+?1[-. ])?(?:\((?!{TOLL_FREE})\d{{3}}\) ?|(?!{TOLL_FREE})\d{{3}}[-. ])\d{{3}}[-.]\d{{4}})"
     r"(?!\d)"),
    ("phone", r"\d{4}", rf"{LOCAL}(?!\(?(?:1[-. ]?)?\(?(?:400|{TOLL_FREE}))"
     r"(?P<x>[\d(][\d() -]{5,13}\d)(?!\d)"),
    ("number", "床", r"(?<![\d.])(?P<x>加?\d{1,3}(?:-\d{1,2})?)(?:号病?床|床)"
     rf"(?=患者|病人|[，。,;；:：、\s）)]|$|\w{{2,4}}[，,]|{ANY_SURNAME}{GIVEN})"),
    ("number", "病区", r"(?<![\d.同])(?P<x>\d{1,2}|[一二三四五六七八九十]{1,3})(?=病区)"),
    ("number", "[Bb]ed|[Ww]ard|[Rr]oom",
     r"(?:[Ww]ard|[Rr]oom|Bed|(?<=in )bed|(?<=to )bed|bed(?= no| num| ?#))"
     r"(?: ?(?:no\.?|number|#|:))? ?(?P<x>\d{1,4}[A-Z]?(?:-\d+)?|[A-Z]-?\d{1,3})\b"
     r"(?! ?(?:hours|days|times|weeks|[ap]\.?m)|:\d)")]

DATES = [("date", need, pattern) for need, pattern in [
    ("年", rf"(?<![\d.]){YEAR} ?年 ?(?P<m>\d{{1,2}}) ?月(?:份| ?{DAY}(?![\d:：]|\.\d){TO_DAY} ?[日号]?)?"),
    ("月", rf"(?<![\d.])(?:(?P<y>\d\d)年)?(?P<m>\d{{1,2}}) ?月 ?{DAY}{TO_DAY} ?[日号]"),
    (r"\d[-/.]\d", rf"{BEFORE}{YEAR}([-/.])(?P<m>\d{{1,2}})\2{DAY}(?!\d)"),
    (r"\d[-/]\d", rf"{BEFORE}{YEAR}[-/](?P<m>0[1-9]|1[0-2])(?![\d/-])"),
    (r"\d{8}", rf"(?<![\d.]){YEAR}(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])(?!\d|\.\d)"),
    ("/", rf"{BEFORE}(?P<m>\d{{1,2}})/{DAY}/(?P<y>(?:19|20)?\d\d)(?![/-]){NO_UNIT}"),
    (r"-\d", rf"{BEFORE}(?P<m>\d{{1,2}})-{DAY}-{YEAR}(?![\d-])"),
    (r"\.\d", rf"{BEFORE}{DAY}\.(?P<m>\d{{1,2}})\.{YEAR}(?![\d.])"),
    (r"\d [A-Z]", rf"(?<![\d.]){YEAR} {MONTH} {DAY}(?!\d)"),
    (r"[a-z.] \d", rf"{MONTH}\.? {DAY}(?P<o>st|nd|rd|th)?(?:[-–](?P<e>\d{{1,2}}))?{NO_UNIT}(?:,? {YEAR})?\b"),
    (r"\d[a-z -]", rf"(?<![\d.]){DAY}(?P<o>st|nd|rd|th)?(?: of)?[ -]{MONTH}\.?(?:,?[ -]{YEAR})?"),
    (r"[a-z,.] \d", rf"{MONTH}\.?,? (?:of )?{YEAR}\b"),
    ("年", rf"(?P<y>[一二][一二三四五六七八九〇零○]{{3}})年(?P<m>{ZH_N})月(?:(?P<d>{ZH_N})[日号])?"),
    ("月", rf"(?<![一二三四五六七八九十每])(?P<m>{ZH_N})月(?P<d>{ZH_N})[日号]"),
    (r"\d/\d", rf"\b(?:on|dated|since|from|until) (?P<m>\d{{1,2}})/{DAY}(?![\d/]|\.\d)")]]

AGES = [
    ("age", "岁", r"(?<![\d.~～-])(?P<x>9[1-9]|1[01]\d|120)(?= ?周?岁)"),
    ("age", "岁", "(?P<x>九十[一二三四五六七八九]|一百零?[一二三四五六七八九十]{1,2})(?=周?岁)"),
    ("age", r"9\d|1\d\d", r"\b(?P<x>9[1-9]|1[01]\d)(?=[ -]?(?:years?[ -]old|y/?o\b|y\.o))"),
    ("age", "[Aa]ge", r"\b[Aa]ged?:? (?P<x>9[1-9]|1[01]\d)\b(?!%|\.\d)")]

PLACES = [
    ("hospital", "院|诊所|中心", f"(?:{NAMED_HOSPITAL}){HOSPITAL}"),
    ("hospital", HOSPITAL_EN, "(?:University of |St\\. )?"
     rf"(?:[A-Z][a-z]+(?:-[A-Z][a-z]+)?(?:['’]s)? (?:and )?){{1,5}}{HOSPITAL_EN}"),
    ("address", HAN + " ?[:：]", rf"{HOME.pattern} ?(?P<x>[一-龥A-Za-z\d#（）()-]{{2,50}})"),
    ("address", "[住在自户址]", rf"(?:{LIVES.pattern}) ?(?P<x>{REGION}{{0,2}}{CHAIN})"),
    ("address", "[省市县区路街巷村弄]",
     rf"{REGION}{{1,2}}{CHAIN}|{PLACE}{{2,3}}?市{PLACE}{{1,3}}[区县市]{CHAIN}"
     rf"|{PLACE}{{2,5}}?(?:路|街|大道|巷|弄|胡同)\d{{1,5}}[号弄](?:{CHAIN})?"),
    ("address", STREET, r"\b\d{1,5} (?:[NSEW]\.? )?(?:[A-Z][a-z]+ |\d+(?:st|nd|rd|th) ){1,3}"
     rf"{STREET}\b\.?(?:,? (?:Apt|Apartment|Suite|Unit|#)\.? ?\w+)?(?:,? {TOWN})?(?: {ZIP})?"),
    ("address", r"\d{5}", rf"\b{TOWN} {ZIP}|\b(?i:zip)(?: [Cc]ode)?:? (?P<x>{ZIP})"),
    ("address", "Box", r"\bP\.? ?O\.? Box \d+")]

NAMES = [("name", need, pattern) for need, pattern in [
    ("[·•・]", rf"(?P<x>(?!(?<=丈)夫|不)[{table.SOUNDS}]{{2,7}}"
     rf"(?:[·•・](?:(?!不[懂能会要是同])[{table.SOUNDS}]){{2,7}}){{1,2}})(?!综合|病|征|试验|氏)"),
    (HAN + " ?[:：]", rf"{LABEL}(?P<x>{ANY_SURNAME}{HAN}{{1,2}}?|{HAN}{{2,6}}·{HAN}{{2,6}})"
     f"(?!(?!性别|年龄|[男女]|职业|住院|电话|联系|主任|医师|护士){HAN})"),
    (STAFF, rf"{CAREER}{STAFF}(?:签名|签字|姓名)? ?[:：] *(?P<x>{ANY_SURNAME}{HAN}{{1,2}})(?!{HAN})"),
    (HAN + "[:：]", rf"(?:{ROLE}|[士生名])[:：] ?(?P<x>{NAMED})(?=[\s（(；;]|$|性别|[，,](?:[男女]|\d))"),
    (HAN + "[:：]", rf"(?<!患)(?<!病){ROLE}[:：] ?(?P<x>{NAMED})(?=[，,。、])"),
    (HAN + "[:：]", rf"{HAN}[:：] ?(?P<x>{FAMILY}[{table.GIVEN}]{{2}}|(?<=士[:：]){FAMILY}{GIVEN})"
     r"(?=[，,。、；;\s]|$)"),
    ("[叫名是]", rf"{CALLED}(?P<x>{ANY_SURNAME}(?:{LOOSE}(?!(?![今男女是来的因]){HAN})|{GIVEN}))"),
    ("[生士姐太志爷妈娘姨叔奶傅师学夫任授长]", rf"(?P<x>{NO_TITLE}(?:{TITLED})){TITLE}"),
    (HAN + "[，,]", rf"(?<!{HAN})(?P<x>{FAMILY}{GIVEN}){DATED}"),
    ("[者人儿妇属生师夫任授长士妻公婆爱偶女亲爸妈哥弟姐妹其孙工护事友居床公婆姥岳舅姑姨侄甥嫂婿]",
     rf"{PERSON}[ 　]?(?P<x>{ANY_SURNAME}{GIVEN}{AFTER}|{NAMED}{AFTER}"
     rf"|(?!安全){FAMILY}[{table.GIVEN}]{{2}}(?!(?<=之)[父母妻夫子女]))"),
    ("[ 　]", rf"(?:{PERSON}|姓 ?名[:：]? *)(?P<x>{FAMILY}[ 　]{{1,2}}{NO_WORD})(?=[，,。；;（(\s]|$)"),
    ("姓", rf"(?:我|他|她|免贵|患者)姓(?P<x>{FAMILY})(?=[，,。；; ]|$)"),
    ("[小老]", rf"(?<!{HAN})(?:小|老)(?P<x>(?!姜){SURNAME})(?=[，,：:！!？?、]|$|让我|说|你|来|在|和|那)"),
    ("[姐哥工总老叔婶嫂伯姨]", rf"(?:^|(?<=[，,。；;：:！!？?、\s@]))(?P<x>{FAMILY})"
     "(?=[姐哥工总老叔婶嫂伯姨](?:[，,：:！!？?、 ]|$|查房|[说来在让给也都和你]))"),
    (HAN + "某",
     rf"(?:{SURNAME}|(?:^|(?<={ASKS})|(?<=[者人方])){UNSURE})某{{1,2}}(?![{table.NOT_AFTER_MOU}])"),
    (HAN + "[×＊*xX]", r"(?:^|(?<=[者人方，。：；、 (（]))"
     rf"(?P<x>{ANY_SURNAME}(?:[×＊*]{{1,2}}|[Xx]{{2}}))(?![A-Za-z*])"),
    ("[男女岁号的]", rf"(?:(?<!{HAN})|患者|病人|患儿|产妇|伤者|老人)(?P<x>{ANY_SURNAME}{LOOSE}){SEX_AGE}"),
    ("Mr|Ms|Mis|Dr|Prof|Doctor|Nurse",
     rf"\b(?:Mrs?|Ms|Miss|Mister|Dr|Prof|Professor|Doctor|Nurse)\.?\s(?P<x>{UP_TO_3})"),
    (":", rf"{LABEL_EN} ?: *(?P<x>{REVERSED}|{UP_TO_3})"),
    (":", rf"(?:Patient|Doctor|Physician|Nurse) ?: *(?P<x>{REVERSED}|{FULL})"),
    ("[a-z] [A-Z]", rf"\b(?:named|name is|(?:sign|dictat|review)ed by) (?P<x>{LAST}{INITIAL}(?: {LAST})?)"),
    ("[a-z] [A-Z]", rf"\b(?:{KIN}|referring|surgeon|physician|nurse) (?P<x>{LAST}{INITIAL} {LAST})"),
    ("[a-z], [A-Z]", rf"\b(?:{KIN}), (?P<x>{LAST}{INITIAL} {LAST})(?=,)"),
    (r"\d", rf"{TWO_WORDS}(?= is an? \d|, an? \d+[ -]year|, \d\d,| \((?:MRN|DOB|age))"),
    (", [A-Z]", rf"^{LAST}, {FIRST}{INITIAL}"),
    ("Hi|Hello|Dear", rf"(?:Hi|Hello|Dear),? (?P<x>{LAST})(?=,)"),
    ("[A-Z][a-z]", FULL),
    (DEGREE, rf"{TWO_WORDS}(?=, {DEGREE})"),
    ("[A-Z][a-z]", rf"(?:Hi|Hello|Dear|Thanks|Thank you|I am|I'm|[Tt]his is),? (?P<x>{FIRST})(?! [A-Z])")]]

RULES = [(kind, re.compile(need), re.compile(pattern, re.M))
         for kind, need, pattern in NUMBERS + DATES + AGES + PLACES + NAMES]
