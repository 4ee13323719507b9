// Methods of lists, sets, maps and the differences of maps.

extension RuleEvaluator {
    // MARK: Lists

    mutating func listMethod(
        _ method: BuiltinMethod, _ list: RuleValue, _ arguments: [RuleValue]
    ) throws(RuleFailure) -> RuleValue {
        if method == .size, case .storedList(let stored) = list { return .int(Int64(stored.count)) }
        let elements = list.elements ?? []
        /// The argument's elements: lists take lists alone.
        func other() throws(RuleFailure) -> [RuleValue] {
            guard let elements = arguments.first?.elements else {
                throw mismatch("list", method, arguments.first ?? .null, expected: "list")
            }
            return elements
        }
        switch method {
        case .size: return .int(Int64(elements.count))
        case .concat:
            let joined = elements + (try other())
            try spend(textBytes: joined.count)
            return .list(joined)
        case .hasAll: return .bool(Self.hasAll(elements, try other(), .byType))
        case .hasAny: return .bool(Self.hasAny(elements, try other(), .byType))
        case .hasOnly: return .bool(Self.hasAll(try other(), elements, .byType))
        case .removeAll:
            let removed = RuleMembership(try other(), .byType)
            return .list(elements.filter { !removed.contains($0) })
        case .toSet: return .set(RuleMembership.distinct(elements))
        case .join: return try join(elements, arguments[0])
        default: throw notFound(method)
        }
    }

    private mutating func join(
        _ elements: [RuleValue], _ separator: RuleValue
    ) throws(RuleFailure) -> RuleValue {
        guard case .string(let separator) = separator else {
            throw mismatch("list", .join, separator, expected: "string")
        }
        var text = ""
        for (index, element) in elements.enumerated() {
            let part = try self.text(of: element)
            try spend(textBytes: part.utf8.count + separator.utf8.count)
            if index > 0 { text += separator }
            text += part
        }
        return .string(text)
    }

    private static func hasAll(
        _ whole: [RuleValue], _ wanted: [RuleValue], _ strictness: RuleValue.Strictness
    ) -> Bool {
        let index = RuleMembership(whole, strictness)
        return wanted.allSatisfy { index.contains($0) }
    }

    private static func hasAny(
        _ whole: [RuleValue], _ wanted: [RuleValue], _ strictness: RuleValue.Strictness
    ) -> Bool {
        let index = RuleMembership(whole, strictness)
        return wanted.contains { index.contains($0) }
    }

    // MARK: Sets

    func setMethod(
        _ method: BuiltinMethod, _ elements: [RuleValue], _ arguments: [RuleValue]
    ) throws(RuleFailure) -> RuleValue {
        let argument = arguments.first ?? .null
        /// A set's or a list's elements.
        func members() throws(RuleFailure) -> [RuleValue] {
            if case .set(let members) = argument { return members }
            guard let members = argument.elements else {
                throw mismatch("set", method, argument, expected: "set")
            }
            return members
        }
        /// A set's elements.
        func set() throws(RuleFailure) -> [RuleValue] {
            guard case .set(let members) = argument else {
                throw mismatch("set", method, argument, expected: "set")
            }
            return members
        }
        switch method {
        case .size: return .int(Int64(elements.count))
        case .hasAll: return .bool(Self.hasAll(elements, try members(), .byValue))
        case .hasAny: return .bool(Self.hasAny(elements, try members(), .byValue))
        case .hasOnly: return .bool(Self.hasAll(try members(), elements, .byValue))
        case .difference:
            let other = RuleMembership(try set(), .byValue)
            return .set(elements.filter { !other.contains($0) })
        case .intersection:
            let other = RuleMembership(try set(), .byValue)
            return .set(elements.filter { other.contains($0) })
        case .union: return .set(RuleMembership.distinct(elements + (try set())))
        default: throw notFound(method)
        }
    }

    // MARK: Maps

    func mapMethod(
        _ method: BuiltinMethod, _ map: RuleValue, _ arguments: [RuleValue]
    ) throws(RuleFailure) -> RuleValue {
        let entries = method == .get ? [] : map.entries ?? []
        switch method {
        case .size: return .int(Int64(entries.count))
        case .keys:
            return .list(
                entries.map(\.key).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
                    .map { .string($0) })
        case .values: return .list(entries.map(\.value))
        case .get: return try get(map, arguments[0], default: arguments[1])
        case .diff:
            guard arguments[0].isMap else {
                throw mismatch("map", method, arguments[0], expected: "map")
            }
            return .mapDiff(Self.difference(of: entries, from: arguments[0]))
        default: throw notFound(method)
        }
    }

    /// The value of a key, or at a list of nested keys; the default where something is missing.
    private func get(
        _ map: RuleValue, _ key: RuleValue, default other: RuleValue
    ) throws(RuleFailure) -> RuleValue {
        if case .string(let key) = key { return map.value(ofKey: key) ?? other }
        guard let keys = key.elements else {
            throw mismatch("map", .get, key, expected: "string or list")
        }
        var value = map
        for key in keys {
            guard case .string(let key) = key, let next = value.value(ofKey: key) else {
                return other
            }
            value = next
        }
        return value
    }

    private static func difference(
        of entries: [RuleMapEntry], from other: RuleValue
    ) -> RuleMapDiff {
        var added: [String] = []
        var changed: [String] = []
        var unchanged: [String] = []
        let old = Dictionary(
            (other.entries ?? []).map { (Array($0.key.utf8), $0.value) },
            uniquingKeysWith: { first, _ in first })
        var names: Set<[UInt8]> = []
        for entry in entries {
            let name = Array(entry.key.utf8)
            names.insert(name)
            guard let before = old[name] else {
                added.append(entry.key)
                continue
            }
            if entry.value.equals(before, inside: .byValue) {
                unchanged.append(entry.key)
            } else {
                changed.append(entry.key)
            }
        }
        let removed = (other.entries ?? []).map(\.key).filter { !names.contains(Array($0.utf8)) }
        return RuleMapDiff(
            added: added.sorted(), removed: removed.sorted(), changed: changed.sorted(),
            unchanged: unchanged.sorted())
    }

    func diffMethod(
        _ method: BuiltinMethod, _ diff: RuleMapDiff
    ) throws(RuleFailure) -> RuleValue {
        let names: [String]
        switch method {
        case .addedKeys: names = diff.added
        case .removedKeys: names = diff.removed
        case .changedKeys: names = diff.changed
        case .unchangedKeys: names = diff.unchanged
        case .affectedKeys: names = diff.added + diff.removed + diff.changed
        default: throw notFound(method)
        }
        return .set(names.map { .string($0) })
    }
}
