"""The pages of the site that are no document of their own: the README, the examples, and the reference.

The reference has a page for each name of `public_names.py`, and for nothing else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from public_names import imported_from, public_names  # beside this file

ROOT = Path(__file__).parents[1]
#: Documents of the repository's own folder, and their pages.
BESIDE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}

_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)((?:#[^)\s]*)?)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give the generated pages their places in the navigation."""
    nav = config.nav
    assert nav is not None
    examples: dict[str, list[Any]] = {"Airflow": [], "Prefect": []}
    for path in _examples():
        examples[path.parent.name.title()].append({path.stem: _page_of_example(path)})
    nav.insert(2, {"Examples": [{kind: pages} for kind, pages in examples.items()]})
    nav.append({"Reference": [{package: list(_listed(kinds))} for package, kinds in _reference().items()]})
    for name, url in _pages_of_others().items():
        config.plugins["autorefs"].register_url(name, url)
    nav.append({"Project": [{"Changelog": "changelog.md"}, {"Contributing": "contributing.md"}]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for source, page in BESIDE.items():
        text = (ROOT / source).read_text()
        files.append(File.generated(config, page, content=_LINK.sub(_from_the_root, text)))
    for path in _examples():
        files.append(File.generated(config, _page_of_example(path), content=_example(path)))
    for kinds in _reference().values():
        for pages in kinds.values():
            for page, name in pages.items():
                short = name.rpartition(".")[2]
                text = f"# {short}\n\n```python\nfrom {imported_from(name)} import {short}\n```\n\n::: {name}\n"
                files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to their pages."""
    if page.file.generated_by is not None:
        return markdown
    return _LINK.sub(_from_docs, markdown)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let no page of a block or of a form go without one of its fields.

    Raises:
        PluginError: one is missing.
    """
    package, _, name = page.file.src_uri.removeprefix("reference/").removesuffix(".md").rpartition("/")
    if page.file.src_uri.startswith("reference/") and package == "prefect_blocks":
        missing = [field for field in _fields_of(name) if f'.{name}.{field}"' not in html]
        if missing:
            raise PluginError(f"the page of {name} has no {', '.join(missing)}")
    return html


def _fields_of(name: str) -> list[str]:
    """The fields of a block or of a form, its own and those of the bases that are ours."""
    classes = {
        node.name: node
        for path in (ROOT / "prefect_blocks").glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    if name not in classes:
        return []
    bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)]
    own = [
        node.target.id
        for node in classes[name].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("_")
    ]
    return own + [field for base in bases for field in _fields_of(base)]


def _pages_of_others() -> dict[str, str]:
    """Where others document the names of theirs in our signatures. A file of ours: the site is built offline."""
    lines = (ROOT / "docs" / "references.txt").read_text().splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def _examples() -> list[Path]:
    return sorted(ROOT.glob("dags_examples/*/*.py"))


def _page_of_example(path: Path) -> str:
    return f"examples/{path.parent.name}/{path.stem}.md"


def _example(path: Path) -> str:
    source = path.read_text()
    said = ast.get_docstring(ast.parse(source)) or ""
    return f"# {path.stem}\n\n{said}\n\n```python\n{source}```\n"


def _from_the_root(match: re.Match[str]) -> str:
    path = match[1]
    return f"]({BESIDE.get(path) or _to_page(path) or path.removeprefix('docs/')}{match[2]})"


def _from_docs(match: re.Match[str]) -> str:
    path = match[1].removeprefix("../")
    return f"]({BESIDE.get(path) or _to_page(path) or match[1]}{match[2]})"


def _to_page(path: str) -> str | None:
    """The page of an example, or of a folder of them: its first."""
    if not path.startswith("dags_examples/"):
        return None
    whole = ROOT / path
    return _page_of_example(whole if whole.is_file() else sorted(whole.rglob("*.py"))[0])


def _reference() -> dict[str, dict[str, dict[str, str]]]:
    """By package and kind: for each page the name that it shows."""
    return {
        package: {
            kind: {f"reference/{package}/{name.rpartition('.')[2]}.md": name for name in names}
            for kind, names in kinds.items()
        }
        for package, kinds in public_names().items()
    }


def _listed(kinds: dict[str, dict[str, str]]) -> Iterator[dict[str, Any]]:
    for kind, pages in kinds.items():
        yield {kind: [{name.rpartition(".")[2]: page} for page, name in pages.items()]}
