// setParameter: the settings that can be changed while the server runs.

import BSON
import Roost
import Synchronization
import Wire

enum SetParameter {
    static let definition = CommandDefinition(
        "setParameter", [.adminOnly, .takesAnyField], access: .cluster([.setParameter]),
        help: "changes a setting", run: run)

    /// The settings that this command knows.
    static let names: Set<String> = [
        "automationServiceDescriptor", "logComponentVerbosity", "logLevel", "quiet",
        "transactionLifetimeLimitSeconds", "ttlMonitorEnabled", "ttlMonitorSleepSecs",
    ]

    /// Those behind `--test-commands`.
    private static let testNames: Set<String> = ["unreadReplyMillis"]

    /// Fields that any command may have beside its own.
    private static let commonFields: Set<String> = [
        "$clusterTime", "$db", "$readPreference", "apiDeprecationErrors", "apiStrict", "apiVersion",
        "comment", "lsid", "maxTimeMS", "readConcern", "writeConcern",
    ]

    /// A setting that is yet to be set, in the engine or the server.
    private enum LaterSetting {
        case unreadMillis(Int64)
        case expirySleepSeconds(Int)
        case expiryEnabled(Bool)
        case transactionSeconds(Double)
    }

    /// Changes all settings that are named, or none.
    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let before = GetParameter.settings(call.core)
        var first: String?
        var later: [LaterSetting] = []
        let body = call.body
        try call.core.settings.change { values throws(DBError) in
            var fields = body.makeIterator()
            _ = fields.next()
            while let field = fields.next() {
                let name = field.nameString
                if commonFields.contains(name) { continue }
                guard name != "featureCompatibilityVersion" else {
                    throw DBError(
                        .illegalOperation,
                        "cannot set featureCompatibilityVersion by setParameter; use "
                            + "setFeatureCompatibilityVersion")
                }
                let isKnown =
                    names.contains(name)
                    || call.core.options.offersTestCommands && testNames.contains(name)
                guard isKnown else {
                    throw DBError(
                        .invalidOptions,
                        "attempted to set unrecognized parameter [\(name)], use help:true to see "
                            + "options")
                }
                first = first ?? name
                if let setting = try set(name, field.value, &values) { later.append(setting) }
            }
        }
        guard let first else {
            throw DBError(.invalidOptions, "no option found to set, use help:true to see options")
        }
        for setting in later {
            switch setting {
            case .expirySleepSeconds(let seconds):
                call.core.engine.expiry.set(sleepSeconds: seconds)
            case .expiryEnabled(let isEnabled): call.core.engine.expiry.set(isEnabled: isEnabled)
            case .transactionSeconds(let seconds):
                call.core.engine.transactions.secondsMax = seconds
            case .unreadMillis(let millis):
                call.core.unreadMillis.store(millis, ordering: .relaxed)
            }
        }
        if let was = before.first(where: { $0.name == first }) {
            let document = Document { $0.append("was", was.value) }
            reply.appendFields(of: document.view)
        }
        return .done
    }

    /// Sets one, or answers what is to be set when all are known to be right.
    private static func set(
        _ name: String, _ value: ValueView, _ values: inout ServerSettings.Values
    ) throws(DBError) -> LaterSetting? {
        switch name {
        case "logLevel":
            values.verbosity[""] = Int32(
                try integer(name, value, 0...Int64(Int32.max), acceptsBool: true))
        case "logComponentVerbosity":
            guard let document = value.document else {
                throw DBError(
                    .typeMismatch,
                    "log component verbosity is not a BSON object: "
                        + value.type.alias)
            }
            try LogComponents.read(document, into: &values.verbosity)
        case "quiet": values.isQuiet = value.isTruthy
        case "automationServiceDescriptor":
            guard let text = value.string else {
                throw DBError(
                    .typeMismatch,
                    "automationServiceDescriptor must be a string, not a value of "
                        + "type \(value.type.alias)")
            }
            guard text.utf8.count <= 64 else {
                throw DBError(
                    .overflow, "automationServiceDescriptor can't be longer than 64 bytes")
            }
            values.automationServiceDescriptor = text
        case "ttlMonitorSleepSecs":
            return .expirySleepSeconds(
                Int(clamping: try integer(name, value, 1...Int64(Int32.max))))
        case "ttlMonitorEnabled":
            guard value.type == .bool || value.isNumeric else {
                throw DBError(
                    .badValue, "Invalid value for parameter ttlMonitorEnabled: it must be a bool")
            }
            return .expiryEnabled(value.isTruthy)
        case "unreadReplyMillis":
            return .unreadMillis(try integer(name, value, 1...3_600_000))
        default:
            return .transactionSeconds(Double(try integer(name, value, 1...86_400)))
        }
        return nil
    }

    private static func integer(
        _ name: String, _ value: ValueView, _ range: ClosedRange<Int64>, acceptsBool: Bool = false
    ) throws(DBError) -> Int64 {
        var number = value.truncatedInteger
        if acceptsBool, value.type == .bool { number = value.isTruthy ? 1 : 0 }
        guard let number, range.contains(number) else {
            throw DBError(
                .badValue,
                "Invalid value for parameter \(name): it must be a number between "
                    + "\(range.lowerBound) and \(range.upperBound)")
        }
        return number
    }
}
