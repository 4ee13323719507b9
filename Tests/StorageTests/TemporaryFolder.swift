import Glibc

@testable import Storage

/// A new folder that goes away with its last user.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        path = "/tmp/roost-storage-\(getpid())-\(UInt64.random(in: .min ... .max))"
        mkdir(path, 0o700)
    }

    deinit {
        let log = LogFolder(of: path)
        log.clear()
        unlink("\(log.path)/holds")
        rmdir(log.path)
        for folder in ["\(path)/new", path] {
            for name in ["data.mdb", "lock.mdb", "roost.lock", CheckpointFile.name] {
                unlink("\(folder)/\(name)")
            }
            rmdir(folder)
        }
    }
}

extension ReadableTransaction where Self: ~Copyable {
    /// A copy of the value under a key.
    func copy(_ table: TableID, _ key: [UInt8]) throws(StorageError) -> [UInt8]? {
        guard let value = try value(table, key.span.bytes) else { return nil }
        return Array(copying: value)
    }

    /// Copies of all entries, walked forward.
    func all(_ table: TableID) throws(StorageError) -> [Pair] {
        var pairs: [Pair] = []
        var cursor = cursor(table)
        while try cursor.next() {
            pairs.append(
                Pair(key: Array(copying: cursor.key), value: Array(copying: try cursor.value())))
        }
        return pairs
    }
}

extension WritableTransaction where Self: ~Copyable {
    mutating func put(_ table: TableID, _ key: [UInt8], _ value: [UInt8]) throws(StorageError) {
        try put(table, key: key.span.bytes, value: value.span.bytes)
    }

    mutating func insert(
        _ table: TableID, _ key: [UInt8], _ value: [UInt8]
    ) throws(StorageError) -> Bool {
        try insert(table, key: key.span.bytes, value: value.span.bytes)
    }

    mutating func append(_ table: TableID, _ key: [UInt8], _ value: [UInt8]) throws(StorageError) {
        try append(table, key: key.span.bytes, value: value.span.bytes)
    }

    mutating func delete(_ table: TableID, _ key: [UInt8]) throws(StorageError) -> Bool {
        try delete(table, key: key.span.bytes)
    }
}

extension LMDBStore.Reader {
    /// The number of the newest commit.
    func newestSnapshot() -> UInt64 {
        read { (txn: borrowing ReadTransaction) in txn.snapshotID }
    }

    func all(_ table: TableID) throws(StorageError) -> [Pair] {
        try read { txn throws(StorageError) in try txn.all(table) }
    }

    func copy(_ table: TableID, _ key: [UInt8]) throws(StorageError) -> [UInt8]? {
        try read { txn throws(StorageError) in try txn.copy(table, key) }
    }
}

struct Pair: Equatable, Sendable {
    var key: [UInt8]
    var value: [UInt8]
}

/// A failure that only tests throw.
struct Refusal: Error, Equatable {
    var number = 0
}

/// Repeatable random numbers.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) {
        state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

/// A number as a key that sorts by value.
func key(_ number: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
}

/// Milliseconds after which a test stops waiting for what must come; long, as a busy machine's disk
/// may stall for seconds.
let waitMillisMax: UInt64 = 120_000

/// Returns as soon as `isDone` says so, or after `waitMillisMax`.
func waitUntil(_ isDone: () -> Bool) {
    for _ in 0..<waitMillisMax / 10 where !isDone() { usleep(10_000) }
}

/// Runs `body` on threads of its own and waits for them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let done = Monitor(0)
    final class Start: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    for index in 0..<count {
        let start = Start {
            body(index)
            done.withLock { $0 += 1 }
            done.wake()
        }
        var id = pthread_t()
        pthread_create(
            &id, nil,
            { argument in
                if let argument {
                    Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().run()
                }
                return nil
            }, Unmanaged.passRetained(start).toOpaque())
        pthread_detach(id)
    }
    _ = done.wait(timeoutMillis: nil) { $0 == count ? true : nil }
}
