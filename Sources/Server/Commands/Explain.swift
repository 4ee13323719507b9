// explain: how a command would run, and with executionStats how it ran.

import BSON
import Query
import Roost
import Wire

enum Explain {
    static let definition = CommandDefinition(
        "explain", [.inStableAPI, .takesReadConcern], fields: [FieldSpec("verbosity", .string)],
        access: .explain, help: "says how a command runs", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let verbosity = try verbosity(call.string("verbosity") ?? "allPlansExecution")
        guard let inner = call.commandValue.document else {
            throw DBError(
                .typeMismatch,
                "BSON field 'explain.explain' is the wrong type "
                    + "'\(call.commandValue.type.alias)', expected type 'object'")
        }
        let explained = try explainedCall(inner, call)
        let echo = Document(copying: inner)
        if !["aggregate", "live", "query"].contains("\(explained.command.name)"),
            try call.core.engine.resolveView(try explained.namespace()) != nil
        {
            throw DBError(
                .commandNotSupportedOnView, "On a view only an aggregate can be explained")
        }
        switch "\(explained.command.name)" {
        case "query": return try QueryCommand.explain(explained, echo, verbosity, &reply)
        case "find":
            let request = try Find.findRequest(explained, try explained.namespace())
            let read = call.core.engine.explain(
                request, filter: explained.ownedDocument("filter") ?? Document(),
                projection: explained.ownedDocument("projection"), verbosity)
            return try answer(read, echo, call, &reply)
        case "count":
            let read = call.core.engine.explain(
                try Count.request(explained),
                filter: explained.ownedDocument("query") ?? Document(), verbosity)
            return try answer(read, echo, call, &reply)
        case "distinct":
            let read = call.core.engine.explain(
                try Distinct.request(explained),
                filter: explained.ownedDocument("query") ?? Document(), verbosity)
            return try answer(read, echo, call, &reply)
        case "live":
            return try run(live: explained, echo, &reply)
        case "aggregate":
            let request = try Aggregate.request(explained, try Aggregate.namespace(explained))
            return try run(aggregate: request, explained, verbosity, &reply)
        case "update", "delete", "findAndModify":
            let target = try writeTarget(explained)
            let read = call.core.engine.explain(
                target.request, filter: target.filter, write: target.write, verbosity)
            return try answer(read, echo, call, &reply)
        default:
            throw DBError(
                .commandNotSupported,
                "Explain is not supported for command: \(explained.command.name)")
        }
    }

    private static func verbosity(_ name: String) throws(DBError) -> ExplainVerbosity {
        guard let verbosity = ExplainVerbosity(rawValue: name) else {
            throw DBError(
                .failedToParse,
                "verbosity string must be one of {'queryPlanner', 'executionStats', "
                    + "'allPlansExecution'}")
        }
        return verbosity
    }

    /// The explained command as a call of its own, its fields checked as if it were sent alone.
    static func explainedCall(
        _ inner: DocumentView, _ call: borrowing CommandCall
    ) throws(DBError) -> CommandCall {
        guard let name = inner.first, let command = call.core.commands.find(name.name) else {
            throw DBError(
                .commandNotFound,
                "Explain failed due to unknown command: "
                    + (inner.first?.nameString ?? ""))
        }
        let database = call.database
        let document = Document { writer in
            writer.appendFields(of: inner)
            if inner.value("$db") == nil { writer.append("$db", database) }
        }
        let request = Request(body: document, like: call.request)
        let arguments = Arguments()
        try arguments.read(request, command)
        let explained = CommandCall(
            command: command, request: request, arguments: arguments, special: call.special,
            connection: call.connection)
        try explained.authorizeAsPart()
        return explained
    }

    /// Tells what a live query costs at each write.
    static func run(
        live call: borrowing CommandCall, _ echo: Document, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let request = try Live.request(call, try call.namespace())
        reply.append("live", document: call.core.engine.live.explain(request))
        reply.append("command", document: echo)
        return .done
    }

    /// Explains the reading part of an aggregation, in fields of the reply or in a cursor's row.
    static func run(
        aggregate request: AggregateRequest, _ call: borrowing CommandCall,
        _ verbosity: ExplainVerbosity, isRow: Bool = false, echo: Document? = nil,
        _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        try call.core.engine.checkDestination(of: request)
        let stages: [Value]
        if case .array(let given)? = call.ownedValue("pipeline") {
            stages = given
        } else {
            stages = []
        }
        let read = call.core.engine.explain(request, stages: stages, verbosity)
        return try answer(
            read, echo ?? Document(copying: call.body), row: isRow ? request.namespace : nil, call,
            &reply)
    }

    /// Explains the search for the documents that a write changes.
    static func run(
        target: FindRequest, _ filter: Document, _ call: borrowing CommandCall,
        _ verbosity: ExplainVerbosity, write: ExplainedWrite, echo: Document,
        _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let read = call.core.engine.explain(
            target, filter: filter, write: write, verbosity)
        return try answer(read, echo, call, &reply)
    }

    /// What a write command looks for, by its first statement.
    private struct WriteTarget {
        let request: FindRequest
        let filter: Document
        let write: ExplainedWrite
    }

    private static func writeTarget(
        _ call: borrowing CommandCall
    ) throws(DBError) -> WriteTarget {
        let namespace = try call.namespace()
        var compiler = try QueryCompiler(call, namespace)
        var filter = Document()
        var write = ExplainedWrite.delete
        var isSingle = true
        var hint: Value?
        for field: StaticString in ["updates", "deletes"] {
            guard let statement = call.value(field)?.array?.first?.value.document else { continue }
            if let query = statement.value("q")?.document { filter = Document(copying: query) }
            if let given = statement.value("hint") { hint = Value(given) }
            compiler = try compiler.collated(
                by: statement.value("collation")?.document,
                of: call.core.engine.collection(namespace))
            if "\(field)" == "updates" {
                write = .update(isUpsert: statement.value("upsert")?.isTruthy ?? false)
                isSingle = !(statement.value("multi")?.isTruthy ?? false)
            } else {
                isSingle = statement.value("limit")?.isTruthy ?? true
            }
        }
        if let query = call.ownedDocumentIfKnown("query") {
            filter = query
            if call.value("remove")?.isTruthy != true {
                write = .update(isUpsert: call.value("upsert")?.isTruthy ?? false)
            }
        }
        var request = FindRequest(namespace, filter: try compiler.filter(filter.view))
        request.hint = hint
        if isSingle { request.limit = 1 }
        return WriteTarget(request: request, filter: filter, write: write)
    }

    private static func answer(
        _ read: ExplainRead, _ echo: Document, row: Namespace? = nil,
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let port = call.core.options.listen.first?.port ?? 27_017
        return try SlicedRead(read.cursor) { reader, budget throws(DBError) in
            try read.advance(reader, budget)
        } write: { reply throws(DBError) in
            var writer = DocumentWriter()
            let start = writer.openDocument()
            read.write(into: &writer)
            writer.close(start)
            let bytes = writer.take()
            let mark = row.map { _ in RowReply.open(&reply) }
            reply.appendFields(of: DocumentView(bytes.span.bytes))
            reply.append("command", document: echo)
            let server = reply.openDocument("serverInfo")
            reply.append("host", HostInfo.hostName)
            reply.append("port", Int32(port))
            reply.append("version", Version.compatible)
            reply.append("gitVersion", "roost-\(Version.roost)")
            reply.close(server)
            let parameters = reply.openDocument("serverParameters")
            reply.append(
                "internalQueryMaxBlockingSortMemoryUsageBytes",
                Int64(ExecutionResources.defaultMemoryBytesMax))
            reply.close(parameters)
            reply.append("queryShapeHash", shapeHash(echo))
            if let row, let mark { RowReply.close(mark, row, &reply) }
        }.run(call, &reply)
    }

    /// A name for the shape of a command: what it asks for, without the values.
    private static func shapeHash(_ command: Document) -> String {
        var text = ""
        appendShape(of: command.view, to: &text)
        return (0..<4).map { QueryShape.hash("\($0)\(text)") }.joined()
    }

    private static func appendShape(of document: DocumentView, to text: inout String) {
        var elements = document.makeIterator()
        while let element = elements.next() {
            text += "\(element.nameString):"
            if let nested = element.value.nested {
                text += "("
                appendShape(of: nested, to: &text)
                text += ")"
            } else {
                text += element.value.type.alias
            }
        }
    }
}
