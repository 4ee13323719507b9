// Statements of the text language that change what collections, indexes and rules there are: one
// place for the command `query` and for migrations.

package import BSON
package import Query

extension TextCommand {
    /// The collection that the statement is about; empty for security rules.
    package var collection: String {
        switch self {
        case .read(let name, _, _), .live(let name, _), .explain(let name, _, _, _),
            .insert(let name, _), .insertRows(let name, _, _, _), .update(let name, _, _, _),
            .delete(let name, _), .restore(let name, _), .purge(let name, _),
            .createIndex(let name, _), .dropIndex(let name, _), .createCollection(let name, _),
            .dropCollection(let name), .renameCollection(let name, _),
            .alterCollection(let name, _):
            name
        case .deployRules: ""
        }
    }
}

extension RoostEngine {
    /// Runs a statement that changes collections, indexes or rules; others do nothing.
    /// - Parameters:
    ///   - transaction: what it is a part of; only `create` can be one.
    ///   - interrupt: what ends the build of an index.
    /// - Throws: what the engine's functions for it throw, through the completion.
    package func define(
        _ command: TextCommand, in database: String, _ transaction: Transaction? = nil,
        _ interrupt: Interrupt = Interrupt(), completion: @escaping Completion<Void>
    ) {
        do throws(DBError) {
            try start(command, database, transaction, interrupt, completion)
        } catch {
            completion(.failure(error))
        }
    }

    private func start(
        _ command: TextCommand, _ database: String, _ transaction: Transaction?,
        _ interrupt: Interrupt, _ completion: @escaping Completion<Void>
    ) throws(DBError) {
        let namespace = Namespace(database, command.collection)
        switch command {
        case .deployRules: break
        default: try namespace.validate()
        }
        switch command {
        case .createIndex(_, let specification):
            let index = try IndexSpecification(specification.view)
            if let transaction {
                transaction.createIndexes(namespace, [index]) { completion($0.map { _ in () }) }
            } else {
                createIndexes(namespace, [index], interrupt) { completion($0.map { _ in () }) }
            }
        case .dropIndex(_, let name):
            dropIndexes(namespace, .names([name])) { completion($0.map { _ in () }) }
        case .createCollection(_, let given):
            let options = CollectionOptions.completed(try Self.kept(given))
            _ = try CollectionTraits(options)
            if let transaction {
                transaction.createCollection(namespace, options: options, completion: completion)
            } else {
                createCollection(namespace, options: options, completion: completion)
            }
        case .dropCollection: dropCollection(namespace) { completion($0.map { _ in () }) }
        case .renameCollection(_, let target):
            renameCollection(
                namespace, to: Namespace(database, target), RenameOptions(), completion: completion)
        case .alterCollection(_, let changes):
            let modification = try CollectionModification(changes)
            modifyCollection(namespace, modification) { completion($0.map { _ in () }) }
        case .deployRules(let text, let isFile):
            guard !isFile else {
                throw DBError(
                    .illegalOperation,
                    "'deploy rules file' is for migrations, beside which the file lies; give the "
                        + "rules' text")
            }
            readerPool.submit { _ in
                do throws(DBError) {
                    _ = try self.deployRules(
                        [RulesText(name: "app.rules", text: text)], by: "deploy rules")
                    completion(.success(()))
                } catch {
                    completion(.failure(error))
                }
            }
        default: completion(.success(()))
        }
    }

    /// A cap with its size as it is kept.
    private static func kept(_ given: Document) throws(DBError) -> Document {
        guard case .int64(let size)? = given["size"] else { return given }
        let checked = try CappedLimits.checkedSize(size)
        var count: Int64?
        if case .int64(let given)? = given["max"], try CappedLimits.checkedCount(given) != nil {
            count = given
        }
        return Document { writer in
            writer.append("capped", true)
            writer.append("size", CollectionOptions.number(checked))
            if let count { writer.append("max", CollectionOptions.number(count)) }
            var others = given.view.makeIterator()
            while let other = others.next() {
                if !["capped", "size", "max"].contains(other.nameString) { writer.append(other) }
            }
        }
    }
}

extension CollectionModification {
    /// Reads `validator`, `validationLevel`, `validationAction` and `softDelete`.
    /// - Throws: for a bad retention.
    package init(_ changes: Document) throws(DBError) {
        self.init()
        if case .document(let condition)? = changes["validator"] { validator = condition }
        if case .string(let level)? = changes["validationLevel"] { validationLevel = level }
        if case .string(let action)? = changes["validationAction"] { validationAction = action }
        if let value = changes.view.value("softDelete") {
            let option = try SoftDelete.option(value, "softDelete")
            softDelete = option.map { .keep($0) } ?? .final
        }
    }
}
