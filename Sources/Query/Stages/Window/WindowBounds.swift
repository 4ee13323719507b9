// The `window` of an output of $setWindowFields: which documents of a partition it takes in.

import BSON

/// Bounds of a window around a document.
struct WindowBounds: Sendable {
    /// One end of a window by position.
    enum Position: Sendable, Equatable {
        case unbounded
        /// Documents behind (or, if negative, before) the current one.
        case offset(Int)
    }

    /// One end of a window by the value of the sort key.
    enum Distance: Sendable {
        case unbounded
        /// What is added to the current document's value.
        case offset(OwnedValue)
    }

    /// How the ends are given.
    enum Kind: Sendable {
        case documents(Position, Position)
        case range(Distance, Distance, unit: DateStep?)
    }

    let kind: Kind

    /// The whole partition.
    static let whole = WindowBounds(kind: .documents(.unbounded, .unbounded))

    /// Whether the lower end is the beginning of the partition.
    var isLowerUnbounded: Bool {
        switch kind {
        case .documents(let lower, _): lower == .unbounded
        case .range(.unbounded, _, _): true
        case .range: false
        }
    }

    /// Whether the window is the whole partition.
    var isWhole: Bool {
        switch kind {
        case .documents(.unbounded, .unbounded), .range(.unbounded, .unbounded, _): true
        default: false
        }
    }

    /// Compiles a window.
    ///
    /// Throws 9 for what is no window, 5339900 for ends in the wrong order, 5339901 and 5339902 for
    /// ends that need a `sortBy`.
    static func parse(
        _ value: ValueView, _ sortBy: SortPattern?, _ scope: ExpressionScope
    ) throws(DBError) -> WindowBounds {
        guard let object = value.document else {
            throw DBError(
                .failedToParse, "'window' field must be an object, found: \(value.type.alias)")
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            let isKnown =
                element.name.equals("documents") || element.name.equals("range")
                || element.name.equals("unit")
            guard isKnown else {
                throw DBError(
                    .failedToParse,
                    "'window' field can only contain 'documents' or 'range' and 'unit', found: "
                        + element.nameString)
            }
        }
        let documents = object.value("documents")
        let range = object.value("range")
        guard documents == nil || range == nil else {
            throw DBError(
                .failedToParse,
                "'window' field can specify either 'documents' or 'range', not both")
        }
        let unit = object.value("unit")
        if let documents {
            guard unit == nil else {
                throw DBError(
                    .failedToParse, "'unit' goes with 'range', not with 'documents'")
            }
            return try parseDocuments(documents, sortBy, scope)
        }
        if let range { return try parseRange(range, unit, sortBy, scope) }
        guard unit == nil else {
            throw DBError(.failedToParse, "'unit' needs 'range'")
        }
        return .whole
    }

    private static func ends(
        _ value: ValueView, _ name: String, _ scope: ExpressionScope
    ) throws(DBError) -> (OwnedValue, OwnedValue) {
        guard let array = value.array, array.count == 2 else {
            throw DBError(
                .failedToParse, "Window bounds must be a 2-element array: '\(name)'")
        }
        var elements = array.makeIterator()
        var values: [OwnedValue] = []
        while let element = elements.next() {
            guard let constant = try Expression.parse(element.value, scope).constant else {
                throw DBError(.failedToParse, "Window bounds must be constants: '\(name)'")
            }
            values.append(constant)
        }
        return (values[0], values[1])
    }

    private static func parseDocuments(
        _ value: ValueView, _ sortBy: SortPattern?, _ scope: ExpressionScope
    ) throws(DBError) -> WindowBounds {
        let (first, last) = try ends(value, "documents", scope)
        let lower = try position(first)
        let upper = try position(last)
        if case .offset(let low) = lower, case .offset(let high) = upper, low > high {
            throw .location(
                5_339_900, "Lower bound must not exceed upper bound: [\(low), \(high)]")
        }
        if sortBy == nil, lower != .unbounded || upper != .unbounded {
            throw .location(
                5_339_901, "Document-based bounds require a sortBy")
        }
        return WindowBounds(kind: .documents(lower, upper))
    }

    private static func position(_ value: OwnedValue) throws(DBError) -> Position {
        switch value.view.string {
        case "unbounded": return .unbounded
        case "current": return .offset(0)
        default: break
        }
        guard let number = Number(ValueRef(value.view))?.exactInt64,
            let offset = Int32(exactly: number)
        else {
            throw DBError(
                .failedToParse,
                "Numeric document-based bounds must be whole numbers, \"current\" or "
                    + "\"unbounded\"")
        }
        return .offset(Int(offset))
    }

    private static func parseRange(
        _ value: ValueView, _ unit: ValueView?, _ sortBy: SortPattern?, _ scope: ExpressionScope
    ) throws(DBError) -> WindowBounds {
        var step: DateStep?
        if let unit { step = try DateStep.parse(unit, "unit") }
        let (first, last) = try ends(value, "range", scope)
        let lower = try distance(first, isDate: step != nil)
        let upper = try distance(last, isDate: step != nil)
        if case .offset(let low) = lower, case .offset(let high) = upper,
            low.view.compare(high.view, nil) > 0
        {
            throw .location(5_339_900, "Lower bound must not exceed upper bound")
        }
        guard let sortBy, sortBy.parts.count == 1, !sortBy.parts[0].descending else {
            throw .location(
                5_339_902, "Range-based bounds require a sortBy with one ascending field")
        }
        return WindowBounds(kind: .range(lower, upper, unit: step))
    }

    private static func distance(
        _ value: OwnedValue, isDate: Bool
    ) throws(DBError) -> Distance {
        switch value.view.string {
        case "unbounded": return .unbounded
        case "current": return .offset(OwnedValue(.int32(0)))
        default: break
        }
        guard let number = Number(ValueRef(value.view)) else {
            throw DBError(
                .failedToParse,
                "Range-based bounds must be numbers, \"current\" or \"unbounded\"")
        }
        guard !isDate || number.exactInt64 != nil else {
            throw DBError(
                .failedToParse, "With 'unit', range-based bounds must be whole numbers")
        }
        return .offset(value)
    }
}
