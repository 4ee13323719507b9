"""README's first session as it stands there: the Python part run, the shell's part pasted.

    readme_session.py ROOST PORT

The server at PORT holds the sample data. Both blocks are cut out of README.md, the address is
replaced by the server's, and the answers are looked at: no error, and what a reader would expect.
"""

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile

from shell_session import Terminal, plain

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def blocks():
    """The code blocks of the section `A first session`, by their language."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read()
    section = text.split("## A first session", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```(\w*)\n(.*?)```", section, re.S)


def python_part(port):
    """Runs the PyMongo lines; what they print."""
    names, lines = {}, []
    for body in (body for language, body in blocks() if language == "python"):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(body.replace("127.0.0.1:27017", f"127.0.0.1:{port}"), names)  # our own README
        lines.append(shown.getvalue().splitlines())
    session, live = lines
    assert set(live[:-2]) == {"added"} and live[-2] == "ready", live
    assert live[-1].split()[0] == "changed" and int(live[-1].split()[1]) > 0, live
    lines = session
    assert len(lines) == 8, lines
    assert "shell" in lines[0].lower(), lines[0]
    sizes = [int(line.split()[1]) for line in lines[1:4]]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] > 10_000, lines
    assert int(lines[4]) > 5, lines[4]
    assert "IXSCAN" in lines[5] or "COLLSCAN" in lines[5], lines[5]
    assert {line.split("'")[3] for line in lines[6:]} == {"editors", "database"}, lines


def shell_part(roost, port):
    """Pastes all lines of the shell's session at once."""
    body = next(body for language, body in blocks() if "debian> " in body)
    lines = [line[len("debian> "):] for line in body.splitlines() if line.startswith("debian> ")]
    assert len(lines) >= 5, body
    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal(
            [roost, "shell", f"mongodb://127.0.0.1:{port}/debian"],
            {"ROOST_HISTORY": folder + "/history", "TERM": "xterm", "LANG": "C.UTF-8",
             "LC_ALL": "C.UTF-8"})
        terminal.expect(r"debian> ")
        terminal.type("\r".join(lines))
        terminal.expect(r"package\s+installedSize\s+who\n[─ ]+\n(\S.*\n){3}\(3 rows")
        terminal.expect(r"_id\s+n\s+bytes\n[─ ]+\n(\S+ +\d+ +\d+\n){3}\(3 rows")
        # Wide documents: a list of names and values each.
        terminal.expect(r"postgresql-1(.|\n)*\(2 rows")
        terminal.expect(r"IXSCAN|COLLSCAN")
        terminal.expect(r"n\s+nModified(.|\n)*1\s+[01]\s+\[\]\n")
        terminal.expect(r"debian> ")
        terminal.type(".quit")
        assert terminal.end() == 0
        assert "error" not in plain(terminal.shown).replace("errors", ""), plain(terminal.shown)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("roost")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    python_part(options.port)
    shell_part(options.roost, options.port)
    print("README's first session: all as expected")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)
