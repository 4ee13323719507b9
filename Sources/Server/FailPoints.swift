// `failCommand`, with which drivers' own tests make commands fail. Only with --test-commands.

import BSON
import Synchronization

/// What the fail point does to one command.
struct InjectedFailure: Sendable {
    var closesConnection = false
    var error: DBError?
    var writeConcernError: Document?
    var blockMillis: Int64 = 0
}

/// The state of `failCommand`.
final class FailPoints: Sendable {
    private struct Configuration: Sendable {
        var mode: FailPointMode
        var commands: Set<String> = []
        var appName: String?
        var failure = InjectedFailure()
    }

    private let active = Atomic<Bool>(false)
    private let configuration = Mutex<Configuration?>(nil)

    /// `onPrimaryTransactionalWrite`.
    let write = WriteFailPoint()
    /// `failGetMoreAfterCursorCheckout`: the code that getMores fail with, and how many more.
    private let getMoreFailure = Mutex<(code: Int32, times: Int64)?>(nil)

    /// Configures `failGetMoreAfterCursorCheckout`.
    func configureGetMore(mode: Value, data: Document?) {
        let code = data?.view.value("errorCode")?.truncatedInteger
        getMoreFailure.withLock { failure in
            guard mode != "off", let code else { return failure = nil }
            var times = Int64.max
            if case .document(let document) = mode {
                times = document.view.value("times")?.truncatedInteger ?? times
            }
            failure = (Int32(clamping: code), times)
        }
    }

    /// The error that this getMore fails with, if any.
    func takeGetMoreFailure() -> DBError? {
        getMoreFailure.withLock { failure in
            guard let (code, times) = failure else { return nil }
            failure = times > 1 ? (code, times - 1) : nil
            return DBError(
                DBError.Code(rawValue: code),
                "Failing getMore via 'failGetMoreAfterCursorCheckout' failpoint")
        }
    }

    private let expiring = Atomic<Bool>(false)

    /// `maxTimeAlwaysTimeOut`: whether every command with a time limit is over it.
    var expiresAllDeadlines: Bool { expiring.load(ordering: .relaxed) }

    /// Switches `maxTimeAlwaysTimeOut`.
    func setExpiresAllDeadlines(_ isOn: Bool) { expiring.store(isOn, ordering: .relaxed) }

    /// Whether any command may fail: read on each command.
    var isActive: Bool { active.load(ordering: .relaxed) }

    /// Reads the command `configureFailPoint: "failCommand"`.
    func configure(mode: Value, data: Document?) throws(DBError) {
        var new: Configuration?
        if let mode = try FailPointMode(mode) {
            var configured = Configuration(mode: mode)
            if let data { try Self.read(data.view, into: &configured) }
            new = configured
        }
        let final = new
        configuration.withLock { $0 = final }
        active.store(final != nil, ordering: .relaxed)
    }

    private static func read(
        _ data: DocumentView, into new: inout Configuration
    ) throws(DBError) {
        var labels: [String]?
        var code: Int32?
        var fields = data.makeIterator()
        while let field = fields.next() {
            switch field.nameString {
            case "failCommands": new.commands = Set(strings(field.value))
            case "appName": new.appName = field.value.string
            case "closeConnection": new.failure.closesConnection = field.value.isTruthy
            case "errorCode": code = Int32(clamping: field.value.truncatedInteger ?? 0)
            case "errorLabels": labels = strings(field.value)
            case "writeConcernError":
                guard let error = field.value.document else { continue }
                new.failure.writeConcernError = Document(copying: error)
            case "blockConnection":
                if !field.value.isTruthy { new.failure.blockMillis = 0 }
            case "blockTimeMS":
                if data.value("blockConnection")?.isTruthy == true {
                    new.failure.blockMillis = field.value.truncatedInteger ?? 0
                }
            default: continue
            }
        }
        let details =
            labels.map { labels in
                Document { $0.append("errorLabels", .array(labels.map { .string($0) })) }
            } ?? Document()
        if let code {
            new.failure.error = DBError(
                DBError.Code(rawValue: code),
                "Failing command via 'failCommand' failpoint", details: details)
        } else if new.failure.writeConcernError != nil, let labels {
            new.failure.error = nil
            new.failure.writeConcernError = new.failure.writeConcernError.map { error in
                Document { writer in
                    writer.appendFields(of: error.view)
                    writer.append("errorLabels", .array(labels.map { .string($0) }))
                }
            }
        }
    }

    private static func strings(_ value: ValueView) -> [String] {
        guard let array = value.array else { return [] }
        var strings: [String] = []
        var elements = array.makeIterator()
        while let element = elements.next() {
            if let string = element.value.string { strings.append(string) }
        }
        return strings
    }

    /// What to do to this command; nil for nothing.
    func take(command: String, alias: String, appName: String?) -> InjectedFailure? {
        configuration.withLock { configuration in
            guard var current = configuration,
                current.commands.contains(command) || current.commands.contains(alias)
            else { return nil }
            if let wanted = current.appName, wanted != appName { return nil }
            let strikes = current.mode.strikes()
            configuration = current.mode.isSpent ? nil : current
            if current.mode.isSpent { active.store(false, ordering: .relaxed) }
            return strikes ? current.failure : nil
        }
    }
}
