// $addFields, $set, $unset: projections whose rules compute or remove, with parsers of their own.

import BSON

enum FieldAddition {
    /// Compiles the argument of $addFields or $set.
    static func parse(
        _ name: String, _ specification: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> Projection {
        guard let object = specification.document else {
            throw .location(
                40272,
                "\(name) specification stage must be an object, got "
                    + specification.type.alias)
        }
        var trie = ProjectionTrie()
        var elements = object.makeIterator()
        while let element = elements.next() {
            let path = try ProjectionParser.path(element.nameString)
            try add(path, element.value, scope, &trie)
        }
        return Projection(mode: .addition, trie, isIdentity: false)
    }

    private static func add(
        _ path: FieldPath, _ value: ValueView, _ scope: ExpressionScope,
        _ trie: inout ProjectionTrie
    ) throws(DBError) {
        if let object = value.document, let first = object.first {
            if !first.name.starts(with: RawSpan("$")) {
                return try addBelow(path, object, scope, &trie)
            }
            guard object.count == 1 else {
                throw .location(
                    40181,
                    "an expression specification must contain exactly one field, the name "
                        + "of the expression. Found several at '\(path)'")
            }
        }
        trie.expressions.append(try Expression.parse(value, scope))
        do throws(ProjectionTrie.Collision) {
            try trie.insert(path, .compute(trie.expressions.count - 1))
        } catch {
            throw .location(40176, "specification contains two conflicting paths at \(path)")
        }
    }

    private static func addBelow(
        _ path: FieldPath, _ object: DocumentView, _ scope: ExpressionScope,
        _ trie: inout ProjectionTrie
    ) throws(DBError) {
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if name.hasPrefix("$") {
                throw .location(
                    40182, "field names may not start with '$'. Found '\(name)' at '\(path)'")
            }
            if name.contains(".") {
                throw .location(
                    40183, "cannot use dotted field name '\(name)' in a sub object")
            }
            let below = try ProjectionParser.path(name)
            try add(FieldPath("\(path).\(below)"), element.value, scope, &trie)
        }
    }

    /// Compiles the argument of $unset: a field or a list of them.
    static func parseUnset(_ specification: ValueView) throws(DBError) -> Projection {
        var trie = ProjectionTrie()
        switch specification.type {
        case .string: try remove(specification.text, &trie)
        case .array:
            guard !DocumentView(specification.bytes).isEmpty else {
                throw .location(
                    31119,
                    "$unset specification must be a string or an array with at least one "
                        + "field")
            }
            var elements = DocumentView(specification.bytes).makeIterator()
            while let element = elements.next() {
                guard let name = element.value.string else {
                    throw .location(
                        31120,
                        "$unset specification must be a string or an array containing only "
                            + "string values")
                }
                try remove(name, &trie)
            }
        default:
            throw .location(31002, "$unset specification must be a string or an array")
        }
        return Projection(mode: .exclusion, trie, isIdentity: false)
    }

    private static func remove(_ name: String, _ trie: inout ProjectionTrie) throws(DBError) {
        if name.utf8.contains(0) {
            throw .location(9_527_900, "$unset field names may not contain '\\0'")
        }
        let path = try ProjectionParser.path(name)
        do throws(ProjectionTrie.Collision) {
            try trie.insert(path, .exclude)
        } catch {
            throw ProjectionParser.collision(error, name)
        }
    }
}
