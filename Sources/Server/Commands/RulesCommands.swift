// deployRules, rulesInfo, whyDenied: the security rules in force. With --test-commands also actAs.

import BSON
import Roost
import Wire

enum RulesCommands {
    /// deployRules: puts rules in force, or those of an older number again.
    static let deploy = CommandDefinition(
        "deployRules", [.adminOnly, .isWrite],
        fields: [
            FieldSpec("source", .string), FieldSpec("files", .array),
            FieldSpec("rollBackTo", .number),
        ], access: .cluster([.setParameter]), help: "puts security rules in force"
    ) { call, _ throws(DBError) in
        let files = try files(call)
        let older = call.integer("rollBackTo")
        guard files.isEmpty != (older == nil) else {
            throw DBError(
                .invalidOptions,
                "Give the rules' text as 'source' or 'files', or a number as 'rollBackTo'")
        }
        let engine = call.core.engine
        let ticket = call.ticket()
        var by = "deployRules"
        if case .account(let name, _) = call.connection.access.grant { by = name.id }
        let author = by
        engine.readerPool.submit { _ in
            ticket.answer { reply throws(DBError) in
                let version =
                    if let older {
                        try engine.rollBackRules(to: older, by: author)
                    } else {
                        try engine.deployRules(files, by: author)
                    }
                reply.append("version", version)
            }
        }
        return .deferred
    }

    /// rulesInfo: the rules in force.
    static let show = CommandDefinition(
        "rulesInfo", [.adminOnly], access: .cluster([.getParameter]),
        help: "shows the security rules in force"
    ) { call, reply throws(DBError) in
        let rules = call.core.engine.rules
        reply.append("version", rules.version)
        reply.append(
            "files",
            .array(
                (rules.current?.files ?? []).map {
                    .document(["name": .string($0.name), "text": .string($0.text)])
                }))
        return .done
    }

    /// whyDenied: the account behind the id in a denial's error.
    static let why = CommandDefinition(
        "whyDenied", [.adminOnly], access: .cluster([.getLog]),
        help: "says why the security rules denied a request"
    ) { call, reply throws(DBError) in
        guard let id = call.commandValue.string,
            let account = call.core.engine.rules.denials.account(of: id)
        else {
            throw DBError(
                .badValue,
                "No denial of that id is known; the last 1,000 since the server's start are kept")
        }
        reply.append("reason", account)
        return .done
    }

    /// actAs: with --test-commands, makes the connection an app user's for good. It only takes
    /// rights away.
    static let actAs = CommandDefinition(
        "actAs", [.testOnly], access: .everyone,
        help: "makes the connection an app user's, for tests"
    ) { call, _ throws(DBError) in
        var auth: Document?
        if let document = call.commandValue.document { auth = Document(copying: document) }
        call.connection.signIn(as: .app(AppUser(auth: auth)))
        return .done
    }

    private static func files(_ call: borrowing CommandCall) throws(DBError) -> [RulesText] {
        if let source = call.string("source") {
            return [RulesText(name: "app.rules", text: source)]
        }
        guard let array = call.value("files")?.array else { return [] }
        return try ViewRead.values(array).map { value throws(DBError) in
            guard case .document(let file) = value, case .string(let name)? = file["name"],
                case .string(let text)? = file["text"]
            else {
                throw DBError(.badValue, "'files' holds documents {name: string, text: string}")
            }
            return RulesText(name: name, text: text)
        }
    }
}
