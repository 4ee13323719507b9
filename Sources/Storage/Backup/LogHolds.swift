import CChecksum
import Glibc
import Synchronization

/// The file `redo/holds`: from where on each backup needs the log, so that it is kept over
/// restarts. A line each: name, segment, offset, CRC, sequence; the last line is the CRC-32C of
/// those before. A file that isn't whole counts as none: backups then begin anew.
enum LogHolds {
    private static let name = "holds"
    /// Backups that the log may be kept for.
    static let countMax = 16

    /// Reads a folder's holds.
    static func read(_ folder: LogFolder) -> [String: LogPlace] {
        guard let file = try? File("\(folder.path)/\(name)"),
            let bytes = try? file.read(64 << 10, at: 0)
        else { return [:] }
        var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let last = lines.popLast(), UInt32(last) == checksum(text(lines)) else { return [:] }
        var holds: [String: LogPlace] = [:]
        for line in lines {
            let fields = line.split(separator: " ")
            guard fields.count == 5, let segment = UInt64(fields[1]), let offset = Int(fields[2]),
                let crc = UInt32(fields[3]), let sequence = UInt64(fields[4])
            else { return [:] }
            holds[String(fields[0])] = LogPlace(
                segment: segment, offset: offset, crc: crc, sequence: sequence)
        }
        return holds
    }

    /// When a folder's holds were last written, in milliseconds since 1970; 0 where that isn't known.
    static func writtenMillis(_ folder: LogFolder) -> Int64 {
        var status = stat()
        guard stat("\(folder.path)/\(name)", &status) == 0 else { return 0 }
        return Int64(status.st_mtim.tv_sec) * 1_000
    }

    /// Removes a folder's holds.
    static func remove(_ folder: LogFolder) { unlink("\(folder.path)/\(name)") }

    /// Replaces a folder's holds, durably.
    static func write(_ holds: [String: LogPlace], _ folder: LogFolder) throws(StorageError) {
        let lines = holds.sorted { $0.key < $1.key }.map { name, place in
            "\(name) \(place.segment) \(place.offset) \(place.crc) \(place.sequence)"
        }
        let body = text(lines)
        let path = "\(folder.path)/\(name)"
        unlink("\(path).part")
        let file = try File("\(path).part", create: true)
        try file.write(Array("\(body)\(checksum(body))\n".utf8), at: 0)
        try file.sync()
        guard rename("\(path).part", path) == 0 else {
            throw .ioError(operation: "rename \(path)", errno: errno)
        }
        try FileSystem.sync(folder.path)
    }

    private static func text(_ lines: some Collection<some StringProtocol>) -> String {
        lines.map { "\($0)\n" }.joined()
    }

    private static func checksum(_ text: String) -> UInt32 {
        Array(text.utf8).withUnsafeBytes { roost_crc32c(0, $0.baseAddress, $0.count) }
    }
}

extension RedoLog.Shared {
    /// Takes out of the kept segments those that no backup needs, after letting go of the backups
    /// that are furthest behind where there are too many bytes.
    mutating func takeUnneeded(keptBytesMax: Int) -> [LogSegment] {
        while let floor = holds.values.map(\.segment).min(),
            kept.reduce(0, { $0 + ($1.number >= floor ? $1.byteCount : 0) }) > keptBytesMax
        {
            holds = holds.filter { $0.value.segment > floor }
            holdsChanged = true
        }
        let floor = holds.values.map(\.segment).min() ?? .max
        let unneeded = kept.filter { $0.number < floor }
        kept.removeAll { $0.number < floor }
        return unneeded
    }

    /// When each backup that the log is kept for last said how far it is.
    var backups: [String: Int64] { heldAt.filter { holds[$0.key] != nil } }

    /// Keeps the log for no backup any more.
    mutating func dropHolds() {
        if holds.isEmpty { return }
        holds = [:]
        holdsChanged = true
    }
}

extension RedoLog {
    /// Keeps the log from here on for the backup of that name; answers the sequence of the next
    /// record. Any thread, as all that follows.
    func hold(_ name: String) throws(StorageError) -> UInt64 {
        let sequence = shared.withLock { state -> UInt64? in
            guard state.holds[name] != nil || state.holds.count < LogHolds.countMax else {
                return nil
            }
            state.holds[name] = state.settled
            state.heldAt[name] = Clock.wallMillis()
            state.holdsChanged = true
            return state.settled.sequence
        }
        guard let sequence else {
            throw .tooManyHolds(max: LogHolds.countMax)
        }
        try storeHolds()
        return sequence
    }

    /// Moves a hold on to a place that a shipper came to, or removes it.
    func moveHold(_ name: String, to place: LogPlace?) throws(StorageError) {
        shared.withLock { state in
            guard state.holds[name] != nil else { return }
            state.holds[name] = place
            state.heldAt[name] = place == nil ? nil : Clock.wallMillis()
            state.holdsChanged = true
        }
        try storeHolds()
    }

    /// Writes the holds down if they changed.
    func storeHolds() throws(StorageError) {
        // One at a time, or an older list could replace a newer one.
        let failure = holdsFile.withLock { _ -> StorageError? in
            let holds = shared.withLock { state -> [String: LogPlace]? in
                defer { state.holdsChanged = false }
                return state.holdsChanged ? state.holds : nil
            }
            guard let holds else { return nil }
            do throws(StorageError) {
                try LogHolds.write(holds, folder)
                return nil
            } catch {
                return error
            }
        }
        if let failure, case .diskFull = failure { return }
        if let failure { throw failure }
    }

    /// What a shipper reads: the segments that hold records, in their order, from where on the
    /// backup needs them, and up to where they can't change any more.
    func shippable(
        _ name: String
    ) -> (segments: [LogSegment], from: LogPlace, settled: LogPlace, syncedSequence: UInt64)? {
        shared.withLock { state in
            guard let from = state.holds[name] else { return nil }
            let used = (state.kept + state.live).filter { $0.number >= from.segment }
            return (used, from, state.settled, state.syncedSequence)
        }
    }
}
