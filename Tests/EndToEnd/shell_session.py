"""A whole session of `roost shell` in a pseudo-terminal, as a person has it, and its use in pipes.

    shell_session.py ROOST PORT [--record FILE]

Types at the shell of the binary ROOST, connected to the server at PORT, waits for what must appear,
and ends with status 1 where it doesn't. With --record everything that the terminal showed is kept.
"""

import argparse
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import fcntl
import time

import pymongo

DATABASE = "shell_session"


class Terminal:
    """A shell in a terminal of 100 by 30."""

    def __init__(self, command, environment):
        self.shown = ""
        self.seen = 0
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            os.environ.update(environment)
            os.execv(command[0], command)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))

    def type(self, text, enter=True):
        os.write(self.descriptor, (text + ("\r" if enter else "")).encode())

    def expect(self, pattern, seconds=20):
        """Waits until `pattern` appears behind what was already waited for."""
        end = time.monotonic() + seconds
        while True:
            text = plain(self.shown)
            match = re.compile(pattern).search(text, self.seen)
            if match:
                self.seen = match.end()
                return match
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                raise AssertionError(f"{pattern!r} did not appear behind:\n{text[self.seen:]}")

    def read(self, seconds):
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return False
        try:
            chunk = os.read(self.descriptor, 65536)
        except OSError:
            return False
        self.shown += chunk.decode(errors="replace")
        return bool(chunk)

    def end(self):
        """Waits for the process; its exit status."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pid, status = os.waitpid(self.process, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if not self.read(0.1):
                time.sleep(0.05)
        os.kill(self.process, signal.SIGKILL)
        raise AssertionError("the shell did not end")


def plain(text):
    """What a terminal shows, roughly: without escape sequences and carriage returns."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07", "", text)
    return text.replace("\r", "")


def session(terminal, orders):
    prompt = rf"{DATABASE}> "
    terminal.expect(r"Connected to 127\.0\.0\.1:\d+")
    terminal.expect(prompt)

    # Writes and a table.
    terminal.type('insert into orders { _id: 1, status: "open", total: 5 }, '
                  '{ _id: 2, status: "void", total: 150 }, { _id: 3, status: "open", total: 7.5 }')
    terminal.expect(r"n\s+nModified")
    terminal.expect(r"3\s+0")
    terminal.expect(r"1 row, [\d.]+ ms")
    terminal.type("from orders | sort -total | select { _id, status, total }")
    terminal.expect(r"_id\s+status\s+total")
    terminal.expect(r"2\s+void\s+150\n\s*3\s+open\s+7\.5\n\s*1\s+open\s+5")
    terminal.expect(r"3 rows")

    # Several lines: open brackets, and a pipeline that ends with `|`.
    terminal.type("from orders |")
    terminal.expect(r"\.\.\. ")
    terminal.type("group {")
    terminal.expect(r"\.\.\. ")
    terminal.type("n: count(), revenue: sum(total) }")
    terminal.expect(r"null\s+3\s+162\.5")

    # An error under the offending character, and the shell goes on.
    terminal.expect(prompt)
    terminal.type("from orders | limit x")
    caret = terminal.expect(r"\n( *)\^\nerror: .*whole number")
    assert len(caret.group(1)) == len(f"{DATABASE}> from orders | limit "), caret.group(0)
    terminal.type("from orders | where nope(1)")
    terminal.expect(r"error: .*no function 'nope'")
    # Under wide characters too, behind a `;`, and not where other lines lie between.
    terminal.expect(prompt)
    terminal.type('from orders | where status == "日本" && x y')
    caret = terminal.expect(r"\n( *)\^\nerror: .*found 'y'")
    assert len(caret.group(1)) == \
        len(f'{DATABASE}> from orders | where status == "日本" && x ') + 2, caret.group(0)
    terminal.expect(prompt)
    terminal.type("from orders |")
    terminal.expect(r"\.\.\. ")
    terminal.type("")
    terminal.expect(r"\nfrom orders \|\n {13}\^\nerror: .*expected 'where'")
    terminal.type("// nothing; at all")
    terminal.expect(prompt)
    terminal.type("from orders | count; from orders | limit 0")
    terminal.expect(r"count\n─+\n\s*3\n")
    terminal.expect(r"\nfrom orders \| limit 0\n {20}\^\nerror: ")
    # What goes wrong with a document has its place as well.
    terminal.type("from orders | select { x: status * 2 }")
    terminal.expect(r" {47}\^\nerror: .*'\*' only supports numeric types")
    terminal.type("insert into orders { _id: 8 }, { _id: 1 }, { _id: 9 }")
    terminal.expect(r" {46}\^\nerror: .*1 of 3 documents were inserted")
    terminal.type("delete from orders where _id == 8; from orders | where _id == 8 | count")
    terminal.expect(r"count\n─+\n\s*0\n")

    # mongosh's form.
    terminal.type("db.orders.find({total: {$gt: 6}}, {_id: 1}).sort({_id: -1}).limit(1)")
    terminal.expect(r"_id\n─+\n\s*3\n")
    terminal.type("db.orders.countDocuments({status: 'open'})")
    terminal.expect(r"\n2\n")
    terminal.type("db.orders.find({total: {$gt: }})")
    terminal.expect(r"\^\nerror: expected a value")

    for typed, shown in [
        ("db.made.insertOne({at: new Date(), id: ObjectId(), u: UUID()})",
         r'"acknowledged": true,\n  "insertedId": \{"\$oid":"[0-9a-f]{24}"\}'),
        ("db.made.insertMany([{_id: 1, n: NumberLong(5)}, {_id: 2, r: /x/i}])",
         r'"insertedIds": \{\n    "0": 1,\n    "1": 2'),
        ("db.made.updateMany({_id: 1}, {$inc: {n: 1}})", r'"matchedCount": 1,\n  "modifiedCount": 1'),
        ("db.made.findOneAndUpdate({_id: 1}, {$inc: {n: 1}}, {returnDocument: 'after'})",
         r'"_id": 1,\n  "n": 7\n'),
        ("db.made.findOne({_id: 9}, null)", r"\nnull\n"),
        ("db.made.bulkWrite([{deleteOne: {filter: {_id: 2}}}, {insertOne: {document: {_id: 3}}}])",
         r'"insertedCount": 1(.|\n)*"deletedCount": 1'),
        ("db.made.find().sort({_id: 1}).limit(1).toArray()", r"_id\s+n\n"),
        ("db.made.find().forEach(printjson)", r"\^\nerror: forEach\(\) runs JavaScript"),
        ("db.made.createIndex({n: 1})", r'"numIndexesAfter": 2'),
        ("db.made.explain('executionStats').find({n: 7})",
         r"└ IXSCAN on n_1 \{\"n\":1\}: 1 row, 1 key\n(.|\n)*Examined 1 keys and 1 documents"),
        ("db.made.renameCollection('kept')", r"\nok\n"),
        ("db.getCollectionNames()", r"\nkept\n"),
        # A part of a result, and no other collection.
        ("db.kept.insertOne({_id: 77, l: [{v: 'deep'}]}).insertedId", r"\n77\n"),
        ("db.kept.findOne({_id: 77}).l[0].v", r"\ndeep\n"),
        ("db.kept.findOne({_id: 77}).nope", r"\nundefined\n"),
        ("db.kept.find({_id: 77}).toArray().length", r"\n1\n"),
        ("db.kept.deleteMany({_id: 77}).deletedCount", r"\n1\n"),
        ("db.kept.find().length", r"\^\nerror: a cursor has no fields"),
        ("db.getCollectionNames().length", r"\n\d+\n"),
        ("db.kept.drop(); db.version()", r"8\.\d"),
    ]:
        terminal.type(typed)
        terminal.expect(shown)

    # Completion of keywords, collections and fields.
    terminal.expect(prompt)
    terminal.type("from ord\t", enter=False)
    terminal.expect(r"from orders ")
    terminal.type("| wh\t", enter=False)
    terminal.expect(r"where ")
    terminal.type("stat\t", enter=False)
    terminal.expect(r"status ")
    terminal.type('== "void"')
    terminal.expect(r"2\s+void\s+150")

    # Ctrl-C gives a line up.
    terminal.expect(prompt)
    terminal.type("from orders | where", enter=False)
    terminal.expect("where")
    terminal.type("\x03", enter=False)
    terminal.expect(r"\^C")
    terminal.expect(prompt)

    # Ctrl-C cancels a running query, and the shell lives on.
    # Each of the documents looks at all of them: minutes, on any machine.
    terminal.type("from big | join big on i == other as x | count")
    terminal.expect("count")
    time.sleep(1.0)
    terminal.type("\x03", enter=False)
    terminal.expect(r"cancelled")
    terminal.type("from orders | count")
    terminal.expect(r"count\n─+\n\s*3\n")

    # A page at a time: the lines of the screen count, and Ctrl-C stops as q does.
    terminal.type("from big | select { i }")
    terminal.expect(r"-- 26 rows so far; Space shows more, q stops --")
    terminal.type(" ", enter=False)
    terminal.expect(r"-- 52 rows so far; Space shows more, q stops --")
    terminal.type("q", enter=False)
    terminal.expect(r"52 rows, ")
    terminal.type("from big | select { i }")
    terminal.expect(r"-- 26 rows so far")
    terminal.type("\x03", enter=False)
    terminal.expect(r"26 rows, ")
    # Rows of several lines: 14 with their ruler do not fit twice.
    names = ", ".join(f"name{n:02}: i" for n in range(20))
    terminal.type("from big | select { %s }" % names)
    terminal.expect(r"-- 1 row so far; Space shows more")
    terminal.type("q", enter=False)
    terminal.expect(r"1 row, ")

    # The history, commands, another database.
    terminal.type("\x1b[A", enter=False)
    terminal.expect(r"name19: i \}")
    terminal.type("\x03", enter=False)
    terminal.expect(r"\^C")
    terminal.type(".help")
    terminal.expect(r"The text language:")
    terminal.type(".explain from orders | where _id == 1")
    terminal.expect(r"EXPRESS_IXSCAN|IDHACK|IXSCAN")
    terminal.type("explain full from orders | where total > 6 && status == 'open'")
    terminal.expect(r"COLLSCAN: 1 row, 3 documents\n")
    terminal.expect(r"Advice: Every document is read")
    terminal.type("show profile")
    terminal.expect(r"no rows")
    # A live result, drawn again where it is.
    terminal.type(".watch db.orders.find({ total: { $gt: 6 } }).sort({ total: 1 }).limit(5)")
    terminal.expect(r"3\s+open\s+7\.5\n\s*2\s+void\s+150\n-- live: 2 rows, 0 changes; Ctrl-C ends --")
    orders.update_one({"_id": 2}, {"$set": {"total": 7}})
    terminal.expect(r"2\s+void\s+7\n\s*3\s+open\s+7\.5\n-- live: 2 rows, 1 change; ")
    terminal.type("\x03", enter=False)
    terminal.expect(prompt)
    # A statement that begins with `live` is drawn as well.
    terminal.type("live from orders | where total > 6 | sort total")
    terminal.expect(r"2\s+void\s+7\n\s*3\s+open\s+7\.5\n-- live: 2 rows, 0 changes; ")
    orders.update_one({"_id": 2}, {"$set": {"total": 150}})
    terminal.expect(r"3\s+open\s+7\.5\n\s*2\s+void\s+150\n-- live: 2 rows, 1 change; ")
    terminal.type("\x03", enter=False)
    terminal.expect(prompt)
    terminal.type(".format json")
    terminal.type("from orders | where _id == 1")
    terminal.expect(r'\{"_id":1,"status":"open","total":5\}')
    terminal.type("show collections")
    terminal.expect(r"big\norders\n")
    terminal.type("use other")
    terminal.expect(r"other> ")
    terminal.type(".quit")
    status = terminal.end()
    assert status == 0, f"status {status}"


def pipes(roost, uri):
    """-e, standard input, formats and exit codes."""
    def run(*arguments, text=None):
        result = subprocess.run([roost, "shell", *arguments], input=(text or "").encode(),
                                capture_output=True, timeout=60)
        result.stdout, result.stderr = result.stdout.decode(), result.stderr.decode()
        return result

    answer = run(uri, "--json", "-e", "from orders | where _id == 1")
    assert (answer.returncode, answer.stdout) == \
        (0, '{"_id":1,"status":"open","total":5}\n'), answer
    answer = run(uri, "--csv", "-e", "from orders | sort _id | select { _id, status }")
    assert answer.stdout == "_id,status\r\n1,open\r\n2,void\r\n3,open\r\n", answer
    answer = run(uri, "--json", text="from orders\n| where total > 100\n| select { _id };\n"
                                     "db.orders.countDocuments({})\n")
    assert (answer.returncode, answer.stdout) == (0, '{"_id":2}\n3\n'), answer
    answer = run(uri, text="from orders | whre a\nfrom orders\n")
    assert answer.returncode == 1 and answer.stdout == "", answer
    assert "\n              ^" in answer.stderr, answer
    # Errors count the lines of the input.
    answer = run(uri, text="// a script\nfrom orders | count\n\nfrom orders | limit x\n")
    assert "error: line 4, column 21: " in answer.stderr, answer
    answer = run(uri, text="\n\ndb.orders.insertOne({_id: 1})\n")
    assert "error: line 3: E11000" in answer.stderr, answer
    answer = run(uri, "--json", "--param", "min=100", "--param", "s=void", "-e",
                 "from orders | where total > $min && status == $s | select { _id }")
    assert (answer.returncode, answer.stdout) == (0, '{"_id":2}\n'), answer
    answer = run(uri, "--json", text=".param min 100\n.param s void\n.param\n"
                                     "from orders | where total > $min && status == $s | count\n")
    assert answer.stdout == '$min = 100\n$s = "void"\n{"count":1}\n', answer
    # The events of a live query come one by one.
    for statement in "live from orders", ".watch from orders":
        live = subprocess.Popen([roost, "shell", uri, "-e", statement], stdout=subprocess.PIPE)
        try:
            lines = [live.stdout.readline() for _ in range(4)]
        finally:
            live.kill()
            live.wait()
        assert [line.split(b'"')[3] for line in lines] == [b"added"] * 3 + [b"ready"], lines
    answer = run(uri, "-e", "// only a comment")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", ""), answer
    answer = run(uri, "--json", "-e", "from orders | count; db.orders.countDocuments() // both")
    assert (answer.returncode, answer.stdout) == (0, '{"count":3}\n3\n'), answer
    answer = run(uri, "--json", "-e", "explain from orders | where total == 5")
    assert answer.stdout.startswith('{"explainVersion"') and answer.stdout.count("\n") == 1, answer
    # A reader that has enough ends the shell quietly, long before all is read.
    answer = subprocess.run(
        ["bash", "-c", f"'{roost}' shell '{uri}' --json -e 'from big' -e 'from big' | head -n 2; "
         'echo "${PIPESTATUS[0]}"'], capture_output=True, timeout=60)
    assert answer.stdout.decode().split("\n")[2] == "0" and answer.stderr == b"", answer
    answer = run("mongodb://127.0.0.1:1/x", "-e", "from x")
    assert answer.returncode == 2, answer
    assert "cannot connect to 127.0.0.1:1: Connection refused" in answer.stderr, answer
    assert "roost serve" in answer.stderr and "errno" not in answer.stderr, answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("roost")
    parser.add_argument("port", type=int)
    parser.add_argument("--record", help="keep what the terminal showed in this file")
    options = parser.parse_args()

    uri = f"mongodb://127.0.0.1:{options.port}/{DATABASE}"
    client = pymongo.MongoClient(uri)
    client.drop_database(DATABASE)
    big = client[DATABASE].big
    for start in range(0, 200_000, 20_000):
        big.insert_many([{"_id": i, "i": i} for i in range(start, start + 20_000)])

    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal(
            [options.roost, "shell", uri],
            {"ROOST_HISTORY": folder + "/history", "TERM": "xterm", "LANG": "C.UTF-8",
             "LC_ALL": "C.UTF-8"})
        try:
            session(terminal, client[DATABASE].orders)
        finally:
            if options.record:
                with open(options.record, "w") as file:
                    file.write(terminal.shown)
        with open(folder + "/history") as file:
            assert "from" in file.read(), "the history was not kept"
    pipes(options.roost, uri)
    client.drop_database(DATABASE)
    print("the shell's session: all as expected")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)
