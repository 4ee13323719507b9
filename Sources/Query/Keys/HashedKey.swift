// The keys of hashed indexes: 64 bits of MD5 over the value in a canonical form.
//
// Canonical form: four bytes of canonical type; then for a number its whole part as int64, for
// other values their bytes; for a document or array its members, each with its name behind the
// type, and a final type 0.

package import BSON

/// Hashes values as MongoDB's hashed indexes do.
package enum HashedKey {
    /// The hash of a value; missing ones are hashed as null. Equal values hash alike, and so do
    /// numbers with the same whole part.
    package static func hash(of value: ValueView) -> Int64 {
        var digest = MD5()
        digest.append(0 as UInt32)
        append(value, name: nil, to: &digest)
        return digest.finish()
    }

    /// The hash of a value in an order of strings: of those it is that of their keys.
    package static func hash(of value: ValueView, _ collation: Collation?) -> Int64 {
        guard let collation, value.type.mayHoldText else { return hash(of: value) }
        var encoder = KeyEncoder()
        encoder.append(value, order: collation)
        var digest = MD5()
        digest.append(encoder.bytes.span.bytes)
        return digest.finish()
    }

    private static func append(_ value: ValueView, name: RawSpan?, to digest: inout MD5) {
        digest.append(UInt32(bitPattern: canonicalType(value.type)))
        if let name {
            digest.append(name)
            digest.append(0 as UInt8)
        }
        if value.isNumeric {
            digest.append(wholePart(of: value))
            return
        }
        guard let members = value.nested else {
            digest.append(value.bytes)
            return
        }
        var elements = members.makeIterator()
        while let element = elements.next() {
            append(element.value, name: element.name, to: &digest)
        }
        digest.append(0 as UInt32)
    }

    /// Toward zero; what is beyond int64 counts as its end, NaN as 0.
    private static func wholePart(of value: ValueView) -> Int64 {
        if let number = value.truncatedInt64 { return number }
        guard let number = value.anyDouble, !number.isNaN else { return 0 }
        return number < 0 ? .min : .max
    }

    private static func canonicalType(_ type: BSONType) -> Int32 {
        switch type {
        case .minKey: -1
        case .maxKey: 127
        case .undefined: 0
        case .null: 5
        case .double, .int32, .int64, .decimal128: 10
        case .string, .symbol: 15
        case .document: 20
        case .array: 25
        case .binary: 30
        case .objectID: 35
        case .bool: 40
        case .date: 45
        case .timestamp: 47
        case .regex: 50
        case .dbPointer: 55
        case .code: 60
        case .codeWithScope: 65
        }
    }
}
