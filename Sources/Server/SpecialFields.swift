// The fields that every command may carry and that change how it runs: sessions, transaction
// numbers, concerns, the versioned API, time limits. Most commands carry none of them, or only
// `lsid`, so all this is off the common path.

import BSON
import Roost
import Wire

/// A write concern that can be met or not.
struct WriteConcern: Sendable {
    /// What to say beside an otherwise successful write; nil where the concern is met.
    var failure: Document?
    /// `{w: 0}`: the client wants no details.
    var isUnacknowledged = false
}

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

    /// Reads and checks the fields of `call`.
    init(
        _ arguments: Arguments, _ request: borrowing Request,
        _ command: CommandDefinition, _ core: ServerCore
    ) throws(DBError) {
        if let lsid = arguments.value("lsid", request, command)?.document {
            session = try SessionID(lsid)
        }
        guard arguments.hasSpecialCommonFields else { return }
        try readMaxTime(arguments, request, command)
        try readTransaction(arguments, request, command, core)
        try readVersionedAPI(arguments, request, command)
        if let concern = arguments.value("readConcern", request, command)?.document {
            try Self.checkReadConcern(
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
        _ core: ServerCore
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
            guard core.topology.isReplicaSet else { throw Self.transactionNumbersRefused }
            try readStatement(arguments, request, command)
            statement?.isSerializable = core.options.transactionsAreSerializable
            return
        }
        guard let number else { return }
        guard core.topology.isReplicaSet else { throw Self.transactionNumbersRefused }
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

    /// Reads what a read concern asks of the snapshot; `checkReadConcern` has looked at its types.
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

    private static func checkReadConcern(
        _ concern: DocumentView, _ command: CommandDefinition, _ core: ServerCore,
        isInTransaction: Bool
    ) throws(DBError) {
        var fields = concern.makeIterator()
        while let field = fields.next() {
            switch field.nameString {
            case "level":
                if field.value.type == .null { continue }
                guard let level = field.value.string else {
                    throw DBError(
                        .typeMismatch,
                        "BSON field 'readConcern.level' is the wrong type "
                            + "'\(field.value.type.alias)', expected type 'string'")
                }
                guard
                    ["local", "available", "majority", "linearizable", "snapshot"].contains(level)
                        || level == "serializable" && isInTransaction
                else {
                    throw DBError(
                        .badValue,
                        level == "serializable"
                            ? "readConcern level 'serializable' belongs to a transaction's first "
                                + "statement; outside of transactions use 'linearizable'"
                            : "Enumeration value '\(level)' for field 'readConcern.level' is not "
                                + "a valid value.")
                }
                if level != "local", level != "serializable",
                    !command.options.contains(.takesReadConcern)
                {
                    throw DBError(
                        .invalidOptions,
                        "Command \(command.name) does not support { readConcern: { level: "
                            + "\"\(level)\" } } :: caused by :: read concern not supported")
                }
                // The commands that refuse it in any case say so themselves.
                if level == "snapshot", !core.topology.isReplicaSet,
                    command.options.contains(.takesSnapshot)
                {
                    throw DBError(
                        DBError.Code(rawValue: 246),
                        "readConcern level snapshot needs a replica set; start Roost with "
                            + "--replica-set NAME")
                }
            case "afterClusterTime":
                guard field.value.type == .timestamp else {
                    throw DBError(
                        .typeMismatch,
                        "BSON field 'readConcern.afterClusterTime' is the wrong type "
                            + "'\(field.value.type.alias)', expected type 'timestamp'")
                }
                guard field.value.timestamp != Timestamp(rawValue: 0) else {
                    throw DBError(
                        .invalidOptions,
                        "readConcern.afterClusterTime cannot be a null timestamp")
                }
                guard core.topology.isReplicaSet else {
                    throw DBError(
                        .illegalOperation,
                        "Cannot specify afterClusterTime readConcern without replication enabled")
                }
            case "provenance": try checkProvenance(field.value, "readConcern")
            case "afterOpTime", "atClusterTime", "allowTransactionTableSnapshot",
                "waitLastStableRecoveryTimestamp":
                continue
            default:
                throw DBError(
                    .idlUnknownField,
                    "BSON field 'readConcern.\(field.nameString)' is an unknown field.")
            }
        }
    }
}

/// Checks where a concern is said to come from.
private func checkProvenance(_ value: ValueView, _ place: String) throws(DBError) {
    if value.type == .null { return }
    guard let provenance = value.string else {
        throw DBError(
            .typeMismatch,
            "BSON field '\(place).provenance' is the wrong type '\(value.type.alias)', expected "
                + "type 'string'")
    }
    let known = ["clientSupplied", "implicitDefault", "customDefault", "getLastErrorDefaults"]
    guard known.contains(provenance) else {
        throw DBError(
            .badValue,
            "Enumeration value '\(provenance)' for field '\(place).provenance' is not a valid "
                + "value.")
    }
}

extension WriteConcern {
    /// Reads a write concern. One that a single node can't meet becomes `failure`.
    init(_ concern: DocumentView, _ core: ServerCore) throws(DBError) {
        var fields = concern.makeIterator()
        while let field = fields.next() {
            switch field.nameString {
            case "w": try readNodes(field.value, core)
            case "j", "fsync":
                let type = field.value.type
                guard type.isNumeric || type == .bool || type == .null else {
                    throw DBError(
                        .typeMismatch,
                        "BSON field 'writeConcern.\(field.nameString)' is the wrong type "
                            + "'\(type.alias)', expected \(FieldTypes.truth.expectation)")
                }
            case "wtimeout":
                // Other types than numbers are ignored, as MongoDB does.
                let millis = field.value.truncatedInteger ?? 0
                guard millis <= Int64(Int32.max) else {
                    throw DBError(
                        .failedToParse, "wtimeout must be at most \(Int32.max) milliseconds")
                }
            case "provenance": try checkProvenance(field.value, "writeConcern")
            case "wElectionId", "wOpTime", "getLastError": continue
            default:
                throw DBError(
                    .idlUnknownField,
                    "BSON field 'writeConcern.\(field.nameString)' is an unknown field.")
            }
        }
    }

    private mutating func readNodes(_ value: ValueView, _ core: ServerCore) throws(DBError) {
        if let mode = value.string {
            if mode == "majority" { return }
            guard core.topology.isReplicaSet else {
                throw DBError(
                    .badValue,
                    "cannot use non-majority 'w' mode \"\(mode)\" when a host is not a member "
                        + "of a replica set")
            }
            failure = Self.failure(
                .unknownReplWriteConcern,
                "No write concern mode named '\(mode)' found in replica set configuration")
            return
        }
        if let tags = value.document { return try Self.check(tags: tags) }
        guard value.isNumeric else {
            throw DBError(
                value.type == .null ? .badValue : .failedToParse,
                "w has to be a number, string, or object")
        }
        guard !value.isNaN, let nodes = value.truncatedInteger else {
            throw DBError(.failedToParse, "w must not be NaN")
        }
        guard nodes >= 0, nodes <= 50 else {
            throw DBError(
                .failedToParse, "w has to be a non-negative number and not greater than 50")
        }
        isUnacknowledged = nodes == 0
        guard nodes > 1 else { return }
        guard core.topology.isReplicaSet else {
            throw DBError(
                .badValue, "cannot use 'w' > 1 when a host is not replicated")
        }
        failure = Self.failure(
            .unsatisfiableWriteConcern, "Not enough data-bearing nodes")
    }

    private static func check(tags: DocumentView) throws(DBError) {
        guard !tags.isEmpty else {
            throw DBError(.failedToParse, "tagged write concern requires tags")
        }
        var fields = tags.makeIterator()
        while let field = fields.next() {
            guard field.value.isNumeric else {
                throw DBError(
                    .failedToParse, "tags must be a single level document with only number values")
            }
        }
    }

    private static func failure(_ code: DBError.Code, _ message: String) -> Document {
        [
            "code": .int32(code.rawValue), "codeName": .string(code.name),
            "errmsg": .string(message),
            "errInfo": ["writeConcern": [:]],
        ]
    }
}
