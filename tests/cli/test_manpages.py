"""The man pages and the reference."""

import shutil
import subprocess

import click
import pytest

from netusage.cli import main, options
from netusage.cli.failures import run
from netusage.cli.manpages import Page, man_page, pages, reference_markdown
from netusage.settings.schema import TABLES, declared_keys, table_keys


@pytest.fixture(autouse=True)
def few_commands(monkeypatch):
    """The commands that need no other part of the program."""
    few = {name: main.COMMANDS[name] for name in ("config", "service", "completion")}
    monkeypatch.setattr(main, "COMMANDS", few)


def test_every_command_and_subcommand_has_a_page():
    assert [page.name for page in pages()] == [
        "netusage",
        "netusage-config",
        "netusage-config-check",
        "netusage-config-path",
        "netusage-config-show",
        "netusage-service",
        "netusage-service-install",
        "netusage-service-print",
        "netusage-service-status",
        "netusage-service-uninstall",
        "netusage-completion",
    ]


def test_a_page_says_what_the_help_says(capsys):
    (page,) = (page for page in pages() if page.path == "netusage config show")
    run(["config", "show", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name, text in page.options:
        assert name in said
        assert " ".join(text.split()) in said
    for line, text in page.examples:
        assert line in said
        assert text in said


def test_the_root_page_documents_every_key_variable_and_exit_code():
    text = man_page(next(pages())).replace("\\-", "-").replace("\\(dq", '"')
    for key in declared_keys().values():
        assert key.dotted in text
        assert key.doc in text
    for table in TABLES:
        for key in table_keys(table).values():
            assert f".B [[{table}]] {key.name}\n" in text
    for section in ("CONFIGURATION", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
        assert f".SH {section}\n" in text


def test_text_that_looks_like_roff_is_text():
    page = Page("netusage x", ".so y", (".TH \\fBbad\\fP 'x' --flag.",), (("'quoted'", "-a\\n"),), (), ())
    text = man_page(page)
    assert "\\&.so y" in text
    assert "\\&.TH \\efBbad\\efP 'x' \\-\\-flag." in text
    assert ".B \\&'quoted'" in text
    assert "\\-a\\en" in text


@pytest.mark.system
@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff to read the pages")
def test_groff_reads_every_page_without_a_warning():
    for page in pages():
        done = subprocess.run(
            ["groff", "-man", "-Kutf8", "-Tascii", "-P-cbou", "-ww", "-b"],
            input=man_page(page).encode(),
            capture_output=True,
            check=True,
        )
        assert done.stderr == b"", (page.name, done.stderr)
        assert b"SYNOPSIS" in done.stdout


def test_the_command_writes_pages_and_reference(tmp_path, capsys):
    assert run(["manpages", str(tmp_path / "man"), "--reference", str(tmp_path / "ref.md")]) == 0
    assert capsys.readouterr() == ("", "")
    assert len(list((tmp_path / "man").iterdir())) == 11
    assert (tmp_path / "ref.md").read_text() == reference_markdown()


def test_the_same_source_gives_the_same_bytes():
    assert reference_markdown() == reference_markdown()
    assert [man_page(page) for page in pages()] == [man_page(page) for page in pages()]


def test_a_place_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(["manpages", str(tmp_path / "file" / "man")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert run(["manpages"]) == 2
    assert "say where" in capsys.readouterr().err


def test_the_reference_has_a_row_for_every_option_of_every_command():
    text = reference_markdown()
    for page in pages():
        assert f"# {page.path}\n" in text
        for name, _ in page.options:
            assert f"| `{name}` |".replace("|", "\\|").replace("\\| `", "| `").replace("` \\|", "` |") in text


def test_a_hidden_option_is_in_no_page(monkeypatch):
    @options.command("completion", examples=[])
    @click.option("--secret", hidden=True)
    def command(**_):
        """Secret."""

    monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: command)
    monkeypatch.setattr(main, "COMMANDS", {"completion": ("", "Secret.")})
    assert "--secret" not in reference_markdown()
