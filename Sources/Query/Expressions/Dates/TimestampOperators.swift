// $tsSecond $tsIncrement.

import BSON

enum TimestampOperators {
    static let rows: [OperatorRow] = [
        .unary("$tsSecond") { arguments, context throws(DBError) in
            let timestamp = try timestamp(arguments(0, context), "$tsSecond", 5_687_301)
            return context.make(Int64(timestamp.seconds))
        },
        .unary("$tsIncrement") { arguments, context throws(DBError) in
            let timestamp = try timestamp(arguments(0, context), "$tsIncrement", 5_687_302)
            return context.make(Int64(timestamp.ordinal))
        },
    ]

    private static func timestamp(
        _ value: ValueRef, _ name: String, _ code: Int32
    ) throws(DBError) -> Timestamp {
        guard let timestamp = value.view.timestamp else {
            throw .location(
                code, "\(name)'s argument must be a timestamp, but is \(value.typeName)")
        }
        return timestamp
    }
}
