// The array filters of an update: which elements `$[identifier]` means.

import BSON

/// Parsed array filters.
struct ArrayFilters: Sendable {
    private let filters: [(identifier: String, filter: Filter)]

    /// No filters.
    init() {
        filters = []
    }

    /// Parses the `arrayFilters` of a statement.
    ///
    /// - Throws: 14 for an element that is no object; 9 for two identifiers in one filter, none,
    ///   or one filtered twice; 2 for a bad identifier; what the filters themselves throw.
    init(_ array: DocumentView, _ options: FilterOptions) throws(DBError) {
        var filters: [(identifier: String, filter: Filter)] = []
        var elements = array.makeIterator()
        while let element = elements.next() {
            guard let document = element.value.document else {
                throw DBError(
                    .typeMismatch,
                    "arrayFilters must hold objects, not \(element.value.type.alias)")
            }
            var identifier: String?
            try ArrayFilters.findIdentifier(document, &identifier)
            var options = options
            options.placeholder = identifier
            let filter = try Filter.parse(document, options)
            guard let identifier else {
                throw DBError(
                    .failedToParse,
                    "Cannot use an expression without a top-level field name in arrayFilters")
            }
            guard !filters.contains(where: { $0.identifier == identifier }) else {
                throw DBError(
                    .failedToParse,
                    "Found multiple array filters with the same top-level field name "
                        + identifier)
            }
            filters.append((identifier, filter))
        }
        self.filters = filters
    }

    /// The filter of an identifier; 2 where there is none.
    func index(of identifier: String) throws(DBError) -> Int {
        guard let index = filters.firstIndex(where: { $0.identifier == identifier }) else {
            throw DBError(
                .badValue, "No array filter found for identifier '\(identifier)' in path")
        }
        return index
    }

    /// Throws 9 unless each filter is among those used.
    func checkUsed(_ used: Set<Int>) throws(DBError) {
        for (index, entry) in filters.enumerated() where !used.contains(index) {
            throw DBError(
                .failedToParse,
                "The array filter for identifier '\(entry.identifier)' was not used in the update")
        }
    }

    /// Whether the filter at `index` accepts an element.
    func matches(
        _ index: Int, _ element: ValueView, _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        try filters[index].filter.matches(value: element, &scratch.match)
    }

    /// Finds the one name that all top-level paths of a filter begin with.
    private static func findIdentifier(
        _ filter: DocumentView, _ identifier: inout String?
    ) throws(DBError) {
        var elements = filter.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if name.hasPrefix("$") {
                guard name != "$text", name != "$where" else {
                    throw DBError(.badValue, "\(name) is not allowed in arrayFilters")
                }
                guard let branches = element.value.array else { continue }
                var branch = branches.makeIterator()
                while let document = branch.next()?.value.document {
                    try findIdentifier(document, &identifier)
                }
                continue
            }
            let found = String(name.prefix { $0 != "." })
            if let identifier, identifier != found {
                throw DBError(
                    .failedToParse,
                    "Error parsing array filter: expected a single top-level field name, found "
                        + "'\(identifier)' and '\(found)'")
            }
            guard isIdentifier(found) else {
                throw DBError(
                    .badValue,
                    "Error parsing array filter: the top-level field name must be an alphanumeric "
                        + "string beginning with a lowercase letter, found '\(found)'")
            }
            identifier = found
        }
    }

    private static func isIdentifier(_ name: String) -> Bool {
        guard let first = name.utf8.first, first >= 97, first <= 122 else { return false }
        return name.utf8.allSatisfy { byte in
            (97...122).contains(byte) || (65...90).contains(byte) || (48...57).contains(byte)
        }
    }
}
