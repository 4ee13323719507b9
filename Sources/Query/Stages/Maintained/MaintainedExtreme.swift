// A least or greatest value from which values can be taken away again: all distinct values with how
// often each is there. The extreme itself is looked for only when it was taken away.

import BSON

/// The state of $min or $max over documents that come and go.
struct MaintainedExtreme {
    private struct Member {
        let value: OwnedValue
        var count: Int
    }

    private var members: [[UInt8]: Member] = [:]
    private var best: [UInt8]?
    private let isGreatest: Bool

    init(isGreatest: Bool) {
        self.isGreatest = isGreatest
    }

    /// Bytes of memory, about.
    var byteCount: Int { members.count * 128 }

    /// Adds (1) or takes away (-1) a value with its encoding. Nulls don't count.
    mutating func change(_ value: ValueRef, _ key: [UInt8], by sign: Int) {
        if value.isNullish { return }
        var member = members[key] ?? Member(value: OwnedValue(copying: value.view), count: 0)
        member.count += sign
        members[key] = member.count > 0 ? member : nil
        if sign > 0 {
            if let best, !isBetter(key, than: best) { return }
            best = key
        } else if member.count <= 0, best == key {
            best = nil
            for other in members.keys where best.map({ isBetter(other, than: $0) }) ?? true {
                best = other
            }
        }
    }

    private func isBetter(_ key: [UInt8], than other: [UInt8]) -> Bool {
        let order = key.span.bytes.compareBytes(other.span.bytes)
        return isGreatest ? order > 0 : order < 0
    }

    /// Appends the extreme, null where there is no value.
    func write(_ name: String, _ writer: inout DocumentWriter) {
        if let best, let value = members[best]?.value {
            writer.append(name, value)
        } else {
            writer.appendNull(name)
        }
    }
}
