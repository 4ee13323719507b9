// Paths of update operators: dotted names with `$`, `$[]` and `$[identifier]` among them.

import BSON

/// One segment of an update's path.
enum UpdateSegment: Hashable, Sendable {
    /// A field's name, or an array position when the document has an array there.
    case name([UInt8])
    /// `$`: the element that the query matched.
    case positional
    /// `$[]`: every element.
    case all
    /// `$[identifier]`: the elements that the array filter of that name accepts.
    case filtered(String)

    /// The segment as written.
    var text: String {
        switch self {
        case .name(let bytes): String(decoding: bytes, as: UTF8.self)
        case .positional: "$"
        case .all: "$[]"
        case .filtered(let identifier): "$[\(identifier)]"
        }
    }
}

/// A path of an update operator, checked and split.
struct UpdatePath: Hashable, Sendable {
    /// The segments; never empty.
    let segments: [UpdateSegment]
    /// The path as written.
    let dotted: String

    /// Splits a path and checks it.
    ///
    /// - Throws: 56 for an empty name, 2 for positional segments in first place or several `$`.
    init(_ dotted: String) throws(DBError) {
        try self.init(utf8: Array(dotted.utf8).span.bytes)
    }

    /// The same, from UTF-8.
    init(utf8 bytes: RawSpan) throws(DBError) {
        dotted = String(utf8: bytes)
        guard !bytes.isEmpty else {
            throw DBError(.emptyFieldName, "An empty update path is not valid.")
        }
        var segments: [UpdateSegment] = []
        var rest = [UInt8](copying: bytes)[...]
        while true {
            let part = rest.prefix { $0 != UInt8(ascii: ".") }
            guard !part.isEmpty else {
                throw DBError(
                    .emptyFieldName,
                    "The update path '\(dotted)' contains an empty field name, which is not allowed."
                )
            }
            segments.append(UpdatePath.segment(Array(part)))
            guard part.endIndex < rest.endIndex else { break }
            rest = rest[(part.endIndex + 1)...]
        }
        self.segments = segments
        switch segments[0] {
        case .positional:
            throw DBError(
                .badValue,
                "Cannot have positional (i.e. '$') element in the first position in path "
                    + "'\(dotted)'.")
        case .all, .filtered:
            throw DBError(
                .badValue,
                "Cannot have array filter identifier (i.e. '$[<id>]') element in the first "
                    + "position in path '\(dotted)'.")
        case .name: break
        }
        guard segments.count < 2 || segments.count(where: { $0 == .positional }) <= 1 else {
            throw DBError(
                .badValue, "Too many positional (i.e. '$') elements found in path '\(dotted)'.")
        }
    }

    /// A path whose segments are all plain names: those of a query's equalities.
    init(names dotted: String) {
        self.dotted = dotted
        segments = dotted.utf8.split(separator: 46, omittingEmptySubsequences: false).map {
            .name(Array($0))
        }
    }

    /// Whether a segment is `$`, `$[]` or `$[identifier]`.
    var isDynamic: Bool {
        segments.contains { segment in
            if case .name = segment { false } else { true }
        }
    }

    /// Whether the path begins at `_id`.
    var isWithinID: Bool {
        guard case .name(let name) = segments[0], name.count == 3 else { return false }
        return name.span.bytes.equals("_id")
    }

    private static func segment(_ part: [UInt8]) -> UpdateSegment {
        let dollar = UInt8(ascii: "$")
        guard part[0] == dollar else { return .name(part) }
        if part.count == 1 { return .positional }
        guard part.count >= 3, part[1] == UInt8(ascii: "["), part.last == UInt8(ascii: "]") else {
            return .name(part)
        }
        if part.count == 3 { return .all }
        return .filtered(String(decoding: part[2..<part.count - 1], as: UTF8.self))
    }

    /// An update's reading of a name as an array position: digits, leading zeros allowed.
    static func arrayIndex(of name: some Collection<UInt8>) -> Int? {
        guard !name.isEmpty, name.count <= 20 else { return nil }
        var index = 0
        for byte in name {
            guard byte >= 48, byte <= 57 else { return nil }
            let (product, overflowed) = index.multipliedReportingOverflow(by: 10)
            let (sum, carried) = product.addingReportingOverflow(Int(byte - 48))
            if overflowed || carried { return nil }
            index = sum
        }
        return index
    }
}
