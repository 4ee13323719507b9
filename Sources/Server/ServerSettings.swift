// Settings that setParameter changes and that have no other home. They last until the server ends.
//
// Roost's log has no levels of detail, so `logLevel`, `logComponentVerbosity` and `quiet` are kept
// for the tools that set them and ask for them again, and change nothing that is written.

import BSON
import Synchronization

/// The settings of one server.
final class ServerSettings: Sendable {
    /// All of them, as one value: a command with several settings changes all or none.
    struct Values: Sendable {
        var isQuiet = false
        /// A text that hello shows nowhere yet; for MongoDB's automation.
        var automationServiceDescriptor = ""
        /// By the component's path; the empty one is `logLevel`. What is not there is -1: as the
        /// component above.
        var verbosity: [String: Int32] = ["": 0]
        /// A limit for the images of several tenants; there is never more than one.
        var tenantImageSeconds: Int64 = 3_600
        /// Whether migrations wait for updates; there are none.
        var pausesMigrations = false
        /// Changes nothing: what is stored has one form, whichever version clients ask for.
        var featureCompatibility = Version.featureCompatibility
    }

    private let state = Mutex(Values())

    /// The settings now.
    var values: Values { state.withLock { $0 } }

    /// Changes settings; none where `body` throws.
    func change(_ body: (inout Values) throws(DBError) -> Void) throws(DBError) {
        // The lock is held only to exchange the values: two commands at once may each win a part.
        var changed = values
        try body(&changed)
        let new = changed
        state.withLock { $0 = new }
    }
}

/// The tree of `logComponentVerbosity`.
enum LogComponents {
    /// The components that MongoDB has, those within others behind a dot.
    private static let names = [
        "accessControl", "assert", "command", "connectionPool", "control", "executor", "ftdc",
        "geo",
        "globalIndex", "index", "network", "network.asio", "network.bridge",
        "network.connectionPool",
        "processHealth", "query", "query.optimizer", "queryStats", "replication",
        "replication.election", "replication.heartbeats", "replication.initialSync",
        "replication.rollback", "resharding", "sharding", "sharding.rangeDeleter",
        "sharding.migration", "storage", "storage.journal", "storage.recovery", "storage.wt",
        "test",
        "tenantMigration", "transaction", "write",
    ]

    /// The setting as getParameter shows it.
    static func document(_ verbosity: [String: Int32]) -> Document {
        Document { writer in append("", verbosity, &writer) }
    }

    private static func append(
        _ component: String, _ verbosity: [String: Int32], _ writer: inout DocumentWriter
    ) {
        writer.append("verbosity", verbosity[component] ?? -1)
        let prefix = component.isEmpty ? "" : "\(component)."
        for name in names where name.hasPrefix(prefix) {
            let rest = name.dropFirst(prefix.count)
            guard !rest.contains(".") else { continue }
            let inner = writer.openDocument(String(rest))
            append(name, verbosity, &writer)
            writer.close(inner)
        }
    }

    /// Reads what setParameter brings: `{component: 2}` or `{component: {verbosity: 2, …}}`.
    /// - Throws: 2 for unknown components and for what is no verbosity.
    static func read(
        _ given: DocumentView, under component: String = "",
        into verbosity: inout [String: Int32]
    ) throws(DBError) {
        var fields = given.makeIterator()
        while let field = fields.next() {
            if field.name.equals("verbosity") {
                verbosity[component] = try level(field.value)
                continue
            }
            let name =
                component.isEmpty ? field.nameString : "\(component).\(field.nameString)"
            guard names.contains(name) else {
                throw DBError(.badValue, "Invalid component name \(name)")
            }
            if let inner = field.value.document {
                try read(inner, under: name, into: &verbosity)
            } else {
                verbosity[name] = try level(field.value)
            }
        }
    }

    private static func level(_ value: ValueView) throws(DBError) -> Int32 {
        guard let number = value.exactInteger, let level = Int32(exactly: number) else {
            throw DBError(.badValue, "A log component's verbosity must be a 32-bit integer")
        }
        return level
    }
}
