"""Who reads the policy while versions are adopted sees one of them, never a mixture."""

import threading
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.learned import Learned
from policy.hyper import Hyper
from storage.snapshots import digest
from tests.app.routing.test_live import learn
from tests.app.running import Provider, eventually, running

READERS, VERSIONS = 4, 8


@pytest.mark.slow
def test_each_answer_of_policy_is_of_one_version(tmp_path: Path, provider: Provider) -> None:
    seen: dict[tuple[int, int], set[str]] = defaultdict(set)
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service)
        ended = threading.Event()

        def read() -> None:
            with service.client.application.test_client() as client:
                while not ended.is_set():
                    told = client.get("/policy").json
                    key = told["policy_version"], told["learned_events"]
                    seen[key].add(told["learned_sha256"])

        readers = [threading.Thread(target=read, daemon=True) for _ in range(READERS)]
        for each in readers:
            each.start()
        assert eventually(lambda: bool(seen), 60)
        log = service.parts.log
        first = log.policy_version(1)
        for version in range(2, VERSIONS + 2):
            hyper = Hyper.from_json(first.hyper)
            other = replace(hyper, half_life_s=hyper.half_life_s / version).to_json()
            log.adopt(replace(first, version=version, hyper=other, source="retrain")).wait()
            service.rate(service.ask()["id"])
            assert eventually(lambda: version in {of for of, _ in list(seen)}, 60)  # noqa: B023
        ended.set()
        for each in readers:
            each.join()
        folds = {
            (version, upto): digest(
                Learned.start(log.policy_version(version)).fold(log.events(0, upto)).to_arrays()
            )
            for version, upto in seen
        }
    assert seen == {key: {sha256} for key, sha256 in folds.items()}
