// $type $isNumber $toHashedIndexKey.

import BSON

enum TypeOperators {
    static let rows: [OperatorRow] = [
        .list("$type", 1...1, .passed) { arguments, context in
            context.make(arguments(0, context).typeName)
        },
        .list("$isNumber", 1...1, .passed) { arguments, context in
            context.make(arguments(0, context).type?.isNumeric ?? false)
        },
        .list("$toHashedIndexKey", 1...1, .passed) { arguments, context in
            context.make(HashedKey.hash(of: arguments(0, context).view))
        },
    ]
}
