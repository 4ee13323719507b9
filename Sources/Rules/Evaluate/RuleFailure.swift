// Why an expression has no value. Texts are Firestore's where it has them, since people search for
// them.

/// An expression that can't be evaluated.
package struct RuleFailure: Error, Sendable {
    /// What can be wrong.
    package enum Reason: Sendable {
        case undefinedProperty(String)
        case nullValue
        case functionNotFound(String)
        case argumentCount(received: Int, expected: Int)
        /// What was received, and what would be right.
        case unsupported(String, expected: String)
        case indexOutOfBounds(Int64, size: Int)
        case illegalRange(Int64, Int64)
        case divideByZero
        case overflow
        case conversion(argument: String, from: String, to: String)
        case variableNotFound(String)
        case other(String)
        /// A bound of the request; no `||` saves it.
        case limit(String)
        /// The store has no answer; no `||` saves it.
        case store(String)
    }

    /// What is wrong.
    package let reason: Reason
    /// The expression that failed.
    package internal(set) var at: ExpressionID

    init(_ reason: Reason, at: ExpressionID = ExpressionID(0)) {
        self.reason = reason
        self.at = at
    }

    /// Whether it ends the whole evaluation.
    package var isFinal: Bool {
        switch reason {
        case .limit, .store: true
        default: false
        }
    }

    /// The message for developers.
    package var message: String {
        switch reason {
        case .undefinedProperty(let name): "Property \(name) is undefined on object."
        case .nullValue: "Null value error."
        case .functionNotFound(let name): "Function not found error: Name: [\(name)]."
        case .argumentCount(let received, let expected):
            "Incorrect number of arguments. Received: \(received). Expected: \(expected)."
        case .unsupported(let received, let expected):
            "Unsupported operation error. Received: \(received). Expected: \(expected)."
        case .indexOutOfBounds(let index, let size):
            "Index out of bound error. Index: [\(index)] , size: [\(size)]."
        case .illegalRange(let from, let to):
            "Illegal range error. From index: [\(from)] , To index: [\(to)]."
        case .divideByZero: "Divide by zero error."
        case .overflow: "Integer overflow error."
        case .conversion(let argument, let from, let to):
            "Type conversion error. Argument: [\(argument)], From type: [\(from)], "
                + "To type: [\(to)]."
        case .variableNotFound(let name): "Variable not found error: Name: [\(name)]."
        case .other(let text), .limit(let text), .store(let text): text
        }
    }
}
