// $cmp $eq $ne $lt $lte $gt $gte: the whole BSON order, without brackets; missing is below null.

import BSON

enum ComparisonOperators {
    static let rows: [OperatorRow] = [
        .list("$cmp", 2...2, .passed) { arguments, context in
            context.make(Int32(compare(arguments, context).signum()))
        },
        .list("$eq", 2...2, .passed) { arguments, context in
            context.make(compare(arguments, context) == 0)
        },
        .list("$ne", 2...2, .passed) { arguments, context in
            context.make(compare(arguments, context) != 0)
        },
        .list("$lt", 2...2, .passed) { arguments, context in
            context.make(compare(arguments, context) < 0)
        },
        .list("$lte", 2...2, .passed) { arguments, context in
            context.make(compare(arguments, context) <= 0)
        },
        .list("$gt", 2...2, .passed) { arguments, context in
            context.make(compare(arguments, context) > 0)
        },
        .list("$gte", 2...2, .passed) { arguments, context in
            context.make(compare(arguments, context) >= 0)
        },
    ]

    private static func compare(
        _ arguments: Arguments, _ context: borrowing EvaluationContext
    ) -> Int {
        arguments(0, context).compare(arguments(1, context), context.collation)
    }
}

extension ValueRef {
    /// MongoDB's order with missing values: MinKey, missing and undefined, null, numbers …
    func compare(_ other: ValueRef, _ collation: Collation?) -> Int {
        if isMissing || other.isMissing {
            let left = isMissing ? Self.undefinedRank : view.type.canonicalRank
            let right = other.isMissing ? Self.undefinedRank : other.view.type.canonicalRank
            return Int(left) - Int(right)
        }
        return view.compare(other.view, collation)
    }

    private static let undefinedRank = BSONType.undefined.canonicalRank
}
