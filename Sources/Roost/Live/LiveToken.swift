// Tokens of live queries: 49 characters, `1` and three numbers of 16 hexadecimal digits.
//
//     epoch       which history the place is in (LogHeader)
//     sequence    the timestamp of the newest command that the client's state shows
//     query       a hash of what was asked, so that a token isn't used for another query

package import BSON

/// A state of one live query's result.
package struct LiveToken: Hashable, Sendable {
    /// The newest command that the state shows.
    let sequence: Timestamp
    /// Which history that is in.
    let epoch: UInt64
    /// The query's hash.
    let query: UInt64

    private static let version = "1"

    init(_ sequence: Timestamp, epoch: UInt64, query: UInt64) {
        self.sequence = sequence
        self.epoch = epoch
        self.query = query
    }

    /// Reads a token: the string of an event, or the document `{_data: …}` of a batch.
    /// - Throws: `invalidResumeToken` (260), `typeMismatch` (14).
    package init(_ value: ValueView) throws(DBError) {
        guard let text = value.string ?? value.document?.value("_data")?.string else {
            throw DBError(
                .typeMismatch,
                "BSON field 'live.resumeAfter' is the wrong type '\(value.type.alias)', expected "
                    + "an event's token")
        }
        let digits = Array(text.utf8.dropFirst())
        guard text.hasPrefix(Self.version), digits.count == 48,
            let epoch = Self.number(digits[0..<16]), let sequence = Self.number(digits[16..<32]),
            let query = Self.number(digits[32..<48])
        else {
            throw DBError(
                .invalidResumeToken,
                "The token was not made by a live query of Roost, or was cut; give it back as it "
                    + "was, or leave resumeAfter out")
        }
        self.init(Timestamp(rawValue: sequence), epoch: epoch, query: query)
    }

    /// The token as clients hold it.
    package var text: String {
        var digits: [UInt8] = []
        digits.reserveCapacity(49)
        digits += Self.version.utf8
        for number in [epoch, sequence.rawValue, query] {
            for shift in stride(from: UInt64(60), through: 0, by: -4) {
                let digit = UInt8(truncatingIfNeeded: number >> shift & 0xF)
                digits.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
            }
        }
        return String(decoding: digits, as: UTF8.self)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
