// Random documents of every type, for round trips and for comparing implementations.

package import BSON

/// Makes random documents and values; the same seed gives the same ones.
package struct DocumentGenerator: Sendable {
    /// Where the randomness comes from; tests may draw from it.
    package var random: RandomSource

    package init(seed: UInt64) {
        random = RandomSource(seed: seed)
    }

    /// A document of up to `fieldsMax` fields, nested at most `depthMax` levels below the top.
    package mutating func document(fieldsMax: Int = 8, depthMax: Int = 5) -> Document {
        let count = random.below(fieldsMax + 1)
        var fields: [(String, Value)] = []
        for _ in 0..<count {
            fields.append((name(), value(depthMax: depthMax)))
        }
        return Document { writer in
            for (name, value) in fields { writer.append(name, value) }
        }
    }

    /// A value of any type; about a third are edge values.
    package mutating func value(depthMax: Int = 5) -> Value {
        if random.oneIn(3) {
            return EdgeValues.all[random.below(EdgeValues.all.count)]
        }
        let kind = random.below(21)
        switch kind {
        case 0: return number()
        case 1: return .string(string())
        case 2,
            3 where depthMax > 0:
            return .document(document(fieldsMax: 4, depthMax: depthMax - 1))
        case 4,
            5 where depthMax > 0:
            let count = random.below(5)
            return .array((0..<count).map { _ in value(depthMax: depthMax - 1) })
        case 6: return .binary(subtype: [0, 3, 4, 5, 128][random.below(5)], bytes())
        case 7: return .objectID(objectID())
        case 8: return .bool(random.oneIn(2))
        case 9: return .date(Int64.random(in: -1 << 42...1 << 42, using: &random))
        case 10: return .regex(pattern: name(), options: ["", "i", "im", "x"][random.below(4)])
        case 11: return .dbPointer(namespace: string(), objectID())
        case 12: return .code(string())
        case 13: return .symbol(string())
        case 14: return .codeWithScope(string(), document(fieldsMax: 2, depthMax: 0))
        case 15: return .timestamp(Timestamp(rawValue: random.next()))
        case 16: return [.null, .undefined, .minKey, .maxKey][random.below(4)]
        default: return number()
        }
    }

    /// A number of any type, often near another type's edge.
    package mutating func number() -> Value {
        switch random.below(8) {
        case 0: return .int32(Int32(truncatingIfNeeded: random.next()))
        case 1: return .int32(Int32(random.below(20) - 10))
        case 2: return .int64(Int64(bitPattern: random.next()) >> random.below(64))
        case 3: return .double(Double(bitPattern: random.next()))
        case 4: return .double(Double(random.below(2000) - 1000) / 8)
        case 5: return .double(Double(Int64(bitPattern: random.next()) >> random.below(64)))
        case 6: return decimal()
        default:
            // A decimal that is near a double or an integer.
            let base =
                random.oneIn(2)
                ? Decimal128(Int64(bitPattern: random.next()) >> random.below(64))
                : Decimal128(rounding: Double(bitPattern: random.next()))
            return .decimal128(low: base.low ^ UInt64(random.below(2)), high: base.high)
        }
    }

    private mutating func decimal() -> Value {
        let digits = 1 + random.below(34)
        var text = random.oneIn(2) ? "-" : ""
        for _ in 0..<digits { text += String(random.below(10)) }
        let spread = [4, 40, 400, 6000][random.below(4)]
        text += "E\(random.below(2 * spread) - spread)"
        let number = Decimal128(text) ?? .nan
        return .decimal128(low: number.low, high: number.high)
    }

    /// A field's name: short, from few letters, so that names meet.
    package mutating func name() -> String {
        if random.oneIn(20) { return "" }
        let alphabet = ["a", "b", "c", "0", "1", "é", "$", ".", "\u{1}"]
        let length = random.oneIn(4) ? 1 + random.below(12) : 1
        return (0..<length).map { _ in alphabet[random.below(random.oneIn(3) ? 9 : 3)] }.joined()
    }

    /// A string of up to 20 characters, zero bytes among them.
    package mutating func string() -> String {
        let alphabet = [
            "a", "b", "z", "Z", "\0", "\u{1}", "é", "\u{FFFD}", "\u{1F426}", "\"", "\\",
        ]
        let length = random.below(random.oneIn(4) ? 20 : 4)
        return (0..<length).map { _ in alphabet[random.below(alphabet.count)] }.joined()
    }

    private mutating func bytes() -> [UInt8] {
        (0..<random.below(20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private mutating func objectID() -> ObjectID {
        ObjectID(head: random.next(), tail: UInt32(truncatingIfNeeded: random.next()))
    }
}
