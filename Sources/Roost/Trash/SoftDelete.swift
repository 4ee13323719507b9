// The collection option `softDelete`: deleted documents go to the trash and can be restored.
//
//     softDelete: {}                   they stay until somebody restores or purges them
//     softDelete: {retention: "30d"}   they are purged when they are that old
//     softDelete: false                deletes are final (the default)

package import BSON

/// What a collection does with deleted documents.
package struct SoftDelete: Sendable, Equatable {
    /// How long they are kept, in seconds; nil for as long as nobody purges them.
    package let retentionSeconds: Int64?

    /// Reads a collection's kept options; nil where deletes are final.
    /// - Throws: as `option`.
    init?(_ options: DocumentView) throws(DBError) {
        guard let value = options.value("softDelete"),
            let option = try Self.option(value, "softDelete")
        else { return nil }
        guard let retention = option.view.value("retention") else {
            retentionSeconds = nil
            return
        }
        retentionSeconds = try Self.seconds(retention, "softDelete.retention")
    }

    /// The option in the form in which it is kept and listed; nil where it says that deletes are
    /// final.
    /// - Parameter place: what errors call it.
    /// - Throws: `typeMismatch` (14), 40415 for an unknown field, `badValue` (2) for a retention that
    ///   is no duration.
    package static func option(
        _ value: ValueView, _ place: String
    ) throws(DBError) -> Document? {
        switch value.type {
        case .null, .undefined: return nil
        case .bool: return value.bool == true ? Document() : nil
        default: break
        }
        guard let document = value.document else {
            throw DBError(
                .typeMismatch,
                "BSON field '\(place)' is the wrong type '\(value.type.alias)': give a document, "
                    + "such as {retention: \"30d\"} or {}, or false for deletes that are final")
        }
        var retention: String?
        var fields = document.makeIterator()
        while let field = fields.next() {
            guard field.name.equals("retention") else {
                throw DBError(
                    DBError.Code(rawValue: 40_415),
                    "BSON field '\(place).\(field.nameString)' is an unknown field; the only one is "
                        + "'retention'")
            }
            if [.null, .undefined].contains(field.value.type) { continue }
            _ = try seconds(field.value, "\(place).retention")
            retention = field.value.string
        }
        return Document { writer in
            if let retention { writer.append("retention", retention) }
        }
    }

    /// The longest retention: a hundred years.
    private static let secondsMax: Int64 = 36_525 * 86_400

    private static let units: [Character: Int64] = [
        "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800,
    ]

    /// A duration such as `"90s"`, `"15m"`, `"12h"`, `"30d"` or `"4w"`.
    private static func seconds(_ value: ValueView, _ place: String) throws(DBError) -> Int64 {
        guard let text = value.string else {
            throw DBError(
                .typeMismatch,
                "BSON field '\(place)' is the wrong type '\(value.type.alias)': give a duration as "
                    + "text, such as \"90s\", \"12h\" or \"30d\"")
        }
        guard let last = text.last, let unit = units[last],
            text.dropLast().utf8.allSatisfy({ (48...57).contains($0) }),
            let count = Int64(text.dropLast()), count > 0, count <= secondsMax / unit
        else {
            throw DBError(
                .badValue,
                "'\(place)' must be a whole number and a unit, s, m, h, d or w, such as \"90s\", "
                    + "\"12h\" or \"30d\", from \"1s\" to a hundred years; it is \"\(text)\"")
        }
        return count * unit
    }
}
