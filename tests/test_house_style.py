"""The house rules that no linter knows, each proven able to fail by a planted example.

A rule is a function from one file, as path and text, to the complaints about it. The tree is walked
rather than asked of git, so that the rules also hold where git is not installed.
"""

import ast
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DECISIONS = ROOT / "docs/decisions"
ROOMS = ("app", "bench", "jobs", "storage", "upstream", "features", "policy")
NOT_OURS = re.compile(r"^\.(?!ci$|pre-commit|gitignore)|^(__pycache__|build|snapshots|handover)$")
TEXT = {".py", ".md", ".toml", ".txt", ".in", ".sh", ".yaml", ".html", ".css", ".js", ".json", ""}
LINES_OF_A_FILE, LINES_OF_A_TEST, LINES_OF_A_BODY = 300, 400, 30
VAGUE_NAMES = {"utils", "util", "helpers", "common", "manager", "service", "base", "misc"}
# Spelt so that they do not find themselves.
UNFINISHED = re.compile(r"TO[D]O|FIX[M]E|XX[X]|NotImplement[e]d")
PRIVATE = re.compile(
    r"(?<![\w.])/(?:home|root|tmp|Users|work)/\w+|pypi\.org|pythonhosted\.org|registry\.npmjs"
)

# The service as programs that are not ours see it, whatever room they reach.
OUTSIDE = {"clients", "browser"}
MAY_SKIP = Path("tests/clients/installing.py")  # Node is nothing that ./test can install

Rule = Callable[[Path, str], list[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not NOT_OURS.search(name))
        yield from (
            Path(folder, name).relative_to(root)
            for name in sorted(names)
            if Path(name).suffix in TEXT and not NOT_OURS.search(name)
        )


def is_test(path: Path) -> bool:
    return path.parts[0] == "tests"


def is_python(path: Path) -> bool:
    return path.suffix == ".py"


def fits_in_the_head(path: Path, text: str) -> list[str]:
    limit = LINES_OF_A_TEST if is_test(path) else LINES_OF_A_FILE
    lines = len(text.splitlines())
    return [f"{lines} lines, must be under {limit}"] * (is_python(path) and lines >= limit)


def lines_of_body(function: Function) -> int:
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def fits_on_the_screen(path: Path, text: str) -> list[str]:
    if not is_python(path) or is_test(path):
        return []
    return [
        f"{node.name} has {lines_of_body(node)} lines, must be under {LINES_OF_A_BODY}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, Function) and lines_of_body(node) >= LINES_OF_A_BODY
    ]


def catches_too_much(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    broad = {"None", "Exception", "BaseException"}
    passes_on = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
    return not passes_on and any(ast.unparse(one or ast.Constant(None)) in broad for one in caught)


def catches_what_can_happen(path: Path, text: str) -> list[str]:
    return [
        f"line {node.lineno} catches everything; name what can happen"
        for node in ast.walk(ast.parse(text if is_python(path) else ""))
        if isinstance(node, ast.ExceptHandler) and catches_too_much(node)
    ]


def is_named_after_its_work(path: Path, _text: str) -> list[str]:
    words = {word for part in path.with_suffix("").parts for word in part.split("_")}
    vague = sorted(words & VAGUE_NAMES) if is_python(path) else []
    return [f"the name says nothing: {word}" for word in vague]


def is_finished(_path: Path, text: str) -> list[str]:
    return [f"unfinished: {found}" for found in UNFINISHED.findall(text)]


def says_what_it_is_for(path: Path, text: str) -> list[str]:
    if not is_python(path):
        return []
    first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return (
        []
        if first.endswith((".", ":", ";", ","))
        else ["the first line of the docstring is no sentence"]
    )


def tells_nothing_private(_path: Path, text: str) -> list[str]:
    return [f"names a machine or a registry: {found.group()}" for found in PRIVATE.finditer(text)]


def runs_every_test(path: Path, text: str) -> list[str]:
    skipping = {"skip", "skipif", "xfail", "importorskip"}
    return [
        f"line {node.lineno} leaves a test out: {node.attr}"
        for node in ast.walk(ast.parse(text if is_python(path) and is_test(path) else ""))
        if isinstance(node, ast.Attribute) and node.attr in skipping and path != MAY_SKIP
    ]


RULES: list[tuple[Rule, str, str]] = [
    (fits_in_the_head, "policy/long.py", "x = 1\n" * LINES_OF_A_FILE),
    (fits_in_the_head, "tests/test_long.py", "x = 1\n" * LINES_OF_A_TEST),
    (
        fits_on_the_screen,
        "app/long.py",
        "def f():\n    '''Doc.'''\n" + "    x = 1\n" * LINES_OF_A_BODY,
    ),
    (
        catches_what_can_happen,
        "jobs/a.py",
        "try:\n    f()\nexcept (OSError, Exception):\n    g()\n",
    ),
    (catches_what_can_happen, "jobs/b.py", "try:\n    f()\nexcept:\n    g()\n"),
    (is_named_after_its_work, "storage/log_utils.py", ""),
    (is_finished, "docs/page.md", "TO" + "DO: write this"),
    (says_what_it_is_for, "upstream/a.py", "import os\n"),
    (tells_nothing_private, "README.md", "see /ho" + "me/ann/turnpike"),
    (tells_nothing_private, "requirements.txt", "--index-url https://pypi" + ".org/simple"),
    (runs_every_test, "tests/test_a.py", "import pytest\n@pytest.mark.skip\ndef test_a(): ...\n"),
]


@pytest.mark.parametrize(
    "rule", dict.fromkeys(rule for rule, _, _ in RULES), ids=lambda r: r.__name__
)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    complaints = [
        f"{path}: {complaint}"
        for path in files(ROOT)
        for complaint in rule(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    assert complaints == []


@pytest.mark.parametrize(
    ("rule", "path", "planted"), RULES, ids=lambda x: getattr(x, "__name__", "")
)
def test_the_rule_sees_a_planted_fault(rule: Rule, path: str, planted: str) -> None:
    assert rule(Path(path), planted) != []


def test_a_handler_that_passes_the_error_on_may_catch_everything() -> None:
    text = "try:\n    f()\nexcept BaseException:\n    undo()\n    raise\n"
    assert catches_what_can_happen(Path("storage/a.py"), text) == []


def test_a_docstring_is_not_part_of_the_body() -> None:
    text = "def f():\n    '''Doc.\n" + "    more\n" * 40 + "    '''\n    return 1\n"
    assert fits_on_the_screen(Path("app/a.py"), text) == []


def classes_of_one_name(root: Path) -> list[str]:
    """Return the public classes that share their name; a library's adapter has the library's."""
    seen: dict[str, list[str]] = {}
    for path in filter(is_python, files(root)):
        if not is_test(path) and path.parts[:2] != ("bench", "peers"):
            for node in ast.parse((root / path).read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    seen.setdefault(node.name, []).append(str(path))
    return [f"{name}: {', '.join(paths)}" for name, paths in seen.items() if len(paths) > 1]


def test_two_classes_have_two_names() -> None:
    assert classes_of_one_name(ROOT) == []


def test_a_second_class_of_one_name_is_seen(tmp_path: Path) -> None:
    for name in ("policy/belief.py", "app/lately.py", "tests/test_belief.py", "bench/peers/one.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("class Belief:\n    x = 1\n\nclass _Own:\n    x = 1\n")
    assert classes_of_one_name(tmp_path) == ["Belief: app/lately.py, policy/belief.py"]


def strangers_among_tests(root: Path) -> list[str]:
    """Return the tests in a room's folder that are not named after a file of that room."""
    return [
        str(path)
        for path in files(root)
        if len(path.parts) > 2
        and is_test(path)
        and not OUTSIDE & set(path.parts)
        and path.name.startswith("test_")
        and not any(
            path.stem.removeprefix("test_").startswith(source.stem)
            for source in root.joinpath(*path.parts[1:-1]).glob("*.py")
        )
    ]


def test_tests_mirror_the_rooms() -> None:
    assert strangers_among_tests(ROOT) == []


def test_a_test_of_nothing_is_seen(tmp_path: Path) -> None:
    for folder in ("policy", "app/keys", "tests/policy", "tests/app/keys", "tests/app/browser"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "policy/thompson.py").touch()
    for name in ("test_thompson.py", "test_thompson_floor.py", "test_posterior.py"):
        (tmp_path / "tests/policy" / name).touch()
    (tmp_path / "app/keys/holder.py").touch()
    for name in ("keys/test_holder.py", "test_holder.py", "browser/test_pages.py"):
        (tmp_path / "tests/app" / name).touch()
    strangers = ["tests/app/test_holder.py", "tests/policy/test_posterior.py"]
    assert strangers_among_tests(tmp_path) == strangers


def names(requirements: str) -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*)(?=[>=<\[])", requirements, flags=re.MULTILINE))


def test_every_dependency_is_pinned_and_explained() -> None:
    asked = names((ROOT / "requirements.in").read_text())
    pinned = names((ROOT / "requirements.txt").read_text())
    explained = set(re.findall(r"[a-z][a-z0-9-]+", (ROOT / "docs/dependencies.md").read_text()))
    assert len(asked) > 10
    assert asked - pinned == set()
    assert asked - explained == set()


def test_every_library_that_a_room_alone_may_know_is_asked_for() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    known = {name for each in contracts["contracts"] for name in each.get("forbidden_modules", ())}
    brought = packages_distributions()
    libraries = {brought[name][0].lower() for name in known if name in brought}
    assert len(libraries) > 10
    assert libraries - names((ROOT / "requirements.in").read_text()) == set()


def test_every_pin_has_a_hash() -> None:
    blocks = re.split(r"\n(?=[a-z])", (ROOT / "requirements.txt").read_text())
    pins = [block for block in blocks if "==" in block]
    assert len(pins) > 20
    assert [pin.partition(" ")[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_each_licence_that_asks_more_than_its_text_is_told_with_what_is_under_it() -> None:
    told = (ROOT / "docs/dependencies.md").read_text().partition("Licences of the set: ")[2]
    pinned, under = names((ROOT / "requirements.txt").read_text()), set[str]()
    for each in distributions():
        said = [each.metadata.get("License-Expression"), *each.metadata.get_all("Classifier", [])]
        name = re.sub(r"[-_.]+", "-", each.name).lower()
        if name in pinned and re.search(r"GPL|MPL|ZPL|EPL|EUPL|CDDL", " ".join(filter(None, said))):
            under.add(name)
    assert {"psycopg", "certifi"} <= under
    assert [name for name in sorted(under) if not re.search(rf"[(\s]{name}[,)]", told)] == []


def test_the_changelog_has_room_for_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]$", text, flags=re.MULTILINE)


def named(pages: dict[str, str], said: str) -> set[tuple[str, str]]:
    """Return which page names which others in sentences that begin so."""
    return {
        (number, other)
        for number, text in pages.items()
        for sentence in re.findall(rf"\b{said} (?:[^.]|\.md)*", text)
        for other in re.findall(r"\b0\d{3}\b(?!-)", sentence)
    }


def test_a_decision_that_is_changed_and_the_one_that_changes_it_name_each_other() -> None:
    pages = {path.name[:4]: path.read_text() for path in DECISIONS.glob("0*.md")}
    changes = {(old, new) for new, old in named(pages, "(?:Changes|It changes)")}
    assert len(changes) > 9
    assert changes == named(pages, "Changed by")


def test_a_decision_that_does_not_name_the_one_that_changes_it_is_seen() -> None:
    pages = {
        "0001": "Changed by [0002](0002-b.md) and [0003](0003-c.md).",
        "0002": "It changes 0001.",
    }
    assert named(pages, "It changes") == {("0002", "0001")}
    assert named(pages, "Changed by") == {("0001", "0002"), ("0001", "0003")}


def test_every_room_is_held_by_every_tool() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert set(tools["mypy"]["packages"]) == set(ROOMS)
    assert set(tools["importlinter"]["root_packages"]) == set(ROOMS)
    assert set(tools["pytest"]["ini_options"]["testpaths"]) >= {"tests", *ROOMS}


@pytest.mark.parametrize("script", ["run", "test", ".ci/run"])
def test_the_command_can_be_executed(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize("asked", [("--help",), ("-h",), ("fast", "--help")])
def test_who_asks_the_check_for_help_gets_it_and_nothing_is_checked(asked: tuple[str, ...]) -> None:
    told = subprocess.run(
        [ROOT / "test", *asked], capture_output=True, text=True, check=True, timeout=60
    )
    lines = told.stdout.splitlines()
    assert lines[0].startswith("Check everything")
    assert "pytest" in lines[-1]
    assert (len(lines) < 10, told.stderr) == (True, "")


@pytest.mark.parametrize("script", ["run", "test", "bootstrap.sh"])
def test_the_shell_accepts_the_script(script: str) -> None:
    shell = shutil.which("dash") or "/bin/sh"
    assert subprocess.run([shell, "-n", ROOT / script], check=False).returncode == 0
