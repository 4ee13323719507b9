// Time zones: fixed distances from UTC, and places whose rules tzdata holds.
//
// A place's rules are read once in the process, from the system's zoneinfo, when an expression
// first names it; a look-up thereafter is a search among its transitions.

import BSON
import Synchronization

/// How far a place's clocks are ahead of UTC, at any time.
struct TimeZone: Sendable {
    /// Used where there are no rules.
    private let fixedOffset: Int64
    private let rules: ZoneRules?

    static let utc = TimeZone(fixedOffset: 0, rules: nil)

    /// Whether clocks always show UTC.
    var isUTC: Bool { rules == nil && fixedOffset == 0 }

    /// The zone of a name: "UTC", "GMT", `±hh`, `±hhmm`, `±hh:mm`, or one of tzdata's, as it is
    /// written there. Nil for other text. Reads a file at a name's first use in the process.
    init?(_ name: RawSpan) {
        if name.equals("UTC") || name.equals("GMT") {
            self = .utc
        } else if let offset = Self.fixedOffset(name) {
            self.init(fixedOffset: offset, rules: nil)
        } else {
            guard let rules = ZoneRules.shared([UInt8](copying: name)) else { return nil }
            self.init(fixedOffset: 0, rules: rules)
        }
    }

    /// A zone that is always `offsetSeconds` ahead of UTC.
    init(offsetSeconds: Int64) {
        self.init(fixedOffset: offsetSeconds, rules: nil)
    }

    private init(fixedOffset: Int64, rules: ZoneRules?) {
        self.fixedOffset = fixedOffset
        self.rules = rules
    }

    /// Seconds ahead of UTC at `seconds` since 1970.
    func offsetSeconds(at seconds: Int64) -> Int64 {
        rules.map { $0.offset(at: seconds) } ?? fixedOffset
    }

    /// What the place's clocks show at a time.
    func civil(_ millis: Int64) -> CivilTime {
        guard rules != nil else { return CivilTime(millis: millis, offsetSeconds: fixedOffset) }
        let seconds = CivilTime.floorDivide(millis, 1000).quotient
        return CivilTime(millis: millis, offsetSeconds: offsetSeconds(at: seconds))
    }

    /// The time at which the place's clocks show this; nil out of int64's range. Of two such times
    /// (clocks were put back) the first; what clocks skipped counts on with the old offset.
    func millis(_ civil: CivilTime) -> Int64? {
        guard let local = civil.millis else { return nil }
        let seconds = CivilTime.floorDivide(local, 1000).quotient
        let (millis, overflows) = local.subtractingReportingOverflow(
            offset(ofLocal: seconds) * 1000)
        return overflows ? nil : millis
    }

    private func offset(ofLocal seconds: Int64) -> Int64 {
        guard let rules else { return fixedOffset }
        let before = rules.offset(at: seconds - 86_400)
        let after = rules.offset(at: seconds + 86_400)
        if before == after || rules.offset(at: seconds - before) == before { return before }
        return rules.offset(at: seconds - after) == after ? after : before
    }

    /// Seconds of `±hh`, `±hhmm`, `±hh:mm`; minutes may be beyond 59 and hours beyond 23.
    private static func fixedOffset(_ name: RawSpan) -> Int64? {
        guard name.byteCount == 3 || name.byteCount == 5 || name.byteCount == 6 else { return nil }
        let sign = byte(name, 0)
        guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"),
            let hours = twoDigits(name, 1)
        else { return nil }
        var minutes: Int64 = 0
        if name.byteCount > 3 {
            if name.byteCount == 6, byte(name, 3) != UInt8(ascii: ":") { return nil }
            guard let number = twoDigits(name, name.byteCount - 2) else { return nil }
            minutes = number
        }
        let seconds = hours * 3600 + minutes * 60
        return sign == UInt8(ascii: "-") ? -seconds : seconds
    }

    private static func twoDigits(_ name: RawSpan, _ offset: Int) -> Int64? {
        let (high, low) = (byte(name, offset), byte(name, offset + 1))
        guard (48...57).contains(high), (48...57).contains(low) else { return nil }
        return Int64(high - 48) * 10 + Int64(low - 48)
    }

    private static func byte(_ name: RawSpan, _ offset: Int) -> UInt8 {
        // SAFETY: the caller compared the size with the offsets that it asks for.
        name.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
}

/// The time zones that one execution has named; spares it the process's table.
struct TimeZoneCache {
    private var names: [[UInt8]] = []
    private var zones: [TimeZone] = []
    private static let countMax = 16

    /// The zone of a name; nil for unknown ones.
    mutating func zone(_ name: RawSpan) -> TimeZone? {
        for index in names.indices {
            let known = names[index]
            if known.span.bytes.equals(name) { return zones[index] }
        }
        guard let zone = TimeZone(name) else { return nil }
        if names.count < Self.countMax {
            names.append([UInt8](copying: name))
            zones.append(zone)
        }
        return zone
    }
}

/// When a place's clocks changed, and how they will go on changing. Immutable.
final class ZoneRules: Sendable {
    /// Seconds since 1970, ascending, and the offset in seconds from each on.
    private let transitions: [Int64]
    private let offsets: [Int32]
    /// The offset before the first transition.
    private let firstOffset: Int32
    /// What holds after the last transition; nil where its offset stays.
    private let future: RecurringRule?

    init(
        transitions: [Int64], offsets: [Int32], firstOffset: Int32, future: RecurringRule?
    ) {
        self.transitions = transitions
        self.offsets = offsets
        self.firstOffset = firstOffset
        self.future = future
    }

    /// Seconds ahead of UTC at a time.
    func offset(at seconds: Int64) -> Int64 {
        guard let first = transitions.first, let last = transitions.last else {
            return future?.offset(at: seconds) ?? Int64(firstOffset)
        }
        if seconds < first { return Int64(firstOffset) }
        if seconds >= last, let future { return future.offset(at: seconds) }
        var low = 0
        var high = transitions.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if transitions[middle] <= seconds { low = middle } else { high = middle }
        }
        return Int64(offsets[low])
    }

    private static let table = Mutex<[[UInt8]: ZoneRules]>([:])

    /// The rules of a name; read at its first use. Names that are unknown are not kept.
    static func shared(_ name: [UInt8]) -> ZoneRules? {
        if let known = table.withLock({ $0[name] }) { return known }
        guard let rules = ZoneFile.read(name) else { return nil }
        table.withLock { $0[name] = rules }
        return rules
    }
}
