import Glibc
import Testing

@testable import Storage

/// A process killed in the middle of its writes loses nothing that was acknowledged.
@Suite(.serialized) struct KillTests {
    /// Bytes of a record in the file of acknowledgements.
    private static let recordBytes = 8

    @Test(arguments: [5, 20, 40, 80, 160])
    func acknowledgedWritesSurvive(millis: Int) async throws {
        let folder = TemporaryFolder()
        let acknowledged = "\(folder.path)/acknowledged"
        defer { unlink(acknowledged) }
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [
                path = folder.path as String, acknowledged = acknowledged as String,
                millis = millis as Int
            ] in
            try KillTests.writeUntilKilled(path, acknowledged, UInt32(millis))
        }
        let store = try LMDBStore.open(path: folder.path)
        let numbers = try Self.read(acknowledged)
        let reader = try store.makeReader()
        for number in numbers {
            #expect(try reader.copy(.catalog, key(number)) == key(number))
        }
        // An operation is there as a whole or not at all.
        for pair in try reader.all(.catalog) {
            #expect(try reader.copy(.firstFree, pair.key) == pair.value)
        }
        #expect(try store.verify().faultCount == 0)
        try store.perform { txn in try txn.put(.catalog, [1], [1]) }
    }

    /// Writes to two tables without end and notes each acknowledgement; runs in the child.
    private static func writeUntilKilled(
        _ path: String, _ acknowledged: String, _ millis: UInt32
    ) throws {
        let store = try LMDBStore.open(path: path)
        let table = try store.perform { txn in try txn.createTable() }
        let descriptor = Glibc.open(acknowledged, O_CREAT | O_WRONLY | O_APPEND, 0o600)
        onThreads(3) { thread in
            if thread == 0 {
                usleep(millis * 1000)
                kill(getpid(), SIGKILL)
            }
            for number in 0..<1_000_000 {
                let bytes = key(thread << 32 | number)
                let isDurable = Result {
                    try store.perform { txn in
                        try txn.put(.catalog, bytes, bytes)
                        try txn.put(table, bytes, bytes)
                    }
                }
                guard case .success = isDurable else { return }
                _ = write(descriptor, bytes, bytes.count)
            }
        }
    }

    private static func read(_ path: String) throws -> [Int] {
        let descriptor = Glibc.open(path, O_RDONLY)
        guard descriptor >= 0 else { return [] }
        defer { Glibc.close(descriptor) }
        var numbers: [Int] = []
        var record = [UInt8](repeating: 0, count: recordBytes)
        while Glibc.read(descriptor, &record, recordBytes) == recordBytes {
            numbers.append(record.reduce(0) { $0 << 8 | Int($1) })
        }
        return numbers
    }
}
