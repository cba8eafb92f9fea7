"""Words that decide whether two questions may be the same one, in the languages we know a little.

Every list errs to the side of a difference: a word that is missing here costs a hit, never a wrong
answer, as long as the list says what is left out of a comparison and not what is put in.
"""

import re


def _set(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# Left out of a comparison: they hold a sentence together.
LIGHT = _set("a an the i we do does is are be please kindly ich wir bitte ist sind je yo")
# As small, but they count: whose it is, and articles that may make another noun of one, as in
# "la capital", the town, and "el capital", the money.
COUNTED = _set(
    "my our me mich vous der dem ein eine einen einem einer eines le la les un une el los las una",
    "unos unas gli het een",
)
# Units that are others in other capitals: a milliwatt and a megawatt, a bit and a byte.
UNITS_BY_CAPITALS = _set(
    "mw mwh ms ma mah mv mm mg ml mj mn mpa mhz mbar mol pa pw ps pg pm pf kb kbps kbs kib kbit mb",
    "mbps mbs mib mbit gb gbps gbs gib gbit tb tbps tib pb pbps eb cal mcal mcd mci mbq msv mgy",
)
# Where the words themselves are the matter, every one of them counts, and how it is written.
ABOUT_WORDS = re.compile(
    r"\b(?:translat|grammar|spell|conjugat|correct|proofread|rewrit|rephras|paraphras|rhym|word"
    r"|sentence|mean|synonym|antonym|pronounc|defin|letter|capitali|punctuat|phrase|verb|noun|regex"
    r"|text|poem|quote|say\b|called\b|übersetz|traduc|traduis|traduir|tradu[zc]|перев)"
    r"|翻译|訳|번역",
    re.I,
)
# Spaces and signs count where a text may be code or a formula.
CODE = re.compile(
    r"[`{}\\\[\]^=<>|~√∑∫∂≤≥≈÷·\u00d7\u2044\u2215]|[*/+]\s*\w|\w\s+[-\u2212\u2013]\s+\w"
    r"|\w\(|;\s*$|^[ \t]+\S|!=|[^\W\d]\.[^\W\d]|\w_\w"
    # Feet and inches, minutes and seconds.
    r"|\d['\"\u2018\u2019“”]|\d\s+['\"\u2018\u2019“”](?!\w)",
    re.M,
)

# Taken off the beginning, one after the other. A greeting is one where a sign or a question
# follows: "Hello Kitty" and "thank you letter" are none.
_ASKING = (
    r"(?=[,!.;:]|\s+(?:how|what|which|who|when|where|why|can|could|would|will|please|i|is|are)\b)"
)
_INDIRECT = r"(?=\s+(?:how|what|which|who|when|where|why|if|whether)\b)"
OPENINGS = (
    *(
        re.compile(rf"(?:{pattern})(?:\s|[,.!:;](?!\d))*", re.I)
        for pattern in (
            rf"(?:hi(?: there)?|hello(?: there)?|hey(?: there)?|thanks|thank you){_ASKING}",
            rf"good (?:morning|afternoon|evening){_ASKING}|quick question(?=:)|(?:please|kindly)\b",
            r"(?:can|could|would|will) you(?: please| kindly)?\b(?! not\b)|would you mind\b",
            r"(?:tell|help) me\b|i was wondering\b|i wonder\b|what (?:is|are)\b",
            rf"(?:do you know|explain|tell me){_INDIRECT}",
            r"i (?:want|need|would like|'d like) to (?:know|understand|learn)\b",
            r"(?:hallo|guten (?:tag|morgen|abend))(?=[,!.])|bitte\b",
            r"(?:kannst|könntest) du\b|(?:können|könnten) sie\b|was ist\b",
            r"(?:bonjour|salut)(?=[\s,!.]*[,!.])|s['\u2019]il (?:te|vous) pla[iî]t\b",
            r"(?:peux|pourrais)-tu\b|(?:pouvez|pourriez)-vous\b|quel(?:le)? est\b",
            r"(?:hola|buenos días|ciao|buongiorno|olá|bom dia)(?=[,!.])|por favor\b|per favore\b",
            r"(?:me )?(?:puedes|podrías|puede|podría)\b|(?:mi )?(?:puoi|potresti)\b",
            r"cuál es\b|qual [éè]\b|пожалуйста\b|(?:привет|здравствуйте)(?=[,!.])",
            r"请问|请|你好(?=[\uff0c,。\uff01!])",
        )
    ),
)
# Taken off the end, after a sign: "how do you say please" asks for the word.
ENDINGS = re.compile(
    r"(?:[,.?;]|(?<!\d)!)\s*(?:please|thanks(?: in advance| a lot)?|thank you(?: very much)?|bitte"
    r"|danke|merci|gracias|por favor|grazie|obrigad[oa]|пожалуйста|спасибо|谢谢)[\s.!?]*$",
    re.I,
)

SPELT_OUT = (
    (re.compile(r"\bcan(?:['\u2019]?t|not)\b", re.I), "can not"),
    (re.compile(r"\bwon['\u2019]t\b", re.I), "will not"),
    (re.compile(r"n['\u2019]t\b", re.I), " not"),
    (re.compile(r"\b(i)['\u2019]m\b", re.I), r"\1 am"),
    (re.compile(r"['\u2019]re\b", re.I), " are"),
    (re.compile(r"['\u2019]ve\b", re.I), " have"),
    (re.compile(r"['\u2019]ll\b", re.I), " will"),
    (re.compile(r"['\u2019]d like\b", re.I), " would like"),
    (re.compile(r"\b(what|who|where|when|how|it|that)['\u2019]?s\b", re.I), r"\1 is"),
    (re.compile(r"\bhow (?:do|can|could|should|would|does) (?:i|we|you|one)\b", re.I), "how to"),
    (re.compile(r"\bhow (?:i|we|you|one) (?:do|can|could|should|would)\b", re.I), "how to"),
    (re.compile(r"\ba (few|little)\b", re.I), r"some-\1"),
)

NEGATIONS = _set(
    "not no never none nothing nobody nowhere neither nor without except unless hardly nicht kein",
    "keine keinen keinem keiner keines nie niemals nichts ohne außer weder ne n pas jamais rien",
    "sans aucun aucune sauf ni nunca nada sin ningún ninguno ninguna excepto salvo non mai niente",
    "senza nessuno nessuna não nem sem nenhum nenhuma niet geen nooit zonder bez nikt не нет",
    "нельзя без никогда değil yok olmadan",
)
NEGATION_SIGNS = re.compile(
    "不|没|無|无|别|未|ない|ません|なく|いけ|안|못|لا |لم |لن |ليس|بدون|¬|!=|≠"
)

NUMBERS = _set(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
    "fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty",
    "ninety hundred thousand million billion dozen half quarter double twice triple once first",
    "second third fourth fifth sixth seventh eighth ninth tenth last next previous both all any",
    "some every each zwei drei vier fünf sechs sieben acht neun zehn elf zwölf hundert tausend",
    "halb doppelt erste zweite dritte deux trois quatre cinq sept huit neuf dix onze douze cent",
    "mille premier deuxième dos tres cuatro cinco seis siete ocho nueve diez cien mil due tre",
    "quattro cinque sei sette otto nove dieci dois três quatro oito dez два три четыре пять",
    "десять 一 二 两 三 四 五 六 七 八 九 十 百 千 万",
)

# Opposites and what else changes a question although a model of language finds it alike; each must
# have an equal on the other side. Words on one line count as equal.
MEANINGS = (
    "enable activate aktivieren einschalten activer activar activo ativar aan",
    "disable deactivate deaktivieren ausschalten désactiver desactivar desactivo desativar uit",
    "on", "off", "up", "down", "in", "out", "over", "under", "above", "below", "inside",
    "outside", "increase increases increasing", "raise", "rise rising", "grow growing",
    "gain gaining", "decrease decreases decreasing", "reduce", "fall falling", "drop",
    "lose losing", "higher", "lower", "add adding", "append", "insert", "remove removing",
    "delete deleting", "include including", "exclude excluding", "open opening", "close closing",
    "start starting", "stop stopping", "buy buying purchase", "sell selling", "before", "after",
    "during", "until", "since", "more", "less", "fewer", "most", "least", "maximum max",
    "minimum min", "highest", "lowest", "largest", "smallest", "biggest", "best", "worst",
    "longer", "shorter", "ascending", "descending", "cheapest", "expensive", "advantages pros",
    "disadvantages cons", "encrypt", "decrypt", "encode", "decode", "upload", "download",
    "import", "export", "send", "receive", "push", "pull", "accept", "decline", "reject", "allow",
    "deny", "lock", "unlock", "install", "uninstall", "login", "logout", "safe", "dangerous",
    "unsafe", "legal", "illegal", "possible", "impossible", "positive", "negative", "true",
    "false", "public", "private", "common", "rare", "left", "right", "hot", "cold", "old", "new",
    "win", "loss", "pass", "fail", "return", "formal", "informal", "internal", "external", "and",
    "or", "today", "yesterday", "tomorrow", "tonight", "now", "who", "whom", "whose", "when",
    "where", "why", "many", "much", "long", "often", "far", "can", "should", "may", "must",
    "will", "would", "was", "were", "did", "had", "has", "have", "your", "his", "her", "their",
    "its", "from", "to", "into", "than", "with", "against", "second seconds s", "minute minutes",
    "hour hours h", "day days", "week weeks", "month months", "year years", "g", "kg", "mg", "lb",
    "meter meters m", "km kilometers", "miles", "feet", "inches", "liters l", "gallons",
    "celsius", "fahrenheit", "kb", "mb", "gb", "tb", "dollars dollar usd", "euros euro eur",
    "pounds pound gbp", "yen", "between", "per", "mit", "von", "vom", "ins", "nach", "avec",
    "con", "active", "inactive",
)  # fmt: skip
MEANING = {word: line.split()[0] for line in MEANINGS for word in line.split()}

# A capital at the beginning of a sentence makes these no names.
STARTERS = _set(
    "what which who whom whose when where why how is are am was were do does did can could should",
    "would will may must shall has have had if the a an my our your his her their its this that",
    "these those there it i we you he she they in on at for from to of with by as and or but not",
    "no all any some give write list name show tell explain describe define compare translate",
    "summarize summarise classify extract convert calculate compute find fix make generate create",
    "suggest recommend draft plan sort round rewrite refactor review answer set replace delete",
    "add remove include please draw compose correct shorten organize organise help let use using",
    "steps every everyone each both one two three keep check bake subtract wie wer wann wo warum",
    "kann ist darf schreibe nenne erkläre übersetze fasse quelle quel comment pourquoi est je",
    "écris traduis donne convertis cuál cómo quién qué escribe quiero puedo qual posso come como",
    "hoe jaka как какая можно нельзя",
)
# Before a letter of its own these show that it is an article or a pronoun: "is a", "when I". After
# any other word it may be a letter: vitamin a, Elizabeth I.
BEFORE_A_WORD = (
    STARTERS
    | LIGHT
    | COUNTED
    | MEANING.keys()
    | _set(
        "like into about than because that which while get got buy build change cook create design",
        "invert learn make making need open read reverse reverses send start take tie using want",
        "think know hope guess wish so then also only just even such quite like",
    )
) - _set("plan list name answer set one two three keep second minute hour day g s h l m left right")
