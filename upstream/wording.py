"""The words around the sandbox's tasks, so that its prompts read like a product's own traffic.

Nothing here may look like a task of `upstream/tasks.py`; a test holds that.
"""

import random

GREETINGS = (
    "", "", "", "Hi,", "Hello!", "Hey there,", "Good morning,", "Dear team,", "Quick one:",
    "Hi, I hope you are well.", "Please help.", "Urgent!", "Following up on my earlier message.",
)  # fmt: skip

CLOSINGS = (
    "", "", "", "Thanks!", "Many thanks in advance.", "Cheers", "Please be brief.",
    "Best regards, Sam", "I need this before the meeting.", "Sent from my phone",
    "Give only the result, please.", "Reply with the answer on the last line.",
    "No explanation needed.", "Show how you got there.",
)  # fmt: skip

PARAGRAPHS = {
    "support": (
        "We have been a customer since the spring and so far everything went smoothly.",
        "The assistant on the phone was friendly but could not look into my account.",
        "I tried another browser and cleared the cache, as your help page suggests.",
        "My colleague saw the same thing on her machine, so it is not only me.",
        "The confirmation mail arrived late and landed in the spam folder.",
        "Could somebody who knows our contract have a look at this?",
        "Our office moved recently, which may or may not have to do with it.",
        "I attach nothing, since the form would not take a screenshot.",
        "It worked fine last week and nobody changed any setting on our side.",
        "I would rather not start again from the beginning with a new ticket.",
        "Your status page was green the whole time, by the way.",
        "If this is the wrong address, please pass it on to whoever is in charge.",
    ),
    "extraction": (
        "This document was produced by the warehouse system and needs no signature.",
        "The goods travel at the buyer's risk once they have left our premises.",
        "Packaging is returnable; the deposit is credited after inspection.",
        "Please quote the reference in all correspondence with the accounts department.",
        "Prices are net of tax and valid for the present calendar quarter.",
        "The carrier was informed about the narrow entrance in the yard.",
        "Partial shipments are permitted unless stated otherwise in writing.",
        "A copy was filed with the regional branch for their records.",
        "The inspector noted light scratches on two of the outer boxes.",
        "Complaints must reach us in text form without undue delay.",
    ),
    "coding": (
        "This comes from a small service that nobody has touched for years.",
        "We run it under a recent interpreter, with no third party packages.",
        "The linter is happy with it, and the type checker has no complaint either.",
        "I am writing a test for it and want to get the expected value right.",
        "The original author has left and the commit message just says fix.",
        "In review somebody claimed the behaviour is surprising, so I want to be sure.",
        "Please do not rewrite it; the change freeze is in force until the release.",
        "The logs are noisy, but none of the warnings come from this module.",
        "It is called from a hot path, so I cannot simply add a print there.",
        "We might port this to another language later on.",
    ),
    "maths": (
        "I am preparing a worksheet and would like to check my own result.",
        "The spreadsheet shows something else, and I wonder who is right.",
        "Rounding is not an issue here, the result should come out exactly.",
        "My pocket calculator has given up, so I turn to you.",
        "This is part of a longer estimate for the new kitchen.",
        "The recipe was written for a much larger group of people.",
        "Our teacher wants the working shown, but the value is what counts.",
        "I did it in my head on the train and do not trust it.",
        "The figures were read out over a bad line, but I noted them with care.",
    ),
    "translation": (
        "It is for a sign at the entrance of a small museum.",
        "The app shows the text in a very narrow column.",
        "Our printer needs the final wording by noon.",
        "A native speaker will read it over later, but not today.",
        "Lower case is fine, we set the headings ourselves.",
        "The rest of the brochure is finished and looks lovely.",
        "Last year's version had a mistake that everybody noticed.",
        "We keep a glossary, yet these entries are missing from it.",
    ),
}

EARLIER_TURNS = (
    ("Are you there?", "Yes, how can I help?"),
    ("Which languages do you speak?", "Several; ask away in whichever you prefer."),
    ("Can you help me with a small job?", "Of course. Send me the details."),
    ("My last question was answered very well.", "Glad to hear it. What is next?"),
    ("I am back with something different now.", "Welcome back. Go ahead."),
    ("Please keep the answers short from here on.", "Will do."),
)


def wrapped(rng: random.Random, tag: str, question: str, words: int) -> str:
    """Return the question inside about `words` words of a message of that kind."""
    pool = list(PARAGRAPHS[tag])
    before: list[str] = []
    while sum(len(sentence.split()) for sentence in before) < words:
        rng.shuffle(pool)
        before.extend(pool[: rng.randint(1, 4)])
    split = rng.randint(0, len(before))
    parts = (
        rng.choice(GREETINGS), " ".join(before[:split]), question,
        " ".join(before[split:]), rng.choice(CLOSINGS),
    )  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def earlier(rng: random.Random) -> list[dict[str, str]]:
    """Return the earlier turns of a conversation: none, mostly, or a few."""
    turns = rng.sample(EARLIER_TURNS, rng.choice((0, 0, 0, 1, 2, 3)))
    pairs = [(("user", said), ("assistant", heard)) for said, heard in turns]
    return [{"role": role, "content": text} for pair in pairs for role, text in pair]
