"""The catalogue: what the shipped file says, and what each mistake in a file is answered with."""

from pathlib import Path

import pytest

from policy.errors import ConfigError
from policy.types import Timeouts
from upstream.catalogue import Provider, load
from upstream.client import Upstream

SHIPPED = Path(__file__).parents[2] / "data" / "arms.toml"

GOOD = """\
[provider.main]
base_url = "https://example.com/v1"
api_key_env = "MAIN_KEY"

[arm.small]
provider = "main"
model = "vendor/small"
input_usd_per_mtok = 0.1
output_usd_per_mtok = 1
context_window = 8000

[arm.large]
provider = "main"
model = "vendor/large"
input_usd_per_mtok = 2.5
output_usd_per_mtok = 10
context_window = 128000
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "arms.toml"


def complaint(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


def test_the_shipped_catalogue_has_the_arms_and_prices_of_the_design() -> None:
    catalogue = load(SHIPPED)
    global_apis = Provider("global", "https://global-apis.com/v1", "GLOBAL_API_KEY")
    assert catalogue.providers == {"global": global_apis}
    prices = {
        name: (arm.model, arm.input_usd_per_mtok, arm.output_usd_per_mtok, arm.context_window)
        for name, arm in catalogue.arms.items()
    }
    assert prices == {
        "deepseek-v4-flash": ("deepseek-ai/DeepSeek-V4-Flash", 0.27, 1.10, 128000),
        "deepseek-v4-pro": ("deepseek-ai/DeepSeek-V4-Pro", 0.55, 2.20, 200000),
        "deepseek-v4-pro-economy": ("deepseek-ai/DeepSeek-V4-Pro", 0.275, 1.10, 200000),
        "qwen3-32b": ("Qwen/Qwen3-32B", 0.30, 1.20, 32000),
        "glm-4-plus": ("zhipuai/GLM-4-Plus", 0.20, 0.80, 128000),
        "gpt-4o": ("openai/gpt-4o", 2.50, 10.00, 128000),
    }
    assert catalogue.arms["gpt-4o"].cached_input_usd_per_mtok == 1.25
    economy = catalogue.arms["deepseek-v4-pro-economy"]
    assert (economy.tier, economy.extra_body) == ("economy", {"service_tier": "flex"})
    assert (
        economy.timeouts.first_content_s
        > catalogue.arms["deepseek-v4-pro"].timeouts.first_content_s
    )


def test_what_a_file_does_not_say_has_a_default(path: Path) -> None:
    path.write_text(GOOD)
    arm = load(path).arms["small"]
    assert (arm.capabilities, arm.tier, arm.fallbacks, arm.extra_body) == (
        set(),
        "standard",
        (),
        {},
    )
    assert (arm.timeouts, arm.quality, arm.cached_input_usd_per_mtok) == (Timeouts(), None, None)
    assert arm.quota_group == "small"
    assert isinstance(arm.output_usd_per_mtok, float)


def test_every_optional_field_is_read(path: Path) -> None:
    path.write_text(
        GOOD
        + 'capabilities = ["tools", "vision", "json_schema", "trailing_assistant"]\n'
        + 'cached_input_usd_per_mtok = 1\ntier = "economy"\nquality = 1\nquota_group = "g"\n'
        + 'fallbacks = ["small"]\nextra_body = { seed = 1 }\n'
        + "[arm.large.timeouts]\nconnect_s = 1\nfirst_content_s = 2\nidle_s = 3\ntotal_s = 4\n"
    )
    arm = load(path).arms["large"]
    assert arm.capabilities == {"tools", "vision", "json_schema", "trailing_assistant"}
    assert (arm.tier, arm.quality, arm.quota_group) == ("economy", 1.0, "g")
    assert (arm.fallbacks, arm.extra_body) == (("small",), {"seed": 1})
    assert arm.timeouts == Timeouts(1.0, 2.0, 3.0, 4.0)


def test_a_mark_of_byte_order_before_it_is_none_of_its_words(path: Path) -> None:
    path.write_text(GOOD, encoding="utf-8-sig")
    assert list(load(path).arms) == ["small", "large"]
    path.write_text(GOOD.replace("= 2.5", "= -1"), encoding="utf-8-sig")
    with pytest.raises(ConfigError, match=r"line 15: arm.large"):
        load(path)


def test_a_provider_may_need_no_key(path: Path) -> None:
    path.write_text(GOOD.replace('api_key_env = "MAIN_KEY"\n', ""))
    assert load(path).providers["main"].api_key_env is None


@pytest.mark.parametrize(
    "url",
    [
        "http://[2001:DB8::1]:80/v1",
        "http://[::1]/",
        "https://xn--bcher-kva.Example/a%20b/",
        "http://a_b",
    ],
)
def test_an_address_may_be_any_that_calls_take(path: Path, url: str) -> None:
    path.write_text(GOOD.replace("https://example.com/v1", url))
    catalogue = load(path)
    with Upstream(lambda: catalogue, {"MAIN_KEY": "k"}):
        assert catalogue.providers["main"].base_url == url


def test_a_provider_says_what_it_is_passed(path: Path) -> None:
    path.write_text(GOOD.replace("[arm.small]", 'passes_on = ["embeddings"]\n[arm.small]'))
    assert load(path).providers["main"].passes_on == ("embeddings",)
    message = complaint(path, path.read_text().replace("embeddings", "audio"))
    assert "['audio'] is wrong; it must be a list of embeddings, responses" in message


def test_what_a_provider_bills_in_is_known_of_its_arms(path: Path) -> None:
    text = GOOD.replace("[arm.small]", 'billed_in = "cost.total"\n[arm.small]')
    path.write_text(text)
    catalogue = load(path)
    assert {each.billed_in for each in catalogue.arms.values()} == {"cost.total"}
    for wrong in ("cost..total", "usage.cost"):
        message = complaint(path, text.replace("cost.total", wrong))
        assert f"'{wrong}' is wrong; it must be where in an answer's usage stand" in message


def test_the_sandbox_takes_the_place_of_every_provider(path: Path) -> None:
    path.write_text(GOOD)
    moved = load(path).served_at("http://127.0.0.1:9/v1")
    assert moved.providers == {"main": Provider("main", "http://127.0.0.1:9/v1")}
    assert moved.arms == load(path).arms


# Each: what is replaced in GOOD, by what, and what the complaint must say.
MISTAKES = {
    "TOML": ('"https://example.com/v1"', "https://example.com", "line 2", "base_url = https"),
    "duplicate": ("[arm.large]", "[arm.small]", "line 12", "twice", "[arm.small]"),
    "unknown field": ("output_usd", "outputs_usd", "line 9", "did you mean output_usd_per_mtok?"),
    "unknown table": ("[arm.large]", "[arms.large]", "line 12", "arms", "did you mean arm?"),
    "nothing like it": ("model =", "zzz = 1\nmodel =", "line 7", "zzz", "known are: provider"),
    "missing": ('model = "vendor/large"\n', "", "line 12", "model is missing", "provider's id"),
    "price of text": ("= 2.5", '= "2.5"', "line 15", "'2.5' is wrong", "dollars"),
    "price of truth": ("= 2.5", "= true", "line 15", "True is wrong", "dollars"),
    "negative price": ("= 2.5", "= -2.5", "line 15", "-2.5 is wrong", "from 0 to 1,000,000"),
    "too dear": ("= 2.5", "= 1e300", "line 15", "1e+300 is wrong", "from 0 to 1,000,000"),
    "NaN price": ("= 2.5", "= nan", "line 15", "nan is wrong", "a number of dollars"),
    "infinite price": ("= 2.5", "= inf", "line 15", "inf is wrong", "from 0 to 1,000,000"),
    "unknown provider": (
        'provider = "main"\nmodel = "vendor/large"',
        'provider = "mian"\nmodel = "vendor/large"',
        "line 13",
        "'mian' is wrong",
        "one of: main",
    ),
    "no window": ("= 8000", "= 0", "line 10", "0 is wrong", "above 0"),
    "too many tokens": ("= 8000", "= 8000000000", "line 10", "is wrong", "most 1,000,000,000"),
    "too many calls": (
        "= 8000",
        "= 8000\nmax_concurrent = 8000000",
        "line 11",
        "is wrong",
        "most 1,000,000",
    ),
    "half a token": ("= 8000", "= 8000.5", "line 10", "8000.5 is wrong", "whole number"),
    "quality": ("= 8000", "= 8000\nquality = 1.5", "line 11", "1.5 is wrong", "from 0 to 1"),
    "all of it": ("= 8000", "= 8000\nmax_share = 1.0", "line 11", "1.0 is wrong", "below 1"),
    "no dollars": ("= 8000", "= 8000\nmax_usd_per_day = 0", "line 11", "0 is wrong", "above 0"),
    "capability": ("= 8000", '= 8000\ncapabilities = ["fly"]', "line 11", "['fly']", "tools"),
    "capability twice": ("= 8000", '= 8000\ncapabilities = ["tools", "tools"]', "line 11", "list"),
    "tier": ("= 8000", '= 8000\ntier = "cheap"', "line 11", "'cheap' is wrong", "economy"),
    "fallback": ("= 8000", '= 8000\nfallbacks = ["huge"]', "line 11", "'huge'", "one of: large"),
    "own fallback": ("= 8000", '= 8000\nfallbacks = ["small"]', "line 11", "'small'", "large"),
    "model in the body": ("= 8000", '= 8000\nextra_body = { model = "x" }', "line 11", "model"),
    "length in the body": (
        "= 8000",
        "= 8000\nextra_body = { max_tokens = 9 }",
        "line 11",
        "max_tokens",
    ),
    "answers in the body": (
        "= 8000",
        "= 8000\nextra_body = { n = 4 }",
        "line 11",
        "stream_options, n, max",
    ),
    "NaN in the body": ("= 8000", "= 8000\nextra_body = { p = nan }", "line 11", "JSON"),
    "date in the body": ("= 8000", "= 8000\nextra_body = { p = 2024-01-01 }", "line 11", "JSON"),
    "timeout": ("= 8000", "= 8000\ntimeouts = { idle_s = 0 }", "line 11", "idle_s: 0 is wrong"),
    "timeout table": (
        "= 8000",
        "= 8000\n[arm.small.timeouts]\nconnect_s = 1\nidle_s = -1",
        "line 13",
        "-1 is wrong",
    ),
    "unknown timeout": ("= 8000", "= 8000\ntimeouts = { idle = 3 }", "line 11", "idle_s?"),
    "timeouts of text": ("= 8000", '= 8000\ntimeouts = "30s"', "line 11", "'30s'", "table"),
    "more than the total": (
        "= 8000",
        "= 8000\ntimeouts = { first_content_s = 400 }",
        "line 11",
        "400",
        "longer than total_s",
    ),
    "scheme": ("https://", "ftp://", "line 2", "'ftp://example.com/v1' is wrong", "https URL"),
    "no host": ("https://example.com", "https://", "line 2", "https URL"),
    "bad port": ("example.com", "example.com:99999", "line 2", "a port is one from 1 to 65535"),
    "bad label": ("example.com", "example..com", "line 2", "https URL"),
    "a tab": ("/v1", "/\\tv1", "line 2", r"'https://example.com/\tv1' is wrong", "without spaces"),
    "a line end": ("/v1", "/v1\\n", "line 2", r"example.com/v1\n' is wrong", "without spaces"),
    "a control": ("/v1", "/v1\\u007f", "line 2", "base_url", r"\x7f' is wrong", "without spaces"),
    "a space": ("/v1", "/v 1", "line 2", "is wrong", "without spaces"),
    "a host that is no ASCII": ("example", "exämple", "line 2", "is wrong", "in ASCII"),
    "a host of signs": ("example", "exam<ple", "line 2", "is wrong", "https URL"),
    "no such address": ("example.com", "256.1.1.1", "line 2", "is wrong", "https URL"),
    "a query": ("/v1", "/v1?key=1", "line 2", "without spaces, user, password, ?query or #part"),
    "URL of a number": ('"https://example.com/v1"', "7", "line 2", "7 is wrong", "https URL"),
    "arm called auto": ("[arm.large]", "[arm.auto-large]", "line 12", "not start with auto"),
    "arm with a space": ("[arm.large]", '[arm."a b"]', "line 12", "'a b' is wrong", "1 to 64"),
    "arm of text": (GOOD[GOOD.index("[arm.small]") :], '[arm]\nsmall = "x"', "line 6", "a table"),
    "arms of text": (GOOD[GOOD.index("[arm.small]") :], "[[arm]]\nx = 1", "line 5", "a table"),
    "no arm": (GOOD[GOOD.index("[arm.small]") :], "", "line 1", "arm is missing"),
    "an empty table of arms": (GOOD[GOOD.index("[arm.small]") :], "[arm]", "line 5", "no arm"),
    "no provider": (GOOD[: GOOD.index("[arm.small]")], "", "line 1", "provider is missing"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_line_and_what_is_right(path: Path, mistake) -> None:
    wrong, instead, *said = mistake
    assert wrong in GOOD
    message = complaint(path, GOOD.replace(wrong, instead, 1))
    assert str(path) in message
    for words in said:
        assert words in message


def test_all_mistakes_are_named_at_once(path: Path) -> None:
    text = GOOD.replace("= 0.1", "= -1").replace("= 128000", "= 0").replace("https", "ftp")
    lines = complaint(path, text).splitlines()
    assert [line.split(":")[0].rsplit(" ", 1)[1] for line in lines] == ["2", "8", "17"]


def test_shares_that_leave_requests_nobody_may_answer_are_refused(path: Path) -> None:
    shared = GOOD.replace("= 8000", "= 8000\nmax_share = 0.5").replace(
        "= 128000", "= 128000\nmax_share = 0.25"
    )
    [line] = complaint(path, shared).splitlines()
    assert line.startswith(f"{path} line {shared[: shared.index('0.25')].count(chr(10)) + 1}: ")
    assert "arm.large.max_share: 0.25 is wrong; the max_share of all arms together, 0.75" in line
    for right in (shared.replace("0.25", "0.5"), shared.replace("max_share = 0.25", "")):
        path.write_text(right)
        assert load(path).arms["small"].max_share == 0.5


def test_an_empty_file_is_told_what_it_lacks(path: Path) -> None:
    message = complaint(path, "")
    assert "provider is missing" in message
    assert "arm is missing" in message


def test_a_key_pasted_in_the_place_of_its_name_is_not_shown(path: Path) -> None:
    message = complaint(path, GOOD.replace("MAIN_KEY", "sk-proj-abcdef123456"))
    assert "never the key" in message
    assert "abcdef" not in message


@pytest.mark.parametrize("key", ["sk-proj-abcdef123456", "abcdef", "unknown field abcdef"])
def test_a_key_pasted_under_another_name_is_not_shown_and_the_right_name_is(
    path: Path, key: str
) -> None:
    message = complaint(path, GOOD.replace('api_key_env = "MAIN_KEY"', f'api_key = "{key}"'))
    assert message == (
        f"{path} line 3: provider.main.api_key: unknown field; did you mean api_key_env?"
    )


@pytest.mark.parametrize("name", ["gpt-4.1", "a.b.c"])
def test_a_name_with_a_dot_is_to_be_quoted(path: Path, name: str) -> None:
    text = GOOD.replace("[arm.large]", f"[arm.{name}]")
    assert complaint(path, text) == (
        f'{path} line 12: arm.{name}: a name with a dot must be quoted: [arm."{name}"]'
    )
    path.write_text(text.replace(f"[arm.{name}]", f'[arm."{name}"]'))
    assert name in load(path).arms


def test_what_else_is_wrong_beside_a_name_with_a_dot_is_named_too(path: Path) -> None:
    text = GOOD.replace("[arm.large]", "[arm.small.1]").replace("= 8000", "= 0")
    both = complaint(path, text).splitlines()
    assert ["line 10" in both[0], "line 12" in both[1]] == [True, True]
    assert "arm.small.limits: unknown field" in complaint(path, GOOD + "[arm.small.limits]\nn = 1")
    named = GOOD.replace("[provider.main]", "[provider.our.host]")
    assert '[provider."our.host"]' in complaint(path, named)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://joe:s3cr3tpw@host/v1", "'https://[redacted]@host/v1' is wrong"),
        ("https://s3cr3tpw@host/v1", "'https://[redacted]@host/v1' is wrong"),
        ("https://joe:s3/cr3t@s3cr3tpw@host/v1", "'https://[redacted]@host/v1' is wrong"),
        ("joe:s3cr3t pw@host/v1", "'[redacted]@host/v1' is wrong"),
        ("https:/joe:s3cr3tpw@host", "'[redacted]@host' is wrong"),
        ('https://joe:s3cr3tpw@host"x', '"https://[redacted]@host"x"'),
        ('x"\nurl = "https://joe:s3cr3tpw@host', "url: unknown field"),
        (
            'x"\n[[arm]]\nurl = "https://joe:s3cr3tpw@host',
            "arm: [{'url': 'https://[redacted]@host'",
        ),
    ],
)
def test_a_password_in_an_address_is_not_shown(path: Path, url: str, told: str) -> None:
    message = complaint(path, GOOD.replace("https://example.com/v1", url))
    assert told in message
    assert "s3cr3t" not in message
    assert "joe" not in message


def test_a_file_that_cannot_be_read_is_told_so(path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(path)
    with pytest.raises(ConfigError, match="Is a directory"):
        load(path.parent)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(path)
