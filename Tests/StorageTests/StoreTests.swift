import Glibc
import Testing

@testable import Storage

@Suite struct StoreTests {
    @Test func storesAndReads() throws {
        let folder = TemporaryFolder()
        let store = try LMDBStore.open(path: folder.path)
        let table = try store.perform { txn in
            let table = try txn.createTable()
            for index in 0..<100 {
                try txn.put(table, key: [UInt8(index)].span.bytes, value: [1, 2, 3].span.bytes)
            }
            return table
        }
        let reader = try store.makeReader()
        let count = try reader.read { txn throws(StorageError) -> UInt64 in
            try txn.entryCount(table)
        }
        #expect(count == 100)
        let value = try reader.read { txn throws(StorageError) -> [UInt8]? in
            try txn.copy(table, [5])
        }
        #expect(value == [1, 2, 3])
        let keys = try reader.read { txn throws(StorageError) -> [UInt8] in
            var keys: [UInt8] = []
            var cursor = try txn.cursor(table)
            var found = try cursor.seek(to: [90].span.bytes)
            while found {
                keys += Array(copying: cursor.key)
                found = try cursor.next()
            }
            return keys
        }
        #expect(keys == Array(90..<100))
    }
}
