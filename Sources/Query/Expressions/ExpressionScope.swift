// Names that an expression may use: variables of the system, of the command, of the expression.

package import BSON

/// What is known when an expression is parsed: the command's variables and clock.
package struct ExpressionScope: Sendable {
    /// Variables of the command's `let`, evaluated once: constants here.
    package var constants: [String: OwnedValue]
    /// `$$NOW`, in milliseconds since 1970; one value for a whole command.
    package var nowMillis: Int64
    /// `$$CLUSTER_TIME`; nil refuses it with 10071200.
    package var clusterTime: Timestamp?
    /// The order of strings in comparisons; nil for that of their bytes.
    package var collation: Collation?
    /// What the query's filter gives for `$meta`.
    package var metadata: MetadataKinds = []
    /// What the names of other collections mean, for pipelines; nil where names are all there is.
    package var collections: (any ForeignCollections)?
    /// The text that the expression comes from, to which its errors point; nil for MQL.
    package var text: TextSource?
    /// The collection that the pipeline reads; nil where none is known.
    package var source: ForeignCollection?
    /// Variables bound around the expression and their slots.
    var slots: [String: Int] = [:]

    /// A scope with the given command variables.
    package init(
        constants: [String: OwnedValue] = [:], nowMillis: Int64 = 0,
        clusterTime: Timestamp? = nil
    ) {
        self.constants = constants
        self.nowMillis = nowMillis
        self.clusterTime = clusterTime
    }

    /// Adds the variables of a command's `let`: each value is an expression without fields, which
    /// is evaluated here, once.
    ///
    /// Throws 9 for a bad name, 4890500 for one that reads the document.
    package mutating func bind(variables: DocumentView) throws(DBError) {
        var context = EvaluationContext.forConstants()
        let empty = Document()
        var elements = variables.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            try Self.checkUserName(name)
            let expression = try Expression.parse(element.value, self)
            if expression.requiredPaths?.isEmpty != true {
                throw DBError(
                    DBError.Code(rawValue: 4_890_500),
                    "Command let Expression tried to access a field, but this is not allowed "
                        + "because command let expressions run before the query examines any "
                        + "documents.")
            }
            let value = try expression.evaluate(empty.view, &context)
            // Missing stays expressible: undefined is the nearest that a constant can be. Later
            // variables may use this one.
            constants[name] =
                value.isMissing ? OwnedValue(.undefined) : OwnedValue(copying: value.view)
        }
    }

    /// Whether a user may bind this name: a lower-case letter or a byte beyond ASCII first, then
    /// letters, digits, `_`; `CURRENT` may be rebound too.
    static func checkUserName(_ name: String) throws(DBError) {
        if name == "CURRENT" { return }
        guard let first = name.utf8.first else {
            throw DBError(.failedToParse, "empty variable names are not allowed")
        }
        guard (97...122).contains(first) || first >= 128 else {
            throw DBError(
                .failedToParse,
                "'\(name)' starts with an invalid character for a user variable name")
        }
        try checkCharacters(name)
    }

    /// Whether a reference may name this: letters, digits, `_`, bytes beyond ASCII.
    static func checkReference(_ name: String) throws(DBError) {
        guard let first = name.utf8.first else {
            throw DBError(.failedToParse, "empty variable names are not allowed")
        }
        guard (97...122).contains(first) || (65...90).contains(first) || first >= 128 else {
            throw DBError(
                .failedToParse, "'\(name)' starts with an invalid character for a variable name")
        }
        try checkCharacters(name)
    }

    private static func checkCharacters(_ name: String) throws(DBError) {
        for byte in name.utf8.dropFirst() {
            let isAllowed =
                (97...122).contains(byte) || (65...90).contains(byte)
                || (48...57).contains(byte) || byte == 95 || byte >= 128
            guard isAllowed else {
                throw DBError(
                    .failedToParse,
                    "'\(name)' contains an invalid character for a variable name")
            }
        }
    }
}
