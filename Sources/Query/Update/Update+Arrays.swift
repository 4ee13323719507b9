// What the array operators do to an existing field.

import BSON

extension Update {
    func applyPush(
        _ push: PushOperation, _ name: UpdateFieldName, to value: ValueView,
        _ writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> UpdateEffect {
        let array = try array(value, name)
        if push.isAppend, push.each.isEmpty { return .unchanged }
        let mark = writer.count
        name.writeHeader(.array, &writer)
        let opened = writer.openDocument()
        push.write(array, &writer, &scratch)
        writer.close(opened)
        // Sorting and cutting may leave things as they were.
        if !push.isAppend,
            writer.bytes.span.bytes.extracting(droppingFirst: opened).equals(array.bytes)
        {
            writer.truncate(to: mark)
            return .unchanged
        }
        return .written
    }

    func applyAddToSet(
        _ set: ValueSet, _ name: UpdateFieldName, to value: ValueView,
        _ writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> UpdateEffect {
        let array = try array(value, name)
        scratch.isPresent.removeAll(keepingCapacity: true)
        for _ in set.values { scratch.isPresent.append(false) }
        var missing = set.values.count
        var count = 0
        var elements = array.makeIterator()
        while let element = elements.next() {
            count += 1
            guard missing > 0 else { return .unchanged }
            if let index = set.index(of: element.value), !scratch.isPresent[index] {
                scratch.isPresent[index] = true
                missing -= 1
            }
        }
        guard missing > 0 else { return .unchanged }
        name.writeHeader(.array, &writer)
        let opened = writer.openDocument()
        writer.appendFields(of: array)
        for (index, value) in set.values.enumerated() where !scratch.isPresent[index] {
            writer.append(index: count, value.view)
            count += 1
        }
        writer.close(opened)
        return .written
    }

    func applyPop(
        first: Bool, _ name: UpdateFieldName, to value: ValueView, _ writer: inout DocumentWriter
    ) throws(DBError) -> UpdateEffect {
        guard let array = value.array else {
            throw DBError(
                .typeMismatch,
                "Path '\(name.text)' contains an element of non-array type "
                    + "'\(value.type.alias)'")
        }
        let count = array.count
        guard count > 0 else { return .unchanged }
        name.writeHeader(.array, &writer)
        let opened = writer.openDocument()
        var elements = array.makeIterator()
        if first { _ = elements.next() }
        for index in 0..<count - 1 {
            guard let element = elements.next() else { break }
            writer.append(index: index, element.value)
        }
        writer.close(opened)
        return .written
    }

    func applyPull(
        _ condition: ElementCondition, _ name: UpdateFieldName, to value: ValueView,
        _ writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) throws(DBError) -> UpdateEffect {
        let array = try array(value, name)
        let mark = writer.count
        name.writeHeader(.array, &writer)
        let opened = writer.openDocument()
        var kept = 0
        var removed = 0
        var elements = array.makeIterator()
        while let element = elements.next() {
            if try condition.matches(element.value, &scratch) {
                removed += 1
            } else {
                writer.append(index: kept, element.value)
                kept += 1
            }
        }
        guard removed > 0 else {
            writer.truncate(to: mark)
            return .unchanged
        }
        writer.close(opened)
        return .written
    }

    @_lifetime(copy value)
    private func array(_ value: ValueView, _ name: UpdateFieldName) throws(DBError) -> DocumentView
    {
        guard let array = value.array else {
            throw DBError(
                .badValue,
                "The field '\(name.text)' must be an array but is of type \(value.type.alias)")
        }
        return array
    }
}
