// Reads tzdata's compiled files (TZif, RFC 9636) from the system's zoneinfo.

import Glibc

enum ZoneFile {
    private static let folder = "/usr/share/zoneinfo/"
    /// Largest file that is read; the largest of tzdata has a few kilobytes.
    private static let bytesMax = 256 * 1024

    /// The rules of a place; nil for names that tzdata lacks, and for files that are damaged.
    static func read(_ name: [UInt8]) -> ZoneRules? {
        guard isPlainName(name),
            let bytes = contents(folder + String(decoding: name, as: UTF8.self))
        else { return nil }
        return parse(bytes)
    }

    /// Letters, digits, `_`, `+`, `-` and single slashes inside: nothing that leaves the folder.
    /// The subfolders of other time scales are no zones.
    private static func isPlainName(_ name: [UInt8]) -> Bool {
        guard name.count <= 64, let first = name.first, first != UInt8(ascii: "/") else {
            return false
        }
        for byte in name {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "+"),
                UInt8(ascii: "-"), UInt8(ascii: "/"):
                continue
            default: return false
            }
        }
        return !name.starts(with: Array("posix".utf8)) && !name.starts(with: Array("right/".utf8))
    }

    private static func contents(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: bytesMax)
        var count = 0
        while count < bytes.count {
            // SAFETY: read() writes at most the number of bytes left in the buffer.
            let size = bytes.withUnsafeMutableBytes {
                Glibc.read(file, $0.baseAddress.map { $0 + count }, $0.count - count)
            }
            if size < 0 { return nil }
            if size == 0 { break }
            count += size
        }
        return Array(bytes.prefix(count))
    }

    /// The counts of a block and where its data begin.
    private struct Block {
        let transitions: Int
        let types: Int
        let characters: Int
        let leapSeconds: Int
        let standardFlags: Int
        let utcFlags: Int
        let start: Int

        func end(timeBytes: Int) -> Int {
            start + transitions * (timeBytes + 1) + types * 6 + characters
                + leapSeconds * (timeBytes + 4) + standardFlags + utcFlags
        }
    }

    private static func block(_ bytes: [UInt8], at start: Int) -> Block? {
        guard bytes.count >= start + 44,
            bytes[start..<start + 4].elementsEqual("TZif".utf8)
        else { return nil }
        let counts = (0..<6).map { Int(number(bytes, start + 20 + $0 * 4, 4)) }
        guard counts.allSatisfy({ (0...bytesMax).contains($0) }) else { return nil }
        return Block(
            transitions: counts[3], types: counts[4], characters: counts[5],
            leapSeconds: counts[2], standardFlags: counts[1], utcFlags: counts[0],
            start: start + 44)
    }

    /// Parses a file; only its 64-bit half counts.
    static func parse(_ bytes: [UInt8]) -> ZoneRules? {
        guard let old = block(bytes, at: 0), bytes[4] >= UInt8(ascii: "2"),
            let block = block(bytes, at: old.end(timeBytes: 4)), block.types > 0
        else { return nil }
        let end = block.end(timeBytes: 8)
        guard bytes.count > end, bytes[end] == 10 else { return nil }
        let indexes = block.start + block.transitions * 8
        let types = indexes + block.transitions
        var transitions: [Int64] = []
        var offsets: [Int32] = []
        for index in 0..<block.transitions {
            let type = Int(bytes[indexes + index])
            guard type < block.types else { return nil }
            transitions.append(number(bytes, block.start + index * 8, 8))
            offsets.append(Int32(truncatingIfNeeded: number(bytes, types + type * 6, 4)))
        }
        let footer = bytes[(end + 1)...].prefix { $0 != 10 }
        return ZoneRules(
            transitions: transitions, offsets: offsets,
            firstOffset: Int32(truncatingIfNeeded: number(bytes, types, 4)),
            future: RecurringRule(footer))
    }

    /// A signed big-endian integer of `size` bytes; the caller checked the bounds.
    private static func number(_ bytes: [UInt8], _ offset: Int, _ size: Int) -> Int64 {
        var value: Int64 = bytes[offset] >= 128 ? -1 : 0
        for byte in bytes[offset..<offset + size] { value = value << 8 | Int64(byte) }
        return value
    }
}
