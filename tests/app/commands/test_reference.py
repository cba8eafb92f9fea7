"""The generated parts of the pages say what the code says, and the pages hold what is generated."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.api.schemas import CompleteRequest, FeedbackRequest
from app.commands import reference
from app.commands.cli import main
from app.settings import Settings
from tests.app.running import Running

ROOT = Path(__file__).parents[3]
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))


def rows(table: str) -> list[list[str]]:
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in cells]


def test_every_row_of_every_table_has_as_many_cells_as_its_header() -> None:
    made = [reference.settings(), reference.error_codes(), reference.endpoints()]
    made += [reference.commands(), reference.tree(), reference.fields(CompleteRequest)]
    made += [reference.metrics()]
    for table in made:
        header = table.splitlines()[0].strip("|").split("|")
        assert {len(row) for row in rows(table)} == {len(header)}


def test_a_setting_is_told_with_the_default_that_is_in_force_without_it() -> None:
    told = {name: default for name, default, _ in rows(reference.settings())}
    in_force = Settings.load(environ={"TURNPIKE_CONFIG": ""})
    assert told["`TURNPIKE_CONNECTIONS`"] == f"`{in_force.connections}`"
    assert told["`TURNPIKE_API_KEY`"] == ""
    assert len(told) == len(Settings.model_fields)


def test_no_table_leaves_a_description_empty() -> None:
    for table in (
        reference.settings(),
        reference.error_codes(),
        reference.metrics(),
        reference.tree(),
    ):
        assert [row for row in rows(table) if not row[-1]] == []


def test_every_endpoint_that_answers_is_told(shared: Running) -> None:
    told = {endpoint for endpoint, _ in rows(reference.endpoints())}
    paths = shared.get("/openapi.json")["paths"]
    assert told == {f"`{method.upper()} {path}`" for path in paths for method in paths[path]}


def test_every_command_of_the_help_is_told() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output.partition("Start here:")[2]
    names = set(re.findall(r"^  ([a-z-]+)\s{2,}\S", shown, flags=re.MULTILINE))
    told = {name.strip("`").split()[1] for name, _ in rows(reference.commands())}
    assert names == told


def test_a_field_that_must_be_given_has_no_default() -> None:
    told = {name: default for name, _, default, _ in rows(reference.fields(FeedbackRequest))}
    assert told["`id`"] == "must be given"
    assert told["`rater`"] == '`"anonymous"`'
    assert told["`comment`"] == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    near = [target for target in targets if "://" not in target]
    assert [target for target in near if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert f"`TURNPIKE_{name.upper()}`" in (ROOT / "docs/reference.md").read_text(encoding="utf-8")


def test_every_test_that_a_guarantee_names_is_there() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", (ROOT / "docs/guarantees.md").read_text())
    assert len(named) > 20
    gone = [(path, name) for path, name in named if f"def {name}(" not in (ROOT / path).read_text()]
    assert gone == []
