// Comparisons of a document's fields with what is known, as conditions.
//
// Bounds are MongoDB's conditions, which are about BSON and go into arrays: so that every document
// which the rules allow matches, a text is also the ObjectId of its digits, and a number is what
// lies between its neighbours (a decimal128 counts as the nearest float).

internal import BSON
internal import Query

extension PartialEvaluator {
    /// An operator that looks at the document.
    mutating func compare(
        _ operation: BinaryOperator, _ left: Partial, _ right: Partial
    ) -> Partial {
        switch (left, right) {
        case (.failed, _), (_, .failed): return .failed
        case (.known(let value), .field(let names)):
            if operation == .isIn { return holds(names, value) }
            return compare(Self.turned(operation), .field(names), value)
        case (.field(let names), .known(let value)):
            if operation == .isIn { return isAmong(names, value) }
            return compare(operation, .field(names), value)
        case (.resource, .known(.null)), (.known(.null), .resource):
            switch operation {
            case .equal: return .known(.bool(false))
            case .notEqual: return .known(.bool(true))
            default: return .failed
            }
        case (.segment(let index), .known(let value)), (.known(let value), .segment(let index)):
            guard case .string(let text) = value else { return .unknown }
            switch operation {
            case .equal: return .condition(segmentEquals(index, text))
            case .notEqual:
                let equal = segmentEquals(index, text)
                return .condition(not(equal))
            default: return .unknown
            }
        default: return .unknown
        }
    }

    /// The operator with its operands exchanged.
    private static func turned(_ operation: BinaryOperator) -> BinaryOperator {
        switch operation {
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        default: operation
        }
    }

    private mutating func compare(
        _ operation: BinaryOperator, _ field: Partial, _ value: RuleValue
    ) -> Partial {
        guard case .field(let names) = field, !names.isEmpty else { return .unknown }
        switch operation {
        case .equal: return equals(names, value).map { .condition($0) } ?? .unknown
        case .notEqual:
            guard let equal = equals(names, value) else { return .unknown }
            return .condition(not(equal))
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            return ordered(names, operation, value).map { .condition($0) } ?? .unknown
        default: return .unknown
        }
    }

    // MARK: Conditions

    mutating func fieldIsTrue(_ names: [String]) -> Truth {
        func side(_ value: Bool) -> TruthSide {
            let node = Self.node(names) {
                .compare($0, .equal, OwnedValue(.bool(value)))
            }
            return TruthSide(bounds: node ?? .alwaysTrue, proof: node ?? .alwaysFalse)
        }
        return Truth(
            whenTrue: side(true), whenFalse: side(false),
            check: check.add(.truth(ResidualCheck.FieldNames(names))))
    }

    private mutating func equals(_ names: [String], _ value: RuleValue) -> Truth? {
        let fields = ResidualCheck.FieldNames(names)
        var whenTrue = TruthSide.unknown
        let node: ResidualCheck.Node
        switch value {
        case .string(let text):
            node = .equalsText(fields, ResidualCheck.Text(text))
            whenTrue = side(names, text: text)
        case .bool(let truth):
            node = .equals(fields, value)
            if let equal = Self.node(names, { .compare($0, .equal, OwnedValue(.bool(truth))) }) {
                whenTrue = TruthSide(bounds: equal, proof: equal)
            }
        case .null:
            node = .equals(fields, value)
            whenTrue.proof =
                Self.node(names) { .compare($0, .equal, OwnedValue(.null)) } ?? .alwaysFalse
        case .int, .float, .timestamp:
            node = .equals(fields, value)
            if let constant = Self.constant(value),
                let equal = Self.node(names, { .compare($0, .equal, constant) })
            {
                whenTrue = TruthSide(bounds: Self.range(names, value, .equal), proof: equal)
            }
        default: return nil
        }
        var whenFalse = TruthSide.unknown
        if whenTrue.proof != .alwaysFalse { whenFalse.proof = .not(whenTrue.proof) }
        if let exists = Self.node(names, { .exists($0) }) { whenFalse.bounds = exists }
        return Truth(whenTrue: whenTrue, whenFalse: whenFalse, check: check.add(node))
    }

    private mutating func ordered(
        _ names: [String], _ operation: BinaryOperator, _ value: RuleValue
    ) -> Truth? {
        let opposite: BinaryOperator
        switch operation {
        case .less: opposite = .greaterOrEqual
        case .lessOrEqual: opposite = .greater
        case .greater: opposite = .lessOrEqual
        default: opposite = .less
        }
        guard let constant = Self.constant(value) else { return nil }
        func side(_ operation: BinaryOperator) -> TruthSide {
            let proof = Self.node(names) {
                .compare($0, Self.comparison(operation), constant)
            }
            return TruthSide(
                bounds: Self.range(names, value, operation), proof: proof ?? .alwaysFalse)
        }
        var whenFalse = side(opposite)
        // A NaN is neither below, at nor above a number: every comparison with it is false.
        whenFalse.bounds = .alwaysTrue
        return Truth(
            whenTrue: side(operation), whenFalse: whenFalse,
            check: check.add(.ordered(ResidualCheck.FieldNames(names), operation, value)))
    }

    /// `FIELD in [texts]`.
    private mutating func isAmong(_ names: [String], _ value: RuleValue) -> Partial {
        guard !names.isEmpty, let elements = value.elements else { return .unknown }
        var texts: [String] = []
        for element in elements {
            guard case .string(let text) = element else { return .unknown }
            texts.append(text)
        }
        let node = ResidualCheck.Node.isAmong(
            ResidualCheck.FieldNames(names), texts.map { ResidualCheck.Text($0) })
        var whenTrue = TruthSide.unknown
        if Self.path(names) != nil {
            whenTrue = .never
            for text in texts { whenTrue = .either(whenTrue, side(names, text: text)) }
        }
        var whenFalse = TruthSide.unknown
        if whenTrue.proof != .alwaysFalse { whenFalse.proof = .not(whenTrue.proof) }
        return .condition(Truth(whenTrue: whenTrue, whenFalse: whenFalse, check: check.add(node)))
    }

    /// `TEXT in FIELD`: an element of a list, or a key of a map.
    private mutating func holds(_ names: [String], _ value: RuleValue) -> Partial {
        guard case .string(let text) = value else { return .unknown }
        let node = ResidualCheck.Node.holds(
            ResidualCheck.FieldNames(names), ResidualCheck.Text(text))
        var whenTrue = TruthSide.unknown
        if names.isEmpty {
            if let exists = Self.node([text], { .exists($0) }) {
                whenTrue = TruthSide(bounds: exists, proof: exists)
            }
        } else if let isMap = Self.node(names, { .type($0, Query.TypeSet(.document)) }) {
            whenTrue = side(names, text: text)
            whenTrue.bounds = .any([whenTrue.bounds, isMap])
        }
        return .condition(
            Truth(whenTrue: whenTrue, whenFalse: .unknown, check: check.add(node)))
    }

    /// A segment of the path is a text.
    mutating func segmentEquals(_ index: Int, _ text: String) -> Truth {
        var whenTrue = TruthSide.unknown
        let path = FieldPath("_id")
        // Behind `documents` names and ids come by turns.
        if text.hasPrefix(DocumentSegments.foreignPrefix) {
            whenTrue.proof = .alwaysFalse
        } else if check.collectionNames == 1 {
            var values: [OwnedValue] = [OwnedValue(.string(text))]
            if let id = ObjectID(hex: text.utf8Span.span.bytes) {
                values.append(OwnedValue(.objectID(id)))
            }
            if let number = Int64(text) { values.append(OwnedValue(.int64(number))) }
            let equal = FilterNode.membership(path, values, [])
            whenTrue = TruthSide(bounds: equal, proof: equal)
        } else if index == 1 {
            // "0" is the character behind "/".
            let low = OwnedValue(.string(text + "/"))
            let high = OwnedValue(.string(text + "0"))
            let range = FilterNode.all([
                .compare(path, .greaterOrEqual, low), .compare(path, .less, high),
            ])
            whenTrue = TruthSide(bounds: range, proof: range)
        }
        let node = ResidualCheck.Node.segment((index - 1) / 2, Array(text.utf8))
        return Truth(whenTrue: whenTrue, whenFalse: .unknown, check: check.add(node))
    }

    // MARK: Filters

    private func side(_ names: [String], text: String) -> TruthSide {
        guard let path = Self.path(names) else { return .unknown }
        var values: [OwnedValue] = [OwnedValue(.string(text))]
        let proof = FilterNode.compare(path, .equal, values[0])
        if let id = ObjectID(hex: text.utf8Span.span.bytes) {
            values.append(OwnedValue(.objectID(id)))
        }
        return TruthSide(bounds: .membership(path, values, []), proof: proof)
    }

    /// The path of names, if MongoDB's paths can say it.
    private static func path(_ names: [String]) -> FieldPath? {
        guard !names.isEmpty,
            names.allSatisfy({
                !$0.isEmpty && !$0.utf8.contains(UInt8(ascii: ".")) && !$0.utf8.contains(0)
                    && !$0.hasPrefix("$")
            })
        else { return nil }
        return FieldPath(names.joined(separator: "."))
    }

    private static func node(
        _ names: [String], _ make: (FieldPath) -> FilterNode
    ) -> FilterNode? {
        path(names).map(make)
    }

    private static func comparison(_ operation: BinaryOperator) -> ComparisonOperator {
        switch operation {
        case .less: .less
        case .lessOrEqual: .lessOrEqual
        case .greater: .greater
        case .greaterOrEqual: .greaterOrEqual
        default: .equal
        }
    }

    /// A number or a timestamp as BSON; nil for others.
    private static func constant(_ value: RuleValue) -> OwnedValue? {
        switch value {
        case .int(let number): OwnedValue(.int64(number))
        case .float(let number): number.isNaN ? nil : OwnedValue(.double(number))
        case .timestamp(let time): OwnedValue(.date(time.millis))
        default: nil
        }
    }

    /// What every document matches whose field compares so with a number or timestamp.
    private static func range(
        _ names: [String], _ value: RuleValue, _ operation: BinaryOperator
    ) -> FilterNode {
        guard let path = path(names) else { return .alwaysTrue }
        let (low, high): (OwnedValue, OwnedValue)
        if case .timestamp(let time) = value {
            // Dates beyond the years of timestamps count as the first or the last.
            guard time.nanos > RuleTimestamp.range.lowerBound,
                time.nanos < RuleTimestamp.range.upperBound - 1_000_000
            else { return .alwaysTrue }
            low = OwnedValue(.date(time.millis))
            high = OwnedValue(.date(time.millis + 1))
        } else {
            guard let number = value.number, number.isFinite else { return .alwaysTrue }
            low = OwnedValue(.double(number.nextDown))
            high = OwnedValue(.double(number.nextUp))
        }
        var conditions: [FilterNode] = []
        if [.equal, .greater, .greaterOrEqual].contains(operation) {
            conditions.append(.compare(path, .greaterOrEqual, low))
        }
        if [.equal, .less, .lessOrEqual].contains(operation) {
            conditions.append(.compare(path, .lessOrEqual, high))
        }
        let range = FilterNode.all(conditions)
        guard case .timestamp = value else { return range }
        return .any([range, .type(path, Query.TypeSet(.timestamp))])
    }
}
