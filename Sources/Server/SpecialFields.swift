// The fields that every command may carry and that change how it runs: sessions, transaction
// numbers, concerns, the versioned API, time limits. Most commands carry none of them, or only
// `lsid`, so all this is off the common path.

import BSON
import Roost
import Wire

/// The common fields of one command.
struct SpecialFields: Sendable {
    /// When to give up, in nanoseconds of the monotonic clock; 0 without `maxTimeMS`.
    private var deadlineNanos: UInt64 = 0
    /// `maxTimeMS` in milliseconds, for `getMore` and `hello`; 0 where it was not sent.
    var maxTimeMillis: Int64 = 0
    /// The number of a retryable write.
    var transactionNumber: Int64?
    var writeConcern = WriteConcern()
    /// The transaction that the command says to belong to.
    var statement: TransactionStatement?
    /// The transaction itself, while it is open.
    var transaction: Transaction?
    /// The snapshot to read, in a transaction or as the read concern asks.
    var view: ReadView?
    /// The time whose snapshot the read concern asks for: `.some(nil)` for the newest.
    var snapshotTime: Timestamp??
    /// The session, if the client named one.
    var session: SessionID?
    /// Whether `apiStrict: true` was sent.
    var isStrictAPI = false

    init() {}

    /// Whether there is a time limit.
    var hasDeadline: Bool { deadlineNanos != 0 }

    /// When to give up; nil without `maxTimeMS`.
    var deadline: ContinuousClock.Instant? {
        guard hasDeadline else { return nil }
        return .now + .nanoseconds(Int64(deadlineNanos) - Int64(Clock.nanos))
    }

    /// Reads and checks the fields of a request.
    /// - Parameter takesNumbers: whether the connection takes transactions and retryable writes.
    init(
        _ arguments: Arguments, _ request: borrowing Request,
        _ command: CommandDefinition, _ core: ServerCore, takesNumbers: Bool
    ) throws(DBError) {
        if let lsid = arguments.value("lsid", request, command)?.document {
            session = try SessionID(lsid)
        }
        guard arguments.hasSpecialCommonFields else { return }
        try readMaxTime(arguments, request, command)
        try readTransaction(arguments, request, command, core, takesNumbers)
        try readVersionedAPI(arguments, request, command)
        if let concern = arguments.value("readConcern", request, command)?.document {
            try ReadConcern.check(
                concern, command, core, isInTransaction: statement != nil)
            try readSnapshot(concern, command)
        }
        if let concern = arguments.value("writeConcern", request, command)?.document {
            guard command.options.contains(.isWrite) else {
                throw DBError(
                    .invalidOptions, "Command does not support writeConcern")
            }
            if let statement, !statement.isEnd {
                throw DBError(
                    .invalidOptions,
                    "writeConcern is not allowed within a multi-statement transaction")
            }
            writeConcern = try WriteConcern(concern, core)
        }
    }

    private mutating func readMaxTime(
        _ arguments: Arguments, _ request: borrowing Request,
        _ command: CommandDefinition
    ) throws(DBError) {
        guard let value = arguments.value("maxTimeMS", request, command), value.isNumeric else {
            return
        }
        guard let millis = value.exactInteger else {
            throw DBError(.failedToParse, "maxTimeMS has non-integral value")
        }
        guard millis >= 0, millis <= Int64(Int32.max) else {
            throw DBError(
                .badValue, "\(millis) value for maxTimeMS is out of range [0, 2147483647]")
        }
        maxTimeMillis = millis
        if millis > 0 { deadlineNanos = Clock.nanos + UInt64(millis) * 1_000_000 }
    }

    private mutating func readTransaction(
        _ arguments: Arguments, _ request: borrowing Request,
        _ command: CommandDefinition,
        _ core: ServerCore, _ takesNumbers: Bool
    ) throws(DBError) {
        let number = arguments.value("txnNumber", request, command)?.int64
        if arguments.value("startTransaction", request, command) != nil
            || arguments.value("autocommit", request, command) != nil
        {
            guard number != nil else {
                throw DBError(
                    .invalidOptions,
                    "'startTransaction' and 'autocommit' need a transaction number")
            }
            guard takesNumbers else { throw Self.transactionNumbersRefused }
            try readStatement(arguments, request, command)
            statement?.isSerializable = core.options.transactionsAreSerializable
            return
        }
        guard let number else { return }
        guard takesNumbers else { throw Self.transactionNumbersRefused }
        guard session != nil else {
            throw DBError(
                .invalidOptions, "Transaction number requires a session ID to also be specified")
        }
        guard number >= 0 else {
            throw DBError(.invalidOptions, "Transaction number cannot be negative")
        }
        guard command.options.contains(.isRetryableWrite) else {
            throw DBError(
                DBError.Code(rawValue: 50768),
                "txnNumber may only be provided for multi-document transactions and retryable "
                    + "write commands. autocommit:false was not provided, and \(command.name) "
                    + "is not a retryable write command.")
        }
        transactionNumber = number
    }

    /// Reads the fields of a transaction's statement.
    private mutating func readStatement(
        _ arguments: Arguments, _ request: borrowing Request, _ command: CommandDefinition
    ) throws(DBError) {
        guard session != nil else {
            throw DBError(
                .invalidOptions, "Transaction number requires a session ID to also be specified")
        }
        guard let number = arguments.value("txnNumber", request, command)?.int64, number >= 0 else {
            throw DBError(.invalidOptions, "Transaction number cannot be negative")
        }
        let isFirst = arguments.value("startTransaction", request, command)?.bool
        guard isFirst != false else {
            throw DBError(.invalidOptions, "Specifying startTransaction=false is not allowed.")
        }
        switch arguments.value("autocommit", request, command)?.bool {
        case false?: break
        case true?:
            throw DBError(.invalidOptions, "Specifying autocommit=true is not allowed.")
        case nil:
            throw DBError(
                .invalidOptions, "startTransaction requires autocommit=false to be specified")
        }
        guard command.options.contains(.inTransaction) else {
            throw DBError(
                .operationNotSupportedInTransaction,
                "Cannot run '\(command.name)' in a multi-document transaction.")
        }
        let database = arguments.value("$db", request, command)?.string ?? ""
        guard
            // The results of bulkWrite are a cursor of admin's.
            command.options.contains(.adminOnly) || command === GetMore.definition
                || !["admin", "config", "local"].contains(database)
        else {
            throw DBError(
                .operationNotSupportedInTransaction,
                "Cannot run command against the '\(database)' database in a transaction.")
        }
        let isEnd = command === TransactionCommands.commit || command === TransactionCommands.abort
        statement = TransactionStatement(number: number, isFirst: isFirst == true, isEnd: isEnd)
    }

    /// Reads what a read concern asks of the snapshot; `ReadConcern.check` has looked at its types.
    private mutating func readSnapshot(
        _ concern: DocumentView, _ command: CommandDefinition
    ) throws(DBError) {
        let level = concern.value("level")?.string
        let time = concern.value("atClusterTime")
        if let statement {
            guard statement.isFirst else {
                throw DBError(
                    .invalidOptions,
                    "Only the first command in a transaction may specify a readConcern")
            }
            let levels = ["local", "majority", "snapshot", "serializable"]
            guard level == nil || levels.contains(level ?? "") else {
                throw DBError(
                    .invalidOptions,
                    "The readConcern level must be either 'local' (default), 'majority', "
                        + "'snapshot' or 'serializable' in order to run in a transaction")
            }
            if level == "serializable" { self.statement?.isSerializable = true }
            return
        }
        if let time, time.type != .timestamp {
            throw DBError(
                .typeMismatch,
                "BSON field 'readConcern.atClusterTime' is the wrong type '\(time.type.alias)', "
                    + "expected type 'timestamp'")
        }
        guard level == "snapshot" else {
            guard time == nil else {
                throw DBError(
                    .invalidOptions,
                    "readConcern.atClusterTime field can be set only if readConcern.level is equal "
                        + "to snapshot")
            }
            return
        }
        guard time == nil || concern.value("afterClusterTime") == nil else {
            throw DBError(
                .invalidOptions,
                "Specifying a timestamp for readConcern snapshot in a causally "
                    + "consistent session is not allowed")
        }
        if command.options.contains(.takesSnapshot) {
            snapshotTime = .some(time?.timestamp)
        } else if command !== GetMore.definition {
            // A getMore goes on in the snapshot of its cursor.
            throw DBError(
                .invalidOptions,
                "Command \(command.name) does not support { readConcern: { level: \"snapshot\" } } "
                    + "outside of a transaction")
        }
    }

    private static var transactionNumbersRefused: DBError {
        DBError(
            .illegalOperation,
            "Transaction numbers are only allowed on a replica set member or mongos")
    }

    private mutating func readVersionedAPI(
        _ arguments: Arguments, _ request: borrowing Request,
        _ command: CommandDefinition
    ) throws(DBError) {
        let version = arguments.value("apiVersion", request, command)?.string
        let isStrict = arguments.value("apiStrict", request, command)?.bool
        guard let version else {
            if isStrict != nil || arguments.value("apiDeprecationErrors", request, command) != nil {
                throw DBError(
                    DBError.Code(rawValue: 4_886_600),
                    "Provided apiStrict and/or apiDeprecationErrors without passing apiVersion")
            }
            return
        }
        guard version == "1" else {
            throw DBError(.apiVersionError, "API version must be \"1\"")
        }
        isStrictAPI = isStrict == true
        if isStrictAPI, !command.options.contains(.inStableAPI) {
            throw DBError(
                .apiStrictError,
                "Provided apiStrict:true, but the command \(command.name) is not in API "
                    + "Version 1. Information on supported commands and migrations in API "
                    + "Version 1 can be found at https://dochub.mongodb.org/core/manual-versioned-api"
            )
        }
    }
}
