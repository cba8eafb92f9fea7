"""What is left of a question: the same for a courtesy more or less, another for anything else."""

import time

import pytest

from features.wording import READ_CHARS, Wording

ALIKE = [
    ("What is the capital of France?", "can you tell me the capital of France"),
    ("How do I reset my password?", "Hi! How can I reset my password, please?"),
    ("What's inflation?", "“what is inflation”".strip("“”")),
    ("I can't log in.", "I cannot log in"),
    ("When I start it, it stops", "when i start it it stops"),
    ("How do I buy a car?", "How to buy car"),
    ("HOW DO I UPDATE IT?", "How do I update it?"),
    ("Was ist die Hauptstadt von Italien?", "Bitte, was ist die Hauptstadt von Italien"),
    ("法国的首都是哪里。", "请问法国的首都是哪里"),
    ("Sort this: b, a", "Could you sort this: b, a"),
    ("How do I reset my password?", "How do I reset my password? Thanks in advance!"),
    ("How do you say cat?", "how do you say cat?"),
]
UNLIKE = [
    ("vitamin A", "vitamin"),
    ("blood type a", "blood type o"),
    ("hepatitis a symptoms", "hepatitis symptoms"),
    ("Who was Elizabeth I of England?", "Who was Elizabeth of England?"),
    ("When did World War I start?", "When did World War start?"),
    ("What is a bear den?", "What is a bear?"),
    ("a party favor", "a party"),
    ("When was Mir launched?", "When was launched?"),
    ("Sort this list: b, a, c", "Sort this list: b, c"),
    ("How do you say thank you?", "How do you say please?"),
    ("Translate: thank you", "Translate: please"),
    ("Translate I am hungry into German", "Translate we are hungry into German"),
    ("Thank you letter to my boss", "Letter to my boss"),
    ("Who made Hello Kitty?", "Who made Kitty?"),
    ('Translate "the cat"', 'Translate "a cat"'),
    ("There are a few errors", "There are few errors"),
    ("What is IT?", "What is it?"),
    ("a + b", "b"),
    ("1 - cos (10 t)", "1 cos 10 t"),
    ("from 5am to 7am", "from 5 to 7"),
    ("-5", "5"),
    ("5!", "5"),
    ("Is x ≤ 3?", "Is x ≥ 3?"),
    ("👍 or not", "👎 or not"),
    ("did the man bite the dog", "did the dog bite the man"),
    ("Can dogs eat chocolate?", "Do dogs eat chocolate?"),
    ("Could you?", "Would you?"),
    ("How do you say hello?\nPlease", "How do you say hello?\nThanks"),
    ("What is my IP address?", "What is an IP address?"),
    ("Show our data", "Show me data"),
    ("What is LA?", "what is la?"),
    ("la capital", "el capital"),
    ("la livre", "le livre"),
    ("der Leiter", "Leiter"),
    ("Is this rude: Leave now, thank you", "Is this rude: Leave now"),
    ("IT translated into German", "it translated into German"),
    ('"The cat" translated into German', '"the cat" translated into German'),
]
NUMBERS_UNLIKE = [
    (".5 mg", "5 mg"),
    (",5 mg", "5 mg"),
    ("what is .25 of 80", "what is 25 of 80"),
    ("Hi, .5 mg", "Hi, 5 mg"),
    ("\u201340", "40"),
    ("\u2212.5", "5"),
    ("What is - 40 in F?", "What is 40 in F?"),
    ("What is 5 !", "What is 5?"),
    ("What is 5! please", "What is 5 please"),
    ("102 in binary", "10² in binary"),
    ("312 cups", "3½ cups"),
    ("31\u20442 cups", "3½ cups"),
    ("2⒈", "21"),
    ('6"', "6'"),
    ("a 6 \u201d pipe", "a 6 \u2019 pipe"),
    ("5 MW", "5 mW"),
    ("5 MW", "5 mw"),
    ("5MW", "5mW"),
    ("a 5-MW plant", "a 5-mW plant"),
    ("100 MBps", "100 Mbps"),
    ("10 Ms", "10 ms"),
    ("5 M", "5 m"),
    ("10 mPa", "10 MPa"),
    ("5 kB", "5 kb"),
    ("Convert watts to mW", "Convert watts to MW"),
    ("mW meaning", "MW meaning"),
    ("CONVERT 5 MW", "convert 5 mw"),
]


def words(text: str) -> object:
    wording = Wording.of(text)
    return text if wording is None else wording.words


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_small_words_make_no_difference(one: str, other: str) -> None:
    assert words(one) == words(other)


@pytest.mark.parametrize(("one", "other"), [*UNLIKE, *NUMBERS_UNLIKE])
def test_everything_else_does(one: str, other: str) -> None:
    assert words(one) != words(other)


@pytest.mark.parametrize(
    "text",
    ["What does f(x) do?", "`ls -l`", "x = a[0];", "see a.b", "x" * (READ_CHARS + 1), "", "?"],
)
def test_code_and_long_texts_are_only_like_themselves(text: str) -> None:
    assert Wording.of(text) is None


def test_marks_are_what_a_paraphrase_cannot_change() -> None:
    wording = Wording.of("Why can't I enable 2 alarms before 7:30 from Paris?")
    assert wording is not None
    assert wording.marks == ("'2", "'7:30", "before", "can", "enable", "from", "not", "why")
    assert wording.names == ("paris",)


def test_a_unit_is_a_mark_and_no_name() -> None:
    wording = Wording.of("How far is 5 Mm from Paris in MB?")
    assert wording is not None
    assert wording.marks == ("'5", "'MB", "'Mm", "far", "from", "in")
    assert wording.names == ("paris",)


@pytest.mark.parametrize(
    "text",
    [
        *('"' * 2_000, "a:" * 1_000, "hi " * 660, "A b " * 500, "please," * 285, ": " * 1_000),
        *("e" + "\u0344" * n + "\u0323" * n for n in (990, 10_000)),
    ],
)
def test_no_text_takes_long_to_read(text: str) -> None:
    start_s = time.process_time()
    Wording.of(text)
    assert time.process_time() - start_s < 100 * _a_plain_text_s()


def _a_plain_text_s() -> float:
    """Return the seconds of a text of that length without anything odd, at least a millisecond."""
    start_s = time.process_time()
    Wording.of("What is the best way to learn a language? " * 45)
    return max(time.process_time() - start_s, 1e-3)
