// What the operators do to one field.

import BSON

extension Update {
    /// Applies an operation to an existing field.
    func applyOperation(
        _ operation: UpdateOperation, _ name: UpdateFieldName, to value: ValueView,
        _ place: UpdatePlace, _ run: UpdateRun, _ writer: inout DocumentWriter,
        _ scratch: inout UpdateScratch
    ) throws(DBError) -> UpdateEffect {
        switch operation {
        case .set(let operand):
            return replace(value, by: operand.view, name, &writer)
        case .setOnInsert(let operand):
            return run.isInsert ? replace(value, by: operand.view, name, &writer) : .unchanged
        case .unset:
            return remove(value, name, place, &writer)
        case .increment(let operand):
            return try compute(value, operand, name, &writer, verb: "increment") { $0.adding($1) }
        case .multiply(let operand):
            return try compute(value, operand, name, &writer, verb: "multiply") {
                $0.multiplied(by: $1)
            }
        case .minimum(let operand, let collation):
            guard operand.view.compare(value, collation) < 0 else { return .unchanged }
            return replace(value, by: operand.view, name, &writer)
        case .maximum(let operand, let collation):
            guard operand.view.compare(value, collation) > 0 else { return .unchanged }
            return replace(value, by: operand.view, name, &writer)
        case .rename(let source):
            return try rename(source, over: value, name, place, run, &writer)
        case .renameSource:
            return try removeRenamed(name, place)
        case .currentDate:
            if value.dateMillis == run.time.millis { return .unchanged }
            writeDate(name, run, &writer)
            return .written
        case .currentTimestamp:
            if value.timestamp == run.time.timestamp { return .unchanged }
            writeTimestamp(name, run, &writer)
            return .written
        case .bit(let steps):
            let old = UpdateNumber(value)
            guard let old, let new = UpdateOperation.applyBits(steps, to: old) else {
                throw DBError(
                    .badValue,
                    "Cannot apply $bit to a value of non-integral type: the field "
                        + "'\(name.text)' has type \(value.type.alias)")
            }
            if new.isIdentical(to: old) { return .unchanged }
            name.writeHeader(new.type, &writer)
            new.write(to: &writer)
            return .written
        case .push(let push):
            return try applyPush(push, name, to: value, &writer, &scratch)
        case .addToSet(let set):
            return try applyAddToSet(set, name, to: value, &writer, &scratch)
        case .pop(let first):
            return try applyPop(first: first, name, to: value, &writer)
        case .pull(let condition):
            return try applyPull(condition, name, to: value, &writer, &scratch)
        }
    }

    /// Applies an operation where there is no field.
    ///
    /// - Returns: whether it made one; if not, nothing was written.
    func createByOperation(
        _ operation: UpdateOperation, _ name: UpdateFieldName, _ place: UpdatePlace,
        _ run: UpdateRun, _ writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        switch operation {
        case .set(let operand), .minimum(let operand, _), .maximum(let operand, _),
            .increment(let operand):
            name.write(operand.view, &writer)
        case .setOnInsert(let operand):
            guard run.isInsert else { return false }
            name.write(operand.view, &writer)
        case .multiply(let operand):
            guard let zero = UpdateNumber(operand.view)?.zero else { return false }
            name.writeHeader(zero.type, &writer)
            zero.write(to: &writer)
        case .rename(let source):
            guard let value = run.original.value(at: source) else { return false }
            try checkRenameTarget(place)
            name.write(value, &writer)
        case .currentDate:
            writeDate(name, run, &writer)
        case .currentTimestamp:
            writeTimestamp(name, run, &writer)
        case .bit(let steps):
            guard let number = UpdateOperation.applyBits(steps, to: nil) else { return false }
            name.writeHeader(number.type, &writer)
            number.write(to: &writer)
        case .push(let push):
            name.writeHeader(.array, &writer)
            let opened = writer.openDocument()
            push.write(DocumentView(Document.emptyBytes), &writer, &scratch)
            writer.close(opened)
        case .addToSet(let set):
            name.writeHeader(.array, &writer)
            let opened = writer.openDocument()
            for (index, value) in set.values.enumerated() {
                writer.append(index: index, value.view)
            }
            writer.close(opened)
        case .unset, .renameSource, .pop, .pull:
            return false
        }
        return true
    }

    // MARK: Values

    private func replace(
        _ old: ValueView, by new: ValueView, _ name: UpdateFieldName,
        _ writer: inout DocumentWriter
    ) -> UpdateEffect {
        if old.type == new.type, old.bytes.equals(new.bytes) { return .unchanged }
        name.write(new, &writer)
        return .written
    }

    /// Removes a field; an array's element becomes null instead.
    private func remove(
        _ value: ValueView, _ name: UpdateFieldName, _ place: UpdatePlace,
        _ writer: inout DocumentWriter
    ) -> UpdateEffect {
        guard place.isInArray else { return .removed }
        if value.type == .null { return .unchanged }
        name.writeHeader(.null, &writer)
        return .written
    }

    private func compute(
        _ value: ValueView, _ operand: OwnedValue, _ name: UpdateFieldName,
        _ writer: inout DocumentWriter, verb: StaticString,
        _ combine: (UpdateNumber, UpdateNumber) -> UpdateNumber?
    ) throws(DBError) -> UpdateEffect {
        guard let old = UpdateNumber(value), let operand = UpdateNumber(operand.view) else {
            throw DBError(
                .typeMismatch,
                "Cannot \(verb) a value of non-numeric type: the field '\(name.text)' has type "
                    + value.type.alias)
        }
        guard let new = combine(old, operand) else {
            throw DBError(
                .badValue,
                "Failed to \(verb) the field '\(name.text)': the result overflows a 64-bit "
                    + "integer")
        }
        if new.isIdentical(to: old) { return .unchanged }
        name.writeHeader(new.type, &writer)
        new.write(to: &writer)
        return .written
    }

    private func writeDate(
        _ name: UpdateFieldName, _ run: UpdateRun, _ writer: inout DocumentWriter
    ) {
        name.writeHeader(.date, &writer)
        writer.appendRaw(UInt64(bitPattern: run.time.millis))
    }

    private func writeTimestamp(
        _ name: UpdateFieldName, _ run: UpdateRun, _ writer: inout DocumentWriter
    ) {
        name.writeHeader(.timestamp, &writer)
        writer.appendRaw(run.time.timestamp.rawValue)
    }

    // MARK: $rename

    private func rename(
        _ source: FieldPath, over value: ValueView, _ name: UpdateFieldName, _ place: UpdatePlace,
        _ run: UpdateRun, _ writer: inout DocumentWriter
    ) throws(DBError) -> UpdateEffect {
        guard let moved = run.original.value(at: source) else { return .unchanged }
        try checkRenameTarget(place)
        guard !place.isWithinID else { throw immutableID() }
        name.write(moved, &writer)
        return .written
    }

    private func checkRenameTarget(_ place: UpdatePlace) throws(DBError) {
        guard !place.isBelowArray else {
            throw DBError(
                .badValue, "The destination field of $rename cannot be an array element")
        }
    }

    private func removeRenamed(
        _ name: UpdateFieldName, _ place: UpdatePlace
    ) throws(DBError) -> UpdateEffect {
        guard !place.isBelowArray else {
            throw DBError(
                .badValue,
                "The source field of $rename cannot be an array element: '\(name.text)'")
        }
        guard !place.isWithinID else { throw immutableID() }
        return .removed
    }

    private func immutableID() -> DBError {
        DBError(
            .immutableField,
            "Performing an update on the path '_id' would modify the immutable field '_id'")
    }
}

extension Document {
    /// The encoding of `{}` and `[]`.
    static var emptyBytes: RawSpan {
        @_lifetime(immortal)
        get { RawSpan("\u{5}\0\0\0\0") }
    }
}

extension DocumentView {
    /// The value at a path; arrays are entered by position only.
    @_lifetime(copy self)
    func value(at path: FieldPath) -> ValueView? {
        ValueView(type: .document, bytes: bytes).value(at: path)
    }
}
