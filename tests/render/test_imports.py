"""What a plain table costs to import."""

import os
import subprocess
import sys


def test_a_plain_table_needs_neither_rich_nor_json_nor_csv():
    program = (
        "import sys\n"
        "from netusage.render.columns import Column\n"
        "from netusage.render.context import detect\n"
        "from netusage.render.formats import render\n"
        "context = detect(sys.stdout, {})\n"
        "render('table', [Column('a', 'A')], [{'a': 'b'}], envelope={}, context=context, stream=sys.stdout)\n"
        "print({'rich', 'json', 'csv', 'psutil', 'click', 'msgspec', 'sqlite3', 'difflib'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout == "A\nb\nset()\n"
