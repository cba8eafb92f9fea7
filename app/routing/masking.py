"""What tells who somebody is, or opens a door, masked in a text: the form `redacted` of a prompt.

Shapes are recognised, not meanings: a name or an address that is written as plain words stays.
Numbers of cards and accounts must pass their own check digits, so that few others are hit. Every
shape is read in time that grows as the text does, however the text was made.
"""

import re
from collections.abc import Callable

from upstream.redact import SECRET_SHAPES

Found = re.Match[str]

PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{1,40}-----[\s\S]*?(?:-----END [A-Z ]{1,40}-----|\Z)")
URL = re.compile(
    r"(?i)(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*+://[^\s/@:]{0,256}:[^\s/@]{0,256}@[^\s<>\"',;]*"
)
EMAIL = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]++@[\w-]{1,63}(?:\.[\w-]{1,63})+"
)
# Secrets by the shapes of those who issue them, by what they are called, and by looking drawn.
ISSUED = re.compile(
    r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\bxox[abeoprs]-[\w-]{10,}|\bAIza[\w-]{30,}"
)
CALLED = re.compile(
    r"(?i)\b\w{0,20}(?:password|passwd|pwd)\b\s{0,3}(?:is|[:=])\s{0,3}\S+"
    r"|\b\w{0,20}(?:secret|token|api[ _-]?key|access[ _-]?key)\b[\"']?\s{0,3}[:=]\s{0,3}\S+"
)
DRAWN = re.compile(r"(?<![\w-])(?=[\w-]*?\d)(?=[\w-]*?[A-Za-z])[A-Za-z0-9_-]{32,}+(?![\w-])")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", re.IGNORECASE)
DIGITS = re.compile(r"(?<![\d.,])\d(?:[ -]?\d){12,40}")
PHONE = re.compile(
    r"(?<![\w+./-])(?:(?:\+|00)[1-9](?:[ ./()-]{0,3}\d){6,14}|0[1-9]\d{7,12}"
    r"|(?:0\d{1,5}|\(0\d{1,5}\))[ /-]{1,3}\d(?:[ .-]?\d){4,10}"
    r"|(?:\d{3}|\(\d{3}\))[ .-]{1,2}\d{3}[ .-]\d{4})(?!\w)"
)
# By country, how many letters and digits an account number has (ISO 13616).
COUNTRIES = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18
    DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23
    IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27
    MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19
    SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
"""
IBAN_LENGTHS = {each[:2]: int(each[2:]) for each in COUNTRIES.split()}
# How many digits a card has, by its first.
CARD_LENGTHS = {"2": (16,), "3": (16, 15, 14), "4": (19, 16, 13), "5": (16,), "6": (19, 18, 17, 16)}


def masked(text: str) -> str:
    """Return the text with e-mail addresses, telephone, card and account numbers, keys masked.

    >>> masked("Mail ann@example.org or call +49 30 1234567, card 4111 1111 1111 1111 until 12/27")
    'Mail [e-mail] or call [phone], card [card] until 12/27'
    >>> masked("postgres://ann:hunter2@db/x, DE89 3704 0044 0532 0130 00 today, sk-abc123def456")
    '[url], [iban] today, [secret]'
    >>> masked("Order 4111 1111 1111 1112 of 2026-11-25 over 12,500.00")
    'Order 4111 1111 1111 1112 of 2026-11-25 over 12,500.00'
    """
    for shape, mask in SHAPES:
        text = shape.sub(mask, text)
    return text


def is_card(digits: str) -> bool:
    """Return whether a number passes the check of payment cards.

    source : ISO/IEC 7812-1, Annex B (Luhn)

    >>> is_card("4111111111111111"), is_card("4111111111111112")
    (True, False)
    """
    values = [int(each) for each in reversed(digits)]
    doubled = [each if i % 2 == 0 else sum(divmod(2 * each, 10)) for i, each in enumerate(values)]
    return sum(doubled) % 10 == 0


def is_iban(plain: str) -> bool:
    """Return whether a number passes the check of bank accounts.

    source : ISO 13616-1

    >>> is_iban("DE89370400440532013000"), is_iban("DE89370400440532013001")
    (True, False)
    """
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(each, 36)) for each in turned)) % 97 == 1


def _iban(found: Found) -> str:
    """Return the text with the account number at its beginning masked, if there is one."""
    text = found[0]
    places = [i for i, each in enumerate(text) if each.isalnum()]
    length = IBAN_LENGTHS.get(text[:2].upper(), len(places) + 1)
    if length > len(places):
        return text
    end = places[length - 1] + 1
    is_one = is_iban("".join(text[i] for i in places[:length]).upper())
    return "[iban]" + text[end:] if is_one and not text[end : end + 1].isalnum() else text


def _cards(found: Found) -> str:
    """Return the digits with the card numbers among them masked."""
    text, told, at = found[0], "", 0
    while at < len(text):
        end = _card_end(text, at)
        told += "[card]" if end else text[at]
        at = end or at + 1
    return told


def _card_end(text: str, at: int) -> int:
    """Return where the card number ends that begins here, 0 if none does."""
    if not text[at].isdigit() or text[at - 1 : at].isdigit():
        return 0
    places = [i for i in range(at, len(text)) if text[i].isdigit()]
    for length in CARD_LENGTHS.get(text[at], ()):
        if length <= len(places):
            end = places[length - 1] + 1
            is_whole = not text[end : end + 1].isdigit()
            if is_whole and is_card("".join(text[i] for i in places[:length])):
                return end
    return 0


SHAPES: tuple[tuple[re.Pattern[str], str | Callable[[Found], str]], ...] = (
    (PRIVATE_KEY, "[secret]"),
    (URL, "[url]"),
    (SECRET_SHAPES, "[secret]"),
    (ISSUED, "[secret]"),
    (CALLED, "[secret]"),
    (EMAIL, "[e-mail]"),
    (IBAN, _iban),
    (DIGITS, _cards),
    (DRAWN, "[secret]"),
    (PHONE, "[phone]"),
)
"""What may hold another comes before it: a URL holds what looks like an e-mail address."""
