"""A replay from the command line prints a table and writes one object whose figures add up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.options import Options
from bench.runs import Run
from bench.tables import load
from tests.bench.worlds import easy, written

FIGURES = {
    "reward",
    "reward_se",
    "second_half",
    "second_half_se",
    "cost_usd",
    "cost_usd_se",
    "budget_use",
    "shares",
}
OF_A_POLICY = {
    "decision_us",
    "update_us",
    "promoted",
    "refused",
    "retrains",
    "static_mixture",
    "ahead",
    "windows",
}
BASELINES = {"category_beta", "uniform", "word_count", "best_single", "full_information", "oracle"}


def keeping(folder: Path) -> list[str]:
    return ["--kept", str(folder / "kept")]


@pytest.mark.slow
def test_the_object_has_every_policy_and_baseline_with_every_figure(tmp_path: Path) -> None:
    table, out = written(easy(60), tmp_path / "easy.parquet"), tmp_path / "out.json"
    asked = ["replay", str(table), "--seeds", "2", "--context", "both", "--json", str(out)]
    done = CliRunner().invoke(main, asked + keeping(tmp_path), catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(out.read_text())
    assert (found["table"], found["prompts"], found["seeds"]) == ("easy", 60, 2)
    assert set(found["policies"]) == {"thompson", "greedy"}
    assert set(found["baselines"]) == BASELINES
    for each in found["policies"].values():
        assert set(each) == FIGURES | OF_A_POLICY
        assert set(each["ahead"]) - set(found["policies"]) == BASELINES | {"static_mixture"}
        assert set(each["static_mixture"]) == FIGURES
        assert each["promoted"] + each["refused"] == len(each["retrains"])
    shown = [*found["policies"].values(), *found["baselines"].values()]
    for each in shown:
        assert set(each) >= FIGURES
        assert sum(each["shares"].values()) == pytest.approx(1.0, abs=1e-3)
        assert f"{each['reward']:.4f}" in done.output


@pytest.mark.slow
def test_the_means_of_a_policy_are_those_of_its_seeds(tmp_path: Path) -> None:
    table, out = written(easy(40), tmp_path / "easy.parquet"), tmp_path / "out.json"
    asked = ["replay", str(table), "--seeds", "3", "--policy", "uniform", "--json", str(out)]
    assert (
        CliRunner().invoke(main, asked + keeping(tmp_path), catch_exceptions=False).exit_code == 0
    )
    found = json.loads(out.read_text())["policies"]["uniform"]
    asked = replace(Options(), policy="uniform")
    played = Run(load(str(table)), asked, tmp_path / "kept").results(range(3))
    rewards = [each.reward for each in played]
    assert found["reward"] == pytest.approx(np.mean(rewards))
    assert found["second_half"] == pytest.approx(np.mean([each[20:] for each in rewards]))
    spread = np.std([each.mean() for each in rewards], ddof=1)
    assert found["reward_se"] == pytest.approx(spread / 3**0.5)


@pytest.mark.slow
def test_how_far_ahead_is_the_mean_over_pairs_of_equal_seeds(tmp_path: Path) -> None:
    table, out = written(easy(40), tmp_path / "easy.parquet"), tmp_path / "out.json"
    asked = ["replay", str(table), "--seeds", "3", "--policy", "greedy", "--json", str(out)]
    done = CliRunner().invoke(main, [*asked, *keeping(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(out.read_text())
    policy, baselines = found["policies"]["greedy"], found["baselines"]
    for name, other in [*baselines.items(), ("static_mixture", policy["static_mixture"])]:
        for kind in ("reward", "second_half"):
            more = policy["ahead"][name][kind]
            assert more == pytest.approx(policy[kind] - other[kind])
        assert "changed" not in policy["ahead"][name]  # nothing happens on the way


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--warm", "40"], "40 prompts as evals leave none of 40 to judge"),
        (["--scenario", "degraded", "--concerned", "x"], "concerned is 'x'; it must be one of"),
        (["--policy", "fixed:x"], "policy is 'x'; it must be one of coder"),
        (
            ["--budget", "0.002", "--quality-floor", "0.9"],
            "a budget of 0.002 and a floor of quality of 0.9 each say what is paid",
        ),
        (
            ["--budget", "0.002", "--willingness-to-pay", "0.01"],
            "a budget of 0.002 and a willingness to pay of 0.01 each say what is paid",
        ),
        (["--quality-floor", "0.9", "--baseline", "x"], "baseline is 'x'; it must be one of coder"),
        (["--baseline", "coder"], "baseline is 'coder'; only a floor of quality has one"),
        (["--concerned", "coder"], "concerned is 'coder'; under 'steady' no arm changes"),
        (["--policy", "best"], "policy is 'best'; it must be one of thompson, greedy"),
        (["--policy", "peer:x"], "policy is 'peer:x'; it must be one of"),
        (["--arms", "coder", "--policy", "peers"], "needs two arms from the start on, not 1"),
        (["--policy", "fixed:"], "policy is ''; it must be one of coder"),
        (["--arms", "coder", "--scenario", "new_arm"], "'new_arm'; it needs two arms, not one"),
        (["--warm", "38", "--scenario", "price_cut"], "2 prompts to judge are too few"),
        (["--budget", "nan"], "'--budget': nan is not a finite number"),
        (["--budget", "inf"], "'--budget': inf is not a finite number"),
        (["--budget", "-1"], "'--budget': -1.0 is not in the range"),
        (["--feedback", "nan"], "'--feedback': nan is not a finite number"),
        (["--arms", "coder\nteller"], "--arms is 'coder\\nteller': new-line character"),
        (["--arms", ","], "--arms is ',', which names none"),
        (["--crowd", "1001"], "'--crowd': 1001 is not in the range"),
        (["--json", "no folder/out.json"], "no folder/out.json cannot be written: No such file"),
    ],
)
def test_what_cannot_be_replayed_is_said_before_anything_is(
    tmp_path: Path, asked: list[str], said: str
) -> None:
    table = str(written(easy(40), tmp_path / "easy.parquet"))
    done = CliRunner().invoke(main, ["replay", table, *asked, *keeping(tmp_path)])
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "kept").exists()


def test_a_table_is_not_written_over_and_not_learned_from_what_it_judges(tmp_path: Path) -> None:
    table = written(easy(40), tmp_path / "easy.parquet")
    (tmp_path / "folder").mkdir()
    copy = tmp_path / "copy.csv"
    pyarrow.csv.write_csv(pyarrow.parquet.read_table(table), copy)
    same_rows = (table, tmp_path / "folder" / ".." / "easy.parquet", copy)
    before = table.read_bytes()
    for asked, said in (
        (["--json", str(table)], "a table itself; name another file"),
        *((["--learn-on", str(same)], f"its rows are those of {same}") for same in same_rows),
    ):
        done = CliRunner().invoke(main, ["replay", str(table), *asked, *keeping(tmp_path)])
        assert done.exit_code == 2
        assert said in done.output
    assert table.read_bytes() == before


def test_an_output_on_a_full_disk_is_said_in_one_line_below_what_was_found(tmp_path: Path) -> None:
    table = written(easy(40), tmp_path / "easy.parquet")
    asked = ["--policy", "uniform", "--seeds", "1", "--json", "/dev/full", *keeping(tmp_path)]
    done = CliRunner().invoke(main, ["replay", str(table), *asked])
    assert done.exit_code == 1
    assert "| uniform |" in done.output
    assert done.output.endswith("Error: /dev/full cannot be written: No space left on device\n")


def test_a_page_on_a_full_disk_is_shown_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "writing.md").symlink_to("/dev/full")
    monkeypatch.setattr("bench.durability.costing.measure", lambda *_given: ())
    monkeypatch.setattr("bench.durability.costing.lines", lambda *_given: ["# What was measured"])
    done = CliRunner().invoke(main, ["writing", "--out", str(tmp_path)])
    said = f"Error: {tmp_path / 'writing.md'} cannot be written: No space left on device; "
    assert (done.exit_code, done.stdout) == (1, "# What was measured\n")
    assert done.stderr.startswith(said)


def test_the_folder_of_what_is_kept_is_made_before_anything_is_played(tmp_path: Path) -> None:
    table = written(easy(40), tmp_path / "easy.parquet")
    done = CliRunner().invoke(main, ["replay", str(table), *keeping(table)])
    assert done.exit_code == 2
    assert "Not a directory" in done.output


@pytest.mark.slow
def test_arms_may_have_any_name_and_only_what_is_judged_is_counted(tmp_path: Path) -> None:
    renamed = [replace(a, name=n) for a, n in zip(easy(1).arms, ("a, b", "p|q", "x"), strict=True)]
    table = written(replace(easy(40), arms=tuple(renamed)), tmp_path / "named.parquet")
    out = tmp_path / "out.json"
    asked = ["--arms", '"a, b", p|q', "--policy", "fixed:p|q", "--warm", "10", "--seeds", "1"]
    asked += ["--json", str(out), *keeping(tmp_path)]
    done = CliRunner().invoke(main, ["replay", str(table), *asked], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(out.read_text())
    assert (found["prompts"], found["arms"]) == (30, ["a, b", "p|q"])
    assert found["policies"]["fixed:p|q"]["shares"] == {"a, b": 0.0, "p|q": 1.0}
    assert "named: 30 prompts" in done.output
    assert "| fixed:p\\|q |" in done.output


def test_a_table_that_is_not_there_ends_with_two_and_one_sentence() -> None:
    done = CliRunner().invoke(main, ["replay", "no such table"])
    assert done.exit_code == 2
    assert "replay tables are not here" in done.output


def test_the_time_of_a_decision_is_shown_by_part_and_length() -> None:
    done = CliRunner().invoke(main, ["decision", "--rounds", "10"], catch_exceptions=False)
    rows = [line.split("|")[1:3] for line in done.output.splitlines() if line.startswith("| ")]
    seen = {(words.strip(), part.strip()) for words, part in rows}
    assert {(words, "total") for words in ("20", "100", "1000")} <= seen
