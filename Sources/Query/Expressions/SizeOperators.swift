// $binarySize $bsonSize.

import BSON

enum SizeOperators {
    static let rows: [OperatorRow] = [
        .unary("$binarySize") { arguments, context throws(DBError) in
            let value = arguments(0, context)
            if let content = value.view.binary?.content {
                return context.make(Int32(truncatingIfNeeded: content.byteCount))
            }
            guard value.isType(.string) else {
                throw .location(
                    51276,
                    "$binarySize requires a string or BinData argument, found: \(value.typeName)")
            }
            return context.make(Int32(truncatingIfNeeded: value.utf8.byteCount))
        },
        .unary("$bsonSize") { arguments, context throws(DBError) in
            let value = arguments(0, context)
            guard value.isType(.document) else {
                throw .location(
                    31393, "$bsonSize requires a document input, found: \(value.typeName)")
            }
            return context.make(value.length)
        },
    ]
}
