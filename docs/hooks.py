"""MkDocs hooks: the pages that are made from other files in the repository.

These are the documents outside docs/, and for each package a page with its docstrings. So nothing
is written twice, and nobody has to write a page for a new module.
"""

import ast
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "vps_d2"

HIDDEN = ("vps_d2.cli", "vps_d2.d2.embedded")
"""Packages without a page: they are used by command, or by Detectron2's names."""

DOCUMENTS = {
    "model_card.md": "vps_d2/weights/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
"""Each page, and the file that it is made from."""

_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the API pages to the navigation, after those that mkdocs.yml lists."""
    assert config.nav is not None
    config.nav.append({"API": [{package: _page_of(package)} for package in packages()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages themselves."""
    pages = {page: read_document(source) for page, source in DOCUMENTS.items()}
    pages |= {_page_of(package): api_page(package) for package in packages()}
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def packages() -> list[str]:
    """Return the names of the packages that have a page, in alphabetical order."""
    folders = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
    names = [".".join(folder.relative_to(ROOT).parts) for folder in folders]
    return [name for name in names if not f"{name}.".startswith(tuple(f"{h}." for h in HIDDEN))]


def api_page(package: str) -> str:
    """Return a page in Markdown: the docstring of a package, then each of its public modules."""
    folder = ROOT.joinpath(*package.split("."))
    modules = sorted(path.stem for path in folder.glob("[!_]*.py"))
    parts = [
        f"# {package}",
        f"::: {package}\n    options: {{members: false, show_root_heading: false}}",
    ]
    if package == PACKAGE.name:
        parts.append(public_names())
    parts += [f"::: {package}.{module}" for module in modules]
    return "\n\n".join(parts) + "\n"


def public_names() -> str:
    """Return the public names of the package as a Markdown list, linked to their definitions."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (homes,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES"
    )
    return "\n".join(
        f"- [`{name}`][{PACKAGE.name}.{home}.{name}]" for name, home in sorted(homes.items())
    )


def read_document(source: str) -> str:
    """Return a file in the repository as a page, with corrected links to other pages.

    Args:
        source: path of the file within the repository.
    """
    pages = {path: page for page, path in DOCUMENTS.items()}

    def correct(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        return "](" + pages.get(target, target.removeprefix("docs/"))

    return _LINK.sub(correct, (ROOT / source).read_text(encoding="utf-8"))


def _page_of(package: str) -> str:
    return f"api/{package}.md"
