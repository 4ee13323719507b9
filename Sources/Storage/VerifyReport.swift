/// What `verify` found.
package struct VerifyReport: Sendable {
    /// One fault.
    package struct Fault: Sendable, CustomStringConvertible {
        /// Where.
        package let table: TableID
        /// The key of the entry; empty where the fault is the table's.
        package let key: [UInt8]
        /// What is wrong.
        package let description: String
    }

    /// Tables walked.
    package internal(set) var tables = 0
    /// Entries looked at.
    package internal(set) var entries: UInt64 = 0
    /// Bytes of their keys and values.
    package internal(set) var bytes: UInt64 = 0
    /// Faults found; the first `faultsMax` of them are in `faults`.
    package internal(set) var faultCount: UInt64 = 0
    /// The first faults.
    package internal(set) var faults: [Fault] = []

    /// How many faults are kept.
    package static let faultsMax = 1000

    mutating func add(_ table: TableID, _ key: [UInt8], _ description: String) {
        faultCount += 1
        if faults.count < Self.faultsMax {
            faults.append(Fault(table: table, key: key, description: description))
        }
    }
}
