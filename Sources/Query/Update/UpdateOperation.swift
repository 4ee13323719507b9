// What one operator does to one field, parsed once.

import BSON

/// What an update does at the end of a path.
enum UpdateOperation: Sendable {
    case set(OwnedValue)
    case setOnInsert(OwnedValue)
    case unset
    case increment(OwnedValue)
    case multiply(OwnedValue)
    case minimum(OwnedValue, Collation?)
    case maximum(OwnedValue, Collation?)
    /// At the new name; the old one has `renameSource`.
    case rename(from: FieldPath)
    case renameSource
    case currentDate
    case currentTimestamp
    case bit([BitStep])
    case push(PushOperation)
    case addToSet(ValueSet)
    case pop(first: Bool)
    case pull(ElementCondition)

    /// One step of `$bit`.
    struct BitStep: Sendable {
        enum Kind: Sendable {
            case and, or, xor
        }
        let kind: Kind
        let operand: Int64
        /// Whether the operand was an int64, which widens the result.
        let isWide: Bool
    }

    /// Whether the operation makes a field where there is none. `rename` does if its source exists.
    func creates(isInsert: Bool) -> Bool {
        switch self {
        case .set, .increment, .multiply, .minimum, .maximum, .currentDate, .currentTimestamp, .bit,
            .push, .addToSet, .rename:
            true
        case .setOnInsert: isInsert
        case .unset, .renameSource, .pop, .pull: false
        }
    }

    /// Whether a path through a scalar is an error although nothing would be made there.
    var needsViablePath: Bool {
        switch self {
        case .pop, .renameSource: true
        default: false
        }
    }
}
