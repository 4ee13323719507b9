"""What clients did, what was acknowledged when, and what a folder may therefore hold.

An operation is a row of steps, each of which takes lines away and adds lines, in the form in which
FolderDump says what a folder holds. An acknowledged operation is there with all its steps, from the
record of the trace on that the client saw after its acknowledgement; one that is under way with the
first few of them, or none. Each line belongs to one client (`owner`), whose operations follow each
other; so what is allowed is known exactly.
"""

import re
import zlib

import bson

OWNER = re.compile(r"^(?:doc|trash) \S+ (\d+)-|^\S+ \w+\.w(\d+)_")


def owner(line):
    """The client whose line it is; None for nobody's."""
    found = OWNER.match(line)
    return int(found[1] or found[2]) if found else None


def doc(namespace, document):
    """The line of a document."""
    return f"doc {namespace} {document['_id']} {zlib.crc32(bson.encode(document))}"


class Operation:
    """Steps: [(lines gone, lines come)]. `begun` and `ended` are numbers of records."""

    def __init__(self, steps, begun, what):
        self.steps = [(frozenset(gone), frozenset(come)) for gone, come in steps]
        self.begun, self.ended, self.what = begun, None, what


class Client:
    """The operations of one client, in order."""

    def __init__(self, number):
        self.number, self.operations = number, []


def toggle(lines, step, back=False):
    """`lines` behind a step, or before it."""
    gone, come = step[::-1] if back else step
    return (lines - gone) | come


class Expectation:
    """What a power cut at a record may leave; goes on through the trace."""

    def __init__(self, clients, may_lose=False):
        """`may_lose`: the last acknowledged operations of each client may be gone."""
        self.clients, self.may_lose = clients, may_lose
        self.lines = {client.number: set() for client in clients}
        self.done = {client.number: 0 for client in clients}

    def advance(self, number):
        """What was acknowledged by the record `number` is certain."""
        for client in self.clients:
            done = self.done[client.number]
            while done < len(client.operations):
                operation = client.operations[done]
                if operation.ended is None or operation.ended > number:
                    break
                for gone, come in operation.steps:
                    self.lines[client.number] -= gone
                    self.lines[client.number] |= come
                done += 1
            self.done[client.number] = done
        self.number = number

    @property
    def acknowledged(self):
        return sum(self.done.values())

    def problems(self, found):
        """What is wrong with a folder that holds the lines `found`."""
        wanted = set().union(*self.lines.values())
        differences = {}
        for line in found ^ wanted:
            differences.setdefault(owner(line), set()).add(line)
        strange = differences.pop(None, set())
        problems = [f"nobody's: {line}" for line in sorted(strange)]
        for client in self.clients:
            if client.number in differences:
                problems += self._problems(client, differences[client.number], found)
        return problems

    def _problems(self, client, difference, found):
        base = self.lines[client.number]
        lines = base ^ difference
        done = self.done[client.number]
        under_way = ""
        if done < len(client.operations):
            operation = client.operations[done]
            under_way = operation.what
            state = base
            for step in operation.steps if operation.begun <= self.number else ():
                state = toggle(state, step)
                if state == lines:
                    return []
        if self.may_lose:
            state = base
            for operation in reversed(client.operations[:done]):
                for step in reversed(operation.steps):
                    state = toggle(state, step, back=True)
                    if state == lines:
                        return []
        last = client.operations[done - 1].what if done else "nothing"
        return [
            f"client {client.number}, acknowledged last: {last}; "
            f"under way: {under_way or 'nothing'}",
            *(f"    {'not expected' if line in found else 'missing'}: {line}"
              for line in sorted(difference)[:10])]
