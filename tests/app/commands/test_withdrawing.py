"""Evals that were imported by mistake are withdrawn, and the policy is folded without them."""

from pathlib import Path

import numpy as np
from click.testing import Result

from app.commands.delivery import delivered
from app.commands.evals import import_evals
from jobs.intake import of_withdrawal
from storage.records import Withdrawal
from storage.withdrawing import batches
from tests.app.commands.test_cli import turnpike
from tests.app.commands.test_forgetting import told
from tests.app.routing.test_live import folded
from tests.app.running import Provider, Running, eventually, running

WRONG = "prompt,task,gpt-4o,qwen3-32b\nhi,,0,1\nho,,0,1\n"
RIGHT = "prompt,task,gpt-4o,qwen3-32b\nhi,,1,0\nho,,1,0\n"


def withdraw(service: Running, *arguments: str) -> Result:
    return turnpike(service.parts.settings.folder, "withdraw", *arguments)


def imported(service: Running, folder: Path, table: str) -> str:
    path = folder / "evals.csv"
    path.write_text(table)
    known = {each.batch for each in batches(service.parts.log.ask)}
    import_evals(service.parts.settings, path)
    [batch] = {each.batch for each in batches(service.parts.log.ask)} - known
    return batch


def effective_n(service: Running) -> dict[str, float]:
    return {arm["arm"]: arm["belief"]["effective_n"] for arm in service.get("/policy")["arms"]}


def test_what_is_withdrawn_beside_a_service_is_as_if_it_had_never_come(
    service: Running, tmp_path: Path
) -> None:
    imported(service, tmp_path, RIGHT)
    right = service.learned.beliefs.quality
    wrong = imported(service, tmp_path, WRONG)
    assert effective_n(service)["gpt-4o"] == 4
    said = told(withdraw(service, wrong[:8], "--json"))
    assert (said["batch"], said["withdrawn"], said["policy_version"]) == (wrong, True, 2)
    assert eventually(lambda: service.get("/healthz")["policy_version"] == 2)
    assert service.digest == folded(service)
    left = service.learned.beliefs.quality
    assert {*left.evals} == {*right.evals}
    for arm in left.evals:
        assert np.allclose(left.evals[arm].gram, right.evals[arm].gram)
        assert np.allclose(left.evals[arm].moment, right.evals[arm].moment)
    assert service.get("/policy")["counts"]["evals"] == 4
    assert ", withdrawn" in withdraw(service).stdout
    again = withdraw(service, wrong[:8])
    assert again.stdout.endswith(f"the 4 scores of {wrong[:8]} are withdrawn: they teach nothing\n")
    back = withdraw(service, "--undo", wrong[:8])
    assert back.stdout.endswith(f"the 4 scores of {wrong[:8]} teach; policy 3 serves\n")
    assert eventually(lambda: effective_n(service)["gpt-4o"] == 4)


def test_what_was_killed_before_the_fold_is_gone_on_with(service: Running, tmp_path: Path) -> None:
    wrong = imported(service, tmp_path, WRONG)
    made = Withdrawal(batch=wrong, withdrawn=True)
    delivered(service.parts.settings, of_withdrawal(made))
    assert told(withdraw(service, wrong, "--json"))["policy_version"] == 2
    assert told(withdraw(service, wrong, "--json"))["policy_version"] is None
    assert eventually(lambda: effective_n(service)["gpt-4o"] == 0)


def test_without_a_service_too_and_the_same_file_says_so_when_it_comes_again(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        wrong = imported(service, tmp_path, WRONG)
    assert withdraw(service, wrong).stdout.endswith("teach nothing; policy 2 serves\n")
    again = turnpike(tmp_path, "import", str(tmp_path / "evals.csv")).stdout
    assert "0 new: this file was imported before" in again
    assert f"withdraw --undo {wrong[:8]}` lets them teach again" in again
    with running(tmp_path, sandbox_url=provider.url) as service:
        assert effective_n(service)["gpt-4o"] == 0


def test_a_name_of_no_file_or_of_several_is_refused_with_what_there_is(
    service: Running, tmp_path: Path
) -> None:
    assert "no evals were imported" in withdraw(service).stdout
    assert "'beef': none was imported" in withdraw(service, "beef").stderr
    batch = imported(service, tmp_path, RIGHT)
    ended = withdraw(service, "nothing")
    assert ended.exit_code != 0
    assert "no imported file begins with 'nothing'" in ended.stderr
    assert f"{batch[:8]}  " in ended.stderr
    assert "4 scores of 2 arms on 2 prompts" in ended.stderr
    assert withdraw(service, "--undo").exit_code == 2
    assert service.get("/healthz")["policy_version"] == 1
