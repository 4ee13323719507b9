// Resume tokens of change streams: `{_data: "82…"}`, hexadecimal digits whose order is that of the
// events.
//
//     0x82        as in MongoDB: what follows is a timestamp
//     sequence    8 bytes, big-endian
//     ordinal     4 bytes, big-endian
//     part        2 bytes, big-endian
//     epoch       8 bytes, big-endian: which history the place is in

package import BSON

/// A place in one history of changes.
package struct ResumeToken: Hashable, Sendable {
    /// What is behind it.
    let position: LogPosition
    /// Which history it is a place in.
    let epoch: UInt64

    private static let kind: UInt8 = 0x82
    private static let byteCount = 1 + 8 + 4 + 2 + 8

    init(_ position: LogPosition, epoch: UInt64) {
        self.position = position
        self.epoch = epoch
    }

    /// Reads a token.
    /// - Throws: `invalidResumeToken` (260), `failedToParse` (9) for what is not hexadecimal,
    ///   `typeMismatch` (14).
    package init(_ document: DocumentView) throws(DBError) {
        guard let value = document.value("_data") else {
            throw DBError(
                .typeMismatch,
                "Bad resume token: _data of missing or of wrong type; give back a change's _id or "
                    + "a postBatchResumeToken as it was")
        }
        guard let text = value.string else {
            throw DBError(
                .typeMismatch,
                "BSON field '$changeStream._data' is the wrong type '\(value.type.alias)', "
                    + "expected type 'string'")
        }
        guard let bytes = Self.bytes(hex: text) else {
            throw DBError(
                .failedToParse, "resume token string was not a valid hex string: '\(text)'")
        }
        guard bytes.count == Self.byteCount, bytes[0] == Self.kind else {
            throw DBError(
                .invalidResumeToken,
                "The resume token was not made by Roost, or was cut; give it back as it was")
        }
        position = LogPosition(
            Timestamp(rawValue: Self.number(bytes[1..<9])),
            ordinal: UInt32(truncatingIfNeeded: Self.number(bytes[9..<13])),
            part: UInt16(truncatingIfNeeded: Self.number(bytes[13..<15])))
        epoch = Self.number(bytes[15...])
    }

    /// The hexadecimal digits.
    var text: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(2 * Self.byteCount)
        func append(_ number: UInt64, digits: Int) {
            for digit in (0..<digits).reversed() {
                let value = UInt8(truncatingIfNeeded: number >> (4 * digit)) & 15
                bytes.append(value < 10 ? 48 + value : 55 + value)
            }
        }
        append(UInt64(Self.kind), digits: 2)
        append(position.sequence.rawValue, digits: 16)
        append(UInt64(position.ordinal), digits: 8)
        append(UInt64(position.part), digits: 4)
        append(epoch, digits: 16)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends the token as a document in field `name`.
    func write(_ name: String, into writer: inout DocumentWriter) {
        let token = writer.openDocument(name)
        writer.append("_data", text)
        writer.close(token)
    }

    /// The token as clients hold it.
    package var document: Document { ["_data": .string(text)] }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func bytes(hex text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = value(digits[index]), let low = value(digits[index + 1]) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 48...57: digit - 48
        case 65...70: digit - 55
        case 97...102: digit - 87
        default: nil
        }
    }
}
