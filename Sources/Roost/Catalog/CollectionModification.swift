// collMod: changing a collection's options or an index's, in one operation on the writer thread.

package import BSON
package import Query
import Storage

/// What collMod asks for; nil leaves a setting as it is.
package struct CollectionModification: Sendable {
    /// A new validator; an empty one takes the old away.
    package var validator: Document?
    package var validationLevel: String?
    package var validationAction: String?
    /// New bounds of a capped collection.
    package var cappedBytes: Int64?
    package var cappedDocuments: Int64?
    package var index: IndexModification?
    /// The age at which documents of a clustered collection or of a time series expire.
    package var expiry: ExpiryModification?
    /// Whether change streams may show images of documents.
    package var showsImages: Bool?
    /// What is to become of deleted documents.
    package var softDelete: SoftDeleteModification?
    /// New bucket spans of a time series.
    package var timeSeries: TimeSeriesChange?
    /// What a view is to show: `viewOn` and `pipeline`.
    package var view: Document?

    package init() {}

    /// Whether nothing is asked for.
    var isEmpty: Bool {
        validator == nil && validationLevel == nil && validationAction == nil
            && cappedBytes == nil && cappedDocuments == nil && index == nil && view == nil
            && showsImages == nil && expiry == nil && timeSeries == nil && softDelete == nil
    }

    /// The options with these changes.
    /// - Throws: 72 for bucket spans that shrink.
    func changed(_ old: Document) throws(DBError) -> Document {
        if let view {
            return Document { writer in
                writer.appendFields(of: view.view)
                var others = old.view.makeIterator()
                while let other = others.next() {
                    if view[other.nameString] == nil { writer.append(other) }
                }
            }
        }
        var fields: [(name: String, value: Value?)] = Self.order.map { ($0, old[$0]) }
        func set(_ name: String, _ value: Value?) {
            if let place = fields.firstIndex(where: { $0.name == name }) {
                fields[place].value = value
            }
        }
        if let validator { set("validator", validator.isEmpty ? nil : .document(validator)) }
        if let validationLevel { set("validationLevel", .string(validationLevel)) }
        if let validationAction { set("validationAction", .string(validationAction)) }
        switch expiry {
        case .after(let seconds)?: set("expireAfterSeconds", .int64(seconds))
        case .never?: set("expireAfterSeconds", nil)
        case nil: break
        }
        switch softDelete {
        case .keep(let option)?: set("softDelete", .document(option))
        case .final?: set("softDelete", nil)
        case nil: break
        }
        if let timeSeries, let kept = TimeSeries(old.view)?.options {
            set("timeseries", .document(try kept.changed(by: timeSeries).document))
        }
        // As in MongoDB, a time series takes what is meant for capped ones, and does nothing.
        if old["timeseries"] == nil {
            if let cappedBytes { set("size", CollectionOptions.number(cappedBytes)) }
            if let cappedDocuments { set("max", CollectionOptions.number(cappedDocuments)) }
        }
        let given = Document { writer in
            for (name, value) in fields { if let value { writer.append(name, value) } }
            var others = old.view.makeIterator()
            while let other = others.next() {
                if showsImages != nil, other.name.equals(Self.imagesOption) { continue }
                if !Self.order.contains(other.nameString) { writer.append(other) }
            }
            if showsImages == true {
                writer.append("\(Self.imagesOption)", ["enabled": true] as Document)
            }
        }
        return CollectionOptions.completed(given)
    }

    private static let imagesOption: StaticString = "changeStreamPreAndPostImages"

    private static let order = [
        "capped", "size", "max", "validator", "validationLevel", "validationAction",
        "expireAfterSeconds", "timeseries", "softDelete",
    ]
}

/// What is to become of documents that are deleted from now on.
package enum SoftDeleteModification: Sendable {
    /// They are kept, as the option says.
    case keep(Document)
    /// They are gone. What is in the trash stays there.
    case final
}

/// When the documents of a clustered collection expire.
package enum ExpiryModification: Sendable {
    /// Seconds after the date in `_id`.
    case after(Int64)
    case never
}

/// What collMod asks of an index; nil leaves a setting as it is.
package struct IndexModification: Sendable {
    /// Which index: one name, or a key pattern.
    package let selection: IndexSelection
    package var expireAfterSeconds: Int64?
    package var isHidden: Bool?
    /// Whether new documents may share no key.
    package var preparesUnique: Bool?
    /// Whether the index, prepared before, is to become unique.
    package var becomesUnique = false
    /// Whether becoming unique is only tried: nothing changes.
    package var isDryRun = false

    package init(_ selection: IndexSelection) {
        self.selection = selection
    }

    /// Whether no setting is named.
    package var isEmpty: Bool {
        expireAfterSeconds == nil && isHidden == nil && preparesUnique == nil && !becomesUnique
    }
}

/// The options of `create` as they are kept.
package enum CollectionOptions {
    /// Adds what a validator implies: level and action.
    package static func completed(_ options: Document) -> Document {
        guard options["validator"] != nil else { return options }
        return Document { writer in
            writer.appendFields(of: options.view)
            if options["validationLevel"] == nil { writer.append("validationLevel", "strict") }
            if options["validationAction"] == nil { writer.append("validationAction", "error") }
        }
    }

    /// A number as MongoDB shows it: int32 where that holds it.
    package static func number(_ number: Int64) -> Value {
        Int32(exactly: number).map { .int32($0) } ?? .int64(number)
    }
}

extension RoostEngine {
    /// Changes a collection. The completion brings what the reply tells of: old and new values.
    /// - Throws: through the completion `namespaceNotFound` (26), `indexNotFound` (27),
    ///   `invalidOptions` (72), `cannotConvertIndexToUnique` (359), and what a validator's parser
    ///   throws.
    package func modifyCollection(
        _ namespace: Namespace, _ modification: CollectionModification,
        completion: @escaping Completion<Document>
    ) {
        guard let wanted = modification.index, wanted.becomesUnique,
            let entry = collection(namespace),
            let index = try? entry.index(of: wanted.selection), !index.isUnique,
            index.preparesUnique
        else {
            // Where there is nothing to search, the operation itself says what is wrong.
            return modify(namespace, modification, searched: nil, completion: completion)
        }
        checkUniqueness(index, of: entry) { outcome in
            switch outcome {
            case .failure(let error): completion(.failure(error))
            case .success where wanted.isDryRun: completion(.success(Document()))
            case .success:
                self.modify(namespace, modification, searched: index, completion: completion)
            }
        }
    }

    /// Changes a collection.
    /// - Parameter searched: the index in which no two documents share a key.
    private func modify(
        _ namespace: Namespace, _ modification: CollectionModification, searched: IndexEntry?,
        completion: @escaping Completion<Document>
    ) {
        let writer = writer
        submit { transaction in
            guard let entry = writer.catalog[namespace] else {
                throw DBError(.namespaceNotFound, "ns does not exist: \(namespace)")
            }
            if let timeSeries = entry.traits.timeSeries {
                try timeSeries.check(modification)
            } else if modification.timeSeries != nil {
                throw DBError(
                    .invalidOptions,
                    "collMod.timeseries is only supported on time-series collections")
            } else if modification.cappedBytes != nil || modification.cappedDocuments != nil {
                guard entry.traits.capped != nil else {
                    throw DBError(.invalidOptions, "Collection must be capped.")
                }
            }
            if modification.expiry != nil, entry.traits.clusteredIndex == nil,
                entry.traits.timeSeries == nil
            {
                throw DBError(
                    .invalidOptions,
                    "'expireAfterSeconds' is only supported on time-series collections or when "
                        + "the collection is clustered: \(namespace)")
            }
            guard (modification.view == nil) == (entry.view == nil) || modification.isEmpty else {
                throw DBError(
                    .invalidOptions,
                    "'viewOn' and 'pipeline' are for views, the other options for collections: "
                        + "\(namespace)")
            }
            var changed = try entry.with(options: try modification.changed(entry.options))
            try WriterState.checkMayValidate(namespace, changed.traits)
            var report = Document()
            if let index = modification.index {
                let outcome = try changed.modified(index, searched: searched)
                changed = outcome.entry
                report = outcome.report
            }
            if modification.index?.isDryRun == true { return report }
            if modification.softDelete != nil {
                report = try Document.reporting(
                    changeOf: entry, to: changed, in: report, transaction)
            }
            writer.log.note(
                .modify, entry,
                ["after": .document(changed.options), "before": .document(entry.options)])
            try writer.save(changed, &transaction)
            return report
        } completion: {
            completion($0)
        }
    }
}

extension CollectionEntry {
    /// The same collection with one index changed, and what the reply tells of it.
    /// - Parameter searched: the index in which no two documents share a key.
    fileprivate func modified(
        _ modification: IndexModification, searched: IndexEntry?
    ) throws(DBError) -> (entry: CollectionEntry, report: Document) {
        let old = try index(of: modification.selection)
        var specification = old.specification
        var report: [(name: String, value: Value)] = []
        if let seconds = modification.expireAfterSeconds {
            try old.checkMayExpire()
            let before = old.specification
            if let before = before.view.value("expireAfterSeconds")?.wholeNumber {
                report.append(("expireAfterSeconds_old", .int64(before)))
            }
            report.append(("expireAfterSeconds_new", .int64(seconds)))
            specification = specification.setting(
                "expireAfterSeconds", CollectionOptions.number(seconds))
        }
        if let isHidden = modification.isHidden, isHidden != old.isHidden {
            report.append(("hidden_old", .bool(old.isHidden)))
            report.append(("hidden_new", .bool(isHidden)))
            specification = specification.setting("hidden", isHidden ? .bool(true) : nil)
        }
        if let prepares = modification.preparesUnique, prepares != old.preparesUnique,
            !old.isUnique
        {
            report.append(("prepareUnique_old", .bool(old.preparesUnique)))
            report.append(("prepareUnique_new", .bool(prepares)))
            specification = specification.setting("prepareUnique", prepares ? .bool(true) : nil)
        }
        if modification.becomesUnique, !old.isUnique {
            try old.checkMayBecomeUnique(searched)
            report.append(("unique_new", .bool(true)))
            specification = specification.setting("prepareUnique", nil)
                .setting("unique", .bool(true))
        }
        let new = IndexEntry(
            try IndexSpecification(specification.view), table: old.table, isReady: old.isReady,
            flags: old.flags)
        let fields = report
        return (
            with(indexes: indexes.map { $0 === old ? new : $0 }),
            Document { writer in for (name, value) in fields { writer.append(name, value) } }
        )
    }

    fileprivate func index(of selection: IndexSelection) throws(DBError) -> IndexEntry {
        let found: [IndexEntry]
        let text: String
        switch selection {
        case .all: (found, text) = ([], "*")
        case .names(let names):
            if names.contains(where: isIDIndex) { throw idIndexIsFixed }
            found = indexes.filter { names.contains($0.name) }
            text = names.first ?? ""
        case .keyPattern(let pattern):
            if pattern.isIDPattern { throw idIndexIsFixed }
            found = indexes.filter { $0.specification["key"] == .document(pattern) }
            text = ShellNotation.string(pattern.view)
        }
        guard let first = found.first else {
            throw DBError(.indexNotFound, "cannot find index \(text) for ns \(namespace)")
        }
        guard found.count == 1 else {
            throw DBError(
                .ambiguousIndexKeyPattern,
                "index keyPattern \(text) matches \(found.count) indexes, must use index name")
        }
        return first
    }

    private var idIndexIsFixed: DBError {
        traits.clusteredIndex == nil
            ? DBError(.invalidOptions, "can't hide _id index, nor can it expire documents")
            : DBError(DBError.Code(rawValue: 6_011_800), "Cannot hide or unhide a clustered index")
    }
}

extension IndexEntry {
    /// Refuses ages for an index whose keys are not those of one field.
    fileprivate func checkMayExpire() throws(DBError) {
        guard pattern.parts.count == 1 else {
            throw DBError(
                .invalidOptions,
                "TTL indexes are single-field indexes, compound indexes do not support TTL")
        }
        guard pattern.text == nil, pattern.parts[0].kind != .wildcard else {
            throw DBError(.invalidOptions, "Text and wildcard indexes do not support TTL")
        }
    }

    /// Refuses an index that is not prepared, or not the one that was searched.
    fileprivate func checkMayBecomeUnique(_ searched: IndexEntry?) throws(DBError) {
        guard preparesUnique else {
            throw DBError(
                .invalidOptions,
                "Cannot make the index \(name) unique before new duplicates are refused: first "
                    + "run collMod with {index: {name: '\(name)', prepareUnique: true}}")
        }
        guard searched === self else {
            throw DBError(
                .conflictingOperationInProgress,
                "The index \(name) changed while it was searched for duplicates; try again")
        }
    }
}

extension Document {
    /// A report with what collMod did about deleted documents, and what becomes of those there are.
    fileprivate static func reporting(
        changeOf entry: CollectionEntry, to changed: CollectionEntry, in report: Document,
        _ transaction: borrowing WriteTransaction
    ) throws -> Document {
        let totals = try TrashTable.totals(entry.trash, transaction)
        return Document { writer in
            writer.appendFields(of: report.view)
            writer.append("softDelete_old", entry.options["softDelete"] ?? .bool(false))
            writer.append("softDelete_new", changed.options["softDelete"] ?? .bool(false))
            let trash = writer.openDocument("trash")
            writer.append("count", totals.count)
            writer.append("bytes", totals.bytes)
            if changed.traits.softDelete == nil, totals.count > 0 {
                writer.append(
                    "note",
                    "deletes are final from now on; what was deleted before stays until it is "
                        + "restored or purged")
            }
            writer.close(trash)
        }
    }

    /// The same fields with one set where it stands, added at the end, or (nil) left out.
    fileprivate func setting(_ name: String, _ value: Value?) -> Document {
        Document { writer in
            var isDone = false
            var fields = view.makeIterator()
            while let field = fields.next() {
                guard field.nameString == name else {
                    writer.append(field)
                    continue
                }
                isDone = true
                if let value { writer.append(name, value) }
            }
            if !isDone, let value { writer.append(name, value) }
        }
    }
}
