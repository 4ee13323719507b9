// How numbers are written in the text query language and in rules alike.

/// Decimal digits with an optional fraction and exponent: `12`, `1.5`, `2e-3`. A dot or an `e` without
/// a digit behind it is not part of the number.
package enum NumberSyntax {
    /// Moves `offset` behind the number that begins there, and says whether it has neither fraction
    /// nor exponent.
    package static func skip(_ bytes: [UInt8], _ offset: inout Int) -> Bool {
        func isDigit(_ place: Int) -> Bool { place < bytes.count && 48...57 ~= bytes[place] }
        func skipDigits() { while isDigit(offset) { offset += 1 } }
        func holds(_ place: Int, _ characters: [UInt8]) -> Bool {
            place < bytes.count && characters.contains(bytes[place])
        }

        skipDigits()
        var isWhole = true
        if holds(offset, [UInt8(ascii: ".")]), isDigit(offset + 1) {
            isWhole = false
            offset += 1
            skipDigits()
        }
        if holds(offset, [UInt8(ascii: "e"), UInt8(ascii: "E")]) {
            let sign = holds(offset + 1, [UInt8(ascii: "+"), UInt8(ascii: "-")]) ? 1 : 0
            if isDigit(offset + 1 + sign) {
                isWhole = false
                offset += 1 + sign
                skipDigits()
            }
        }
        return isWhole
    }
}
