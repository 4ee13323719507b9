"""What a disk may hold after a power cut, by the trace of recorder.c.

`Disk` follows the trace record by record. Of each page it knows what is durable and every version
since; of each folder the names that are durable and the changes since. `Disk.cut` picks one of the
states that a power cut may leave: per page, or per sector of 512 bytes, the content at some moment
since the last sync; sizes and names likewise, each name of a folder only certain once the folder
was synced. Pages are 4096 bytes, as the kernel writes them; a sector is never torn.
"""

import copy
import os
import struct

PAGE, SECTOR = 4096, 512
ZEROS = bytes(PAGE)
RECORD = struct.Struct("<IIQqQIi")
(WRITE, DURABLE, TRUNCATE, ALLOCATE, SYNC_BEGIN, SYNC_END, CREATE, MAKE_FOLDER, RENAME, UNLINK,
 LINK, UNSEEN, FAULT) = range(1, 14)
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
# LMDB's table of readers: written through a map, and made anew by who opens it first.
WRITTEN_THROUGH_A_MAP = "lock.mdb"


class Trace:
    """The records of a trace, in order: (kind, flags, inode, offset, length, result, bytes)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self._read(memoryview(file.read()))

    @classmethod
    def of(cls, data):
        """The trace of bytes, as `up_to` gave them."""
        trace = cls.__new__(cls)
        trace._read(memoryview(data))
        return trace

    def up_to(self, number):
        """The bytes of the first records."""
        return bytes(self.data[:self.ends[number - 1] if number else 0])

    def _read(self, data):
        self.records, self.ends, self.data, position = [], [], data, 0
        while position + RECORD.size <= len(data):
            kind, flags, inode, offset, length, count, result = RECORD.unpack_from(data, position)
            position += RECORD.size
            if position + count > len(data):
                break  # the process was killed while it wrote
            self.records.append(
                (kind, flags, inode, offset, length, result, data[position:position + count]))
            position += count
            self.ends.append(position)

    def __len__(self):
        return len(self.records)

    def moments(self):
        """The numbers of records around which most can go wrong: syncs, names, sizes."""
        return [number for number, record in enumerate(self.records, 1) if record[0] != WRITE]


class File:
    """A file's durable pages and size, and what came since."""

    def __init__(self):
        self.pages, self.size = {}, 0
        self.newer = {}        # page: [(number, start, end, bytes or None for zeros)]
        self.sizes = []        # [(number, size)]
        self.forced = {}       # page: the number up to which it is durable all the same

    @property
    def newest_size(self):
        return self.sizes[-1][1] if self.sizes else self.size

    def fill(self, data):
        """Takes `data` as durable."""
        self.size = len(data)
        for start in range(0, len(data), PAGE):
            page = bytes(data[start:start + PAGE])
            if page.count(0) != len(page):
                self.pages[start // PAGE] = page.ljust(PAGE, b"\0")

    def write(self, number, offset, length, data):
        """`data` is None for zeros."""
        end = offset + length
        for page in range(offset // PAGE, (end + PAGE - 1) // PAGE):
            first = max(offset, page * PAGE)
            last = min(end, (page + 1) * PAGE)
            piece = None if data is None else bytes(data[first - offset:last - offset])
            self.newer.setdefault(page, []).append(
                (number, first - page * PAGE, last - page * PAGE, piece))
        if end > self.newest_size:
            self.sizes.append((number, end))

    def zero(self, number, offset, length):
        """Zeros, without touching pages that are nothing else."""
        end = min(offset + length, self.newest_size)
        for page in sorted(self.pages.keys() | self.newer.keys()):
            first, last = max(offset, page * PAGE), min(end, (page + 1) * PAGE)
            if first < last:
                self.newer.setdefault(page, []).append(
                    (number, first - page * PAGE, last - page * PAGE, None))

    def resize(self, number, size):
        if size < self.newest_size:
            self.zero(number, size, self.newest_size - size)
        self.sizes.append((number, size))

    def sync(self, number):
        """All before `number` is durable."""
        for page in [page for page, pieces in self.newer.items() if pieces[0][0] < number]:
            pieces = self.newer.pop(page)
            kept = [piece for piece in pieces if piece[0] >= number]
            found = self.version(page, [p for p in pieces if p[0] < number])
            if found is not ZEROS:
                self.pages[page] = found
            else:
                self.pages.pop(page, None)
            if kept:
                self.newer[page] = kept
        while self.sizes and self.sizes[0][0] < number:
            self.size = self.sizes.pop(0)[1]
        self.forced = {page: n for page, n in self.forced.items() if n >= number}

    def force(self, number):
        """The write of that number is durable, and what lies on the same pages from before."""
        for page, pieces in self.newer.items():
            if any(piece[0] == number for piece in pieces):
                self.forced[page] = number
        if any(n == number for n, _ in self.sizes):
            while self.sizes and self.sizes[0][0] <= number:
                self.size = self.sizes.pop(0)[1]

    def version(self, page, pieces):
        """The page with these pieces over what is durable."""
        for at in range(len(pieces) - 1, -1, -1):
            if pieces[at][1] == 0 and pieces[at][2] == PAGE:
                whole = pieces[at][3] or ZEROS
                pieces = pieces[at + 1:]
                break
        else:
            whole = self.pages.get(page, ZEROS)
        if pieces:
            changed = bytearray(whole)
            for _, start, end, data in pieces:
                changed[start:end] = bytes(end - start) if data is None else data
            whole = bytes(changed)
        # One object for all pages of zeros: preallocated files have many.
        return ZEROS if whole == ZEROS else whole

    def cut(self, policy):
        """A state after a power cut: ({page: bytes}, size)."""
        policy.enter_file()
        pages = dict(self.pages)
        for page, pieces in self.newer.items():
            least = self.forced.get(page, 0)
            moments = policy.moments([piece[0] for piece in pieces], least)
            found = self.version(page, [p for p in pieces if p[0] <= moments[0]])
            if len(moments) > 1:
                versions = {m: self.version(page, [p for p in pieces if p[0] <= m])
                            for m in set(moments)}
                found = b"".join(versions[m][i * SECTOR:(i + 1) * SECTOR]
                                 for i, m in enumerate(moments))
            pages[page] = found
        size = self.size
        moment = policy.moment([number for number, _ in self.sizes])
        for number, newer in self.sizes:
            if number <= moment:
                size = newer
        return pages, size


class Folder:
    """A folder's durable names, and the changes since: [(number, name, node or None, target)].

    `target` is the folder into which a file was renamed whose name goes here.
    """

    def __init__(self):
        self.names, self.changes = {}, []

    def current(self):
        names = dict(self.names)
        for _, name, node, _ in self.changes:
            names[name] = node
        return {name: node for name, node in names.items() if node}

    def sync(self, number):
        while self.changes and self.changes[0][0] < number:
            _, name, node, _ = self.changes.pop(0)
            self.names[name] = node

    def has(self, number, policy):
        """Whether the change of that number is there."""
        is_open = any(change[0] == number for change in self.changes)
        return policy.takes(number) if is_open else True

    def cut(self, policy):
        names = dict(self.names)
        for number, name, node, target in self.changes:
            # A renamed file is never gone from both folders.
            if policy.takes(number) and (target is None or target.has(number, policy)):
                names[name] = node
        return {name: node for name, node in names.items() if node}


class Disk:
    """The files below a folder, as they follow from its state at first and the trace."""

    def __init__(self, root):
        """Takes the folder as it stands for durable."""
        self.number, self.base, self.unseen = 0, 0, set()
        # Syncs that are taken for lies, to test the test: of "files", of "folders".
        self.lies = ()
        self.root, self.nodes = Folder(), {}
        self.nodes[os.stat(root).st_ino] = self.root
        self._load(root, self.root)

    def _load(self, path, folder):
        for entry in os.scandir(path):
            node = Folder() if entry.is_dir() else File()
            self.nodes[entry.inode()] = folder.names[entry.name] = node
            if entry.is_dir():
                self._load(entry.path, node)
            else:
                with open(entry.path, "rb") as file:
                    node.fill(file.read())

    def _place(self, path):
        *folders, name = path.split("/")
        folder = self.root
        for part in folders:
            folder = folder.current()[part]
        return folder, name

    def follow(self, trace, end):
        """Goes on to the record number `end`."""
        while self.number < self.base + end:
            self.number += 1
            self._take(self.number, *trace.records[self.number - self.base - 1])

    def after_kill(self, path):
        """The same disk, now as the folder `path`, in which a new process goes on with a trace of
        its own: what wasn't durable still isn't."""
        disk = copy.deepcopy(self)
        disk.base = disk.number
        disk.nodes = {os.stat(path).st_ino: disk.root}
        for name, node in disk.names().items():
            disk.nodes[os.stat(os.path.join(path, name)).st_ino] = node
        return disk

    def _take(self, number, kind, flags, inode, offset, length, result, data):
        if kind in (WRITE, DURABLE, TRUNCATE, ALLOCATE):
            node = self.nodes[inode]
        if kind == WRITE:
            node.write(number, offset, length, data)
        elif kind == DURABLE:
            if "files" not in self.lies:
                node.force(self.base + offset)
        elif kind == TRUNCATE:
            node.resize(number, offset)
        elif kind == ALLOCATE:
            if flags & (PUNCH_HOLE | ZERO_RANGE):
                node.zero(number, offset, length)
            if not flags & KEEP_SIZE and offset + length > node.newest_size:
                node.sizes.append((number, offset + length))
        elif kind == SYNC_END:
            node = self.nodes[inode]
            is_lie = ("folders" if isinstance(node, Folder) else "files") in self.lies
            if result == 0 and not is_lie:
                node.sync(self.base + offset)
        elif kind in (CREATE, MAKE_FOLDER):
            folder, name = self._place(str(data, "utf-8"))
            self.nodes[inode] = node = Folder() if kind == MAKE_FOLDER else File()
            folder.changes.append((number, name, node, None))
        elif kind == UNLINK:
            folder, name = self._place(str(data, "utf-8"))
            folder.changes.append((number, name, None, None))
        elif kind in (RENAME, LINK):
            old, new = str(data, "utf-8").split("\0")
            source, old = self._place(old)
            target, new = self._place(new)
            node = source.current()[old]
            target.changes.append((number, new, node, None))
            if kind == RENAME:
                source.changes.append((number, old, None, target))
        elif kind == UNSEEN:
            self.unseen.add((inode, str(data, "utf-8")))

    def names(self):
        """{path: node} of all files and folders as the process sees them."""
        return dict(self._walk(self.root, "", lambda folder: folder.current()))

    def _walk(self, folder, prefix, names):
        for name, node in sorted(names(folder).items()):
            yield prefix + name, node
            if isinstance(node, Folder):
                yield from self._walk(node, f"{prefix}{name}/", names)

    def cut(self, policy, path):
        """Makes the folder `path`, which is empty, what a power cut leaves under that policy."""
        for name, node in self._walk(self.root, "", lambda folder: folder.cut(policy)):
            target = os.path.join(path, name)
            if isinstance(node, Folder):
                os.mkdir(target)
                continue
            pages, size = node.cut(policy)
            if name.endswith(WRITTEN_THROUGH_A_MAP):
                pages = policy.whatever(size)
            _store(target, pages, size)

    def difference(self, path):
        """How the folder differs from the trace's end; "" where it doesn't."""
        names = self.names()
        for name, node in names.items():
            found = os.path.join(path, name)
            if not os.path.exists(found):
                return f"{name} is missing"
            if isinstance(node, Folder) or name.endswith(WRITTEN_THROUGH_A_MAP):
                continue
            pages, size = node.cut(ALL)
            with open(found, "rb") as file:
                data = file.read()
            if len(data) != size:
                return f"{name} has {len(data)} bytes, by the trace {size}"
            for start in range(0, size, PAGE):
                wanted = pages.get(start // PAGE, ZEROS)[:size - start]
                if data[start:start + PAGE] != wanted:
                    return f"{name} differs at {start}"
        there = {os.path.relpath(os.path.join(base, name), path)
                 for base, folders, files in os.walk(path) for name in folders + files}
        return "".join(sorted(f"{name} is not in the trace " for name in there - names.keys()))


def _store(path, pages, size):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    run, start = [], None
    for page in sorted(pages):
        if page * PAGE >= size:
            break
        if pages[page] is ZEROS:
            continue
        if start is None or page != start + len(run):
            if run:
                os.pwrite(descriptor, b"".join(run), start * PAGE)
            run, start = [], page
        run.append(pages[page])
    if run:
        os.pwrite(descriptor, b"".join(run), start * PAGE)
    os.ftruncate(descriptor, size)
    os.close(descriptor)


class Everything:
    """All that was written is there."""

    def enter_file(self):
        pass

    def moments(self, numbers, least):
        return numbers[-1:]

    def moment(self, numbers):
        return numbers[-1] if numbers else 0

    def takes(self, number):
        return True

    def whatever(self, size):
        return {}


ALL = Everything()


class Policy:
    """How one power cut treats what isn't durable.

    `kind` is one of KINDS: `nothing` of it is there, `all` of it, all up to one `moment`, each
    file up to a moment of its own, or each page, or each sector. `names` is `ordered` (a journal:
    changes of names up to a moment), or `any` of them.
    """

    KINDS = ("nothing", "all", "moment", "files", "pages", "pages", "sectors", "sectors")

    def __init__(self, random, number):
        self.random = random
        self.kind = random.choice(self.KINDS)
        self.end = number
        self.common = self._recent()
        self.share = random.choice((0.05, 0.3, 0.5, 0.7, 0.95))
        self.names = random.choice(("nothing", "all", "ordered", "any"))
        self.taken = {}

    def __str__(self):
        return f"{self.kind}, names {self.names}"

    def _recent(self):
        """A moment shortly before the cut, where most lies that is open, or long before."""
        scale = self.random.choice((5, 40, 1_000))
        return max(0, self.end - int(self.random.expovariate(1 / scale)))

    def enter_file(self):
        """What follows is about another file."""
        self.moment_of_file = self._recent() if self.kind == "files" else self.common

    def _pick(self, numbers, least):
        if self.kind == "nothing":
            return least
        if self.kind == "all":
            return self.end
        if self.kind in ("moment", "files"):
            return max(least, self.moment_of_file)
        if self.random.random() < self.share:
            return numbers[-1]
        return max(least, self.random.choice([0, *numbers[:-1]]))

    def moments(self, numbers, least):
        """The moment that a page shows, or one for each of its sectors."""
        if self.kind == "sectors" and self.random.random() < 0.5:
            return [self._pick(numbers, least) for _ in range(PAGE // SECTOR)]
        return [self._pick(numbers, least)]

    def moment(self, numbers):
        """The moment whose size a file has."""
        return self._pick(numbers, 0) if numbers else 0

    def takes(self, number):
        """Whether a change of names is there."""
        if self.names in ("nothing", "all"):
            return self.names == "all"
        if self.names == "ordered":
            return number <= self.common
        if number not in self.taken:
            self.taken[number] = self.random.random() < self.share
        return self.taken[number]

    def whatever(self, size):
        """Pages that nobody may rely on."""
        if self.random.random() < 0.7:
            return {}
        return {page: self.random.randbytes(PAGE) for page in range((size + PAGE - 1) // PAGE)}
