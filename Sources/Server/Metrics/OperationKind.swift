// The kinds of operations whose times are told apart.

import BSON

/// What a command is counted as.
enum OperationKind: Int, CaseIterable, Sendable {
    case find, getMore, aggregate, count, distinct, query, live
    case insert, update, delete, findAndModify, bulkWrite
    case commit
    /// All other commands.
    case command
    /// One whose client asked to wait until something happens; its time says nothing.
    case wait

    /// The kind of the command of that name.
    init(command name: StaticString) {
        switch "\(name)" {
        case "find": self = .find
        case "getMore": self = .getMore
        case "aggregate": self = .aggregate
        case "count": self = .count
        case "distinct": self = .distinct
        case "query": self = .query
        case "live": self = .live
        case "insert": self = .insert
        case "update": self = .update
        case "delete": self = .delete
        case "findAndModify": self = .findAndModify
        case "bulkWrite": self = .bulkWrite
        case "commitTransaction", "abortTransaction": self = .commit
        default: self = .command
        }
    }

    /// Its name in figures.
    var name: String { "\(self)" }

    /// The classes of serverStatus's opLatencies.
    enum Class: CaseIterable {
        case reads, writes, commands, transactions
    }

    /// Its class; nil for what waits.
    var latencyClass: Class? {
        switch self {
        case .find, .getMore, .aggregate, .count, .distinct, .query, .live: .reads
        case .insert, .update, .delete, .findAndModify, .bulkWrite: .writes
        case .commit: .transactions
        case .command: .commands
        case .wait: nil
        }
    }

    /// What a command that is answered later is counted as.
    func answeredLater(_ body: DocumentView) -> OperationKind {
        switch self {
        // A getMore has a limit of time only where it waits for more; so has a hello.
        case .getMore: body.value("maxTimeMS") == nil ? self : .wait
        case .command: body.value("maxAwaitTimeMS") == nil ? self : .wait
        default: self
        }
    }
}
