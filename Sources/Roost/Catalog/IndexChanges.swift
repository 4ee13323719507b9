// createIndexes and dropIndexes.

package import BSON
package import Query
import Storage

/// What createIndexes did.
package struct IndexesCreated: Sendable {
    /// Indexes before, with the `_id` index.
    package var before: Int
    /// Indexes after, with the `_id` index.
    package var after: Int
    /// Whether the collection was made for them.
    package var madeCollection: Bool
}

/// Which indexes dropIndexes removes.
package enum IndexSelection: Sendable {
    /// All but the `_id` index.
    case all
    case names([String])
    case keyPattern(Document)
}

extension RoostEngine {
    /// Makes indexes and, where the collection holds documents, builds them in the background of
    /// other commands; answers when all are ready. `interrupt` ends a build, at its time limit or
    /// from outside; its indexes are removed.
    /// - Throws: `indexOptionsConflict` (85), `indexKeySpecsConflict` (86), `cannotCreateIndex`
    ///   (67), `duplicateKey` (11000) when a unique one can't be built; nothing is made then.
    package func createIndexes(
        _ namespace: Namespace, _ specifications: [IndexSpecification],
        _ interrupt: Interrupt = Interrupt(), completion: @escaping Completion<IndexesCreated>
    ) {
        let writer = writer
        submit { transaction in
            try writer.addIndexes(namespace, specifications, &transaction)
        } completion: { outcome in
            switch outcome {
            case .failure(let error): completion(.failure(error))
            case .success(let plan):
                guard !plan.toBuild.isEmpty else {
                    completion(.success(plan.created))
                    return
                }
                IndexBuild(self, namespace, plan.toBuild, interrupt) { error in
                    completion(error.map { .failure($0) } ?? .success(plan.created))
                }.start()
            }
        }
    }

    /// Removes indexes; answers how many there were, with the `_id` index.
    /// - Throws: `namespaceNotFound` (26), `indexNotFound` (27), `invalidOptions` (72) for the
    ///   `_id` index, `ambiguousIndexKeyPattern` (181).
    package func dropIndexes(
        _ namespace: Namespace, _ selection: IndexSelection, completion: @escaping Completion<Int>
    ) {
        let writer = writer
        submit(OperationOptions(mayUseReserve: true)) { transaction in
            guard let entry = writer.catalog[namespace] else {
                throw DBError(.namespaceNotFound, "ns not found \(namespace)")
            }
            try entry.checkIsNoView()
            let names = try entry.names(of: selection)
            for index in entry.indexes where names.contains(index.name) {
                writer.builds.end(index.table)
                try transaction.dropTable(index.table)
            }
            let kept = entry.indexes.filter { !names.contains($0.name) }
            writer.log.note(
                .dropIndexes, entry,
                .listing(
                    indexes: entry.indexes.filter { names.contains($0.name) }
                        .map(\.specification)))
            try writer.save(entry.with(indexes: kept), &transaction)
            return entry.indexCount
        } completion: {
            completion($0)
        }
    }
}

/// What `addIndexes` entered in the catalog.
struct IndexPlan: Sendable {
    var created: IndexesCreated
    /// Indexes that need a build.
    var toBuild: [IndexEntry]
}

extension WriterState {
    /// Enters new indexes in the catalog. Those of an empty collection are ready at once.
    func addIndexes(
        _ namespace: Namespace, _ specifications: [IndexSpecification],
        _ transaction: inout WriteTransaction
    ) throws -> IndexPlan {
        try namespace.validate()
        let existing = catalog[namespace]
        let specifications = try specifications.map { specification throws(DBError) in
            try specification.inheriting(existing?.collation)
        }
        if let timeSeries = existing?.traits.timeSeries {
            for specification in specifications { try timeSeries.check(specification) }
        }
        let wanted = try (existing?.indexes ?? []).wanted(specifications, of: namespace)
        let entry = try collection(namespace, &transaction)
        let isEmpty = try transaction.entryCount(entry.table) == 0
        var indexes = entry.indexes
        var toBuild: [IndexEntry] = []
        for specification in wanted {
            let index = IndexEntry(
                specification, table: try transaction.createTable(), isReady: isEmpty,
                flags: IndexFlags(multikeyParts: 0, hasCutKeys: false))
            indexes.append(index)
            if !isEmpty {
                toBuild.append(index)
                builds.begin(index.table)
            }
        }
        let changed = entry.with(indexes: indexes)
        let created = IndexesCreated(
            before: entry.indexCount, after: changed.indexCount, madeCollection: existing == nil)
        if !wanted.isEmpty {
            // A build says so when it is done.
            if isEmpty {
                log.note(.createIndexes, entry, .listing(indexes: wanted.map(\.document)))
            }
            try save(changed, &transaction)
        }
        return IndexPlan(created: created, toBuild: toBuild)
    }
}

extension Document {
    /// What the log says of indexes that were made or dropped.
    static func listing(indexes: [Document]) -> Document {
        ["indexes": .array(indexes.map { .document($0) })]
    }
}

extension [IndexEntry] {
    /// The specifications that ask for an index which isn't there yet.
    /// - Throws: 85, 86 or 67 where one clashes with an index or another specification.
    fileprivate func wanted(
        _ specifications: [IndexSpecification], of namespace: Namespace
    ) throws(DBError) -> [IndexSpecification] {
        var names = Dictionary(map { ($0.name, $0.specification) }, uniquingKeysWith: { $1 })
        var identities = Dictionary(
            map { (IndexIdentity($0.specification), $0.specification) }, uniquingKeysWith: { $1 })
        var wanted: [IndexSpecification] = []
        var hasText = contains { $0.pattern.text != nil }
        for specification in specifications where !specification.isIDIndex {
            let identity = IndexIdentity(specification.document)
            if let other = names[specification.name] {
                if other.isSameIndex(as: specification.document) { continue }
                if IndexIdentity(other) == identity {
                    throw DBError(
                        .indexOptionsConflict,
                        "An equivalent index already exists with the same name but different "
                            + "options. Requested index: \(specification.text), existing index: "
                            + ShellNotation.string(other.view))
                }
                throw DBError(
                    .indexKeySpecsConflict,
                    "An existing index has the same name as the requested index. When index names "
                        + "are not specified, they are auto generated and can cause conflicts. "
                        + "Please refer to our documentation. Requested index: "
                        + "\(specification.text), existing index: \(ShellNotation.string(other.view))"
                )
            }
            if let other = identities[identity] {
                throw DBError(
                    .indexOptionsConflict,
                    "Index already exists with a different name: "
                        + (other["name"].flatMap {
                            if case .string(let name) = $0 { name } else { nil }
                        }
                            ?? ""))
            }
            if specification.pattern.text != nil, hasText {
                throw DBError(
                    .indexOptionsConflict,
                    "only one text index per collection allowed: drop the other one first")
            }
            hasText = hasText || specification.pattern.text != nil
            names[specification.name] = specification.document
            identities[identity] = specification.document
            wanted.append(specification)
        }
        guard count + 1 + wanted.count <= IndexSpecification.indexesMax else {
            throw DBError(
                .cannotCreateIndex,
                "add index fails, too many indexes for \(namespace): at most "
                    + "\(IndexSpecification.indexesMax)")
        }
        return wanted
    }
}

extension IndexSpecification {
    /// The specification for messages.
    fileprivate var text: String { ShellNotation.string(document.view) }
}

extension Document {
    /// Whether two specifications ask for the same; how the build runs doesn't count, nor in what
    /// order a partial filter names its conditions.
    fileprivate func isSameIndex(as other: Document) -> Bool {
        plainOptions == other.plainOptions && IndexIdentity(self) == IndexIdentity(other)
    }

    private var plainOptions: Document {
        Document { writer in
            var fields = view.makeIterator()
            while let field = fields.next() {
                if field.name.equals("background") { continue }
                if !field.name.equals("partialFilterExpression") { writer.append(field) }
            }
        }
    }
}

/// What makes two indexes the same: key pattern, uniqueness, sparseness, partial
/// filter, collation.
private struct IndexIdentity: Hashable {
    private let parts: [Value?]
    /// The conditions of the partial filter, which may come in any order.
    private let conditions: Set<FilterNode>

    init(_ specification: Document) {
        parts = ["key", "unique", "sparse", "collation", "wildcardProjection"].map {
            specification[$0]
        }
        conditions = Self.conditions(specification.view.value("partialFilterExpression")?.document)
    }

    private static func conditions(_ filter: DocumentView?) -> Set<FilterNode> {
        // Whoever made the specification has parsed the filter before, so it parses.
        guard let filter, let root = try? Filter.parse(filter, FilterOptions()).root else {
            return []
        }
        if case .and(let nodes) = root { return Set(nodes) }
        return [root]
    }
}

extension CollectionEntry {
    /// The names of the indexes that a selection is about.
    fileprivate func names(of selection: IndexSelection) throws(DBError) -> Set<String> {
        switch selection {
        case .all: return Set(indexes.map(\.name))
        case .names(let names):
            for name in names {
                if isIDIndex(name) { throw idIndexStays }
                guard index(named: name) != nil else {
                    throw DBError(
                        .indexNotFound, "index not found with name [\(name)]")
                }
            }
            return Set(names)
        case .keyPattern(let pattern):
            if pattern.view.compare(Self.idPattern.view) == 0 { throw idIndexStays }
            let matching = indexes.filter {
                $0.specification["key"] == .document(pattern)
            }
            guard let first = matching.first else {
                throw DBError(
                    .indexNotFound,
                    "can't find index with key: \(ShellNotation.string(pattern.view))")
            }
            guard matching.count == 1 else {
                throw DBError(
                    .ambiguousIndexKeyPattern,
                    "\(matching.count) indexes have the key "
                        + "\(ShellNotation.string(pattern.view)); drop one by its name")
            }
            return [first.name]
        }
    }

    private static let idPattern: Document = ["_id": 1]

    private var idIndexStays: DBError {
        traits.clusteredIndex == nil
            ? DBError(.invalidOptions, "cannot drop _id index")
            : DBError(DBError.Code(rawValue: 5_979_800), "Cannot drop the clustered index")
    }
}
