// Read and write concerns: how new what is read must be, and how safe what was written. On a single
// node every write that was acknowledged is durable, and majority-committed; so the concerns are
// checked, and those that no single node can meet are refused or reported.

import BSON
import Roost

/// A write concern that can be met or not.
struct WriteConcern: Sendable {
    /// What to say beside an otherwise successful write; nil where the concern is met.
    var failure: Document?
    /// `{w: 0}`: the client wants no details.
    var isUnacknowledged = false
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

/// What a read asks for.
enum ReadConcern {
    /// Checks a read concern, whose level is all that changes what a command does.
    static func check(
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
