// hello, isMaster, ismaster: the handshake, and then the heartbeat.
//
// A heartbeat with `topologyVersion` and `maxAwaitTimeMS` asks to be answered when the topology
// changes. Here it never does, so such a request is held for that time; with exhaustAllowed the
// replies then follow one another by themselves.

import BSON
import NIOCore
import Wire

enum Hello {
    private static let fields: [FieldSpec] = [
        FieldSpec("helloOk", .truth), FieldSpec("client", .document),
        FieldSpec("compression", .array), FieldSpec("saslSupportedMechs", .string),
        FieldSpec("speculativeAuthenticate", .document), FieldSpec("loadBalanced", .truth),
        FieldSpec("topologyVersion", .document), FieldSpec("maxAwaitTimeMS", .number),
        FieldSpec("hostInfo", .string), FieldSpec("internalClient", .document),
        FieldSpec("hangUpOnStepDown", .truth), FieldSpec("backpressure", .any),
    ]

    private static let options: CommandDefinition.Options = [
        .neverCompressed, .takesAnyField,
    ]

    static let hello = CommandDefinition(
        "hello", options.union(.inStableAPI), fields: fields,
        access: .open, help: "says who the server is and what it can", run: run)

    static let isMaster = CommandDefinition(
        "isMaster", aliases: ["ismaster"], options, fields: fields,
        access: .open, help: "the older name of hello", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        try noteClient(call)
        let awaited = try awaitedMillis(call)
        if let awaited, awaited > 0 {
            hold(call, awaited)
            return .deferred
        }
        var answer = Answer(call)
        if let fields = call.document("speculativeAuthenticate") {
            let database = fields.value("db")?.string ?? "admin"
            // A failure shows when the client signs in the long way.
            answer.speculative = try? call.connection.beginSignIn(fields, database: database)
        }
        write(answer, &reply)
        return .done
    }

    // MARK: Waiting for a change

    /// How long to hold the answer: nil for not at all.
    private static func awaitedMillis(_ call: borrowing CommandCall) throws(DBError) -> Int64? {
        let millis = call.integer("maxAwaitTimeMS")
        guard let version = call.document("topologyVersion") else {
            if millis != nil {
                throw DBError(
                    DBError.Code(rawValue: 31_368),
                    "A request with 'maxAwaitTimeMS' must include a 'topologyVersion'")
            }
            return nil
        }
        guard let millis else {
            throw DBError(
                DBError.Code(rawValue: 31_368),
                "A request with a 'topologyVersion' must include 'maxAwaitTimeMS'")
        }
        guard let process = version.value("processId")?.objectID,
            let counter = version.value("counter")?.int64
        else {
            throw DBError(
                .idlMissingField,
                "BSON field 'TopologyVersion.processId' is missing but a required field")
        }
        guard millis >= 0, counter >= 0 else {
            throw DBError(
                DBError.Code(rawValue: 31_373),
                "maxAwaitTimeMS and topologyVersion.counter must be non-negative")
        }
        // Another process, or a count that this one has passed: answer at once.
        return process == call.core.topology.processID && counter == 0 ? millis : nil
    }

    private static func hold(_ call: borrowing CommandCall, _ millis: Int64) {
        let ticket = call.ticket()
        let answer = Answer(call)
        let exhausts = call.request.flags.contains(.exhaustAllowed)
        call.connection.holdHello(.milliseconds(min(millis, 600_000))) {
            ticket.answer(exhausts: exhausts) { reply in write(answer, &reply) }
        }
    }

    // MARK: The client

    private static func noteClient(_ call: borrowing CommandCall) throws(DBError) {
        let connection = call.connection
        if let metadata = call.document("client") {
            guard connection.client.metadata == nil else {
                throw DBError(
                    DBError.Code(rawValue: 186),
                    "The client metadata document may only be sent in the first hello")
            }
            try check(metadata)
            connection.client.metadata = Document(copying: metadata)
            connection.client.appName =
                metadata.value("application")?.document?.value("name")?.string
            connection.operation.client.appName = connection.client.appName
        }
        connection.client.hasSaidHello = true
    }

    /// Largest metadata document, in bytes, and largest application name, as MongoDB has them.
    private static let metadataBytesMax = 512
    private static let appNameBytesMax = 128

    private static func check(_ metadata: DocumentView) throws(DBError) {
        guard metadata.bytes.byteCount <= metadataBytesMax else {
            throw DBError(
                DBError.Code(rawValue: 185),
                "The client metadata document must be less then or equal to \(metadataBytesMax) "
                    + "bytes")
        }
        if let application = metadata.value("application") {
            guard let application = application.document else {
                throw DBError(
                    .typeMismatch,
                    "The 'application' field is required to be a BSON document in the client "
                        + "metadata document")
            }
            if let name = application.value("name")?.utf8, name.byteCount > appNameBytesMax {
                throw DBError(
                    DBError.Code(rawValue: 184),
                    "The 'application.name' field must be less then or equal to "
                        + "\(appNameBytesMax) bytes in the client metadata document")
            }
        }
        try check(metadata, "driver", strings: ["name", "version"])
        try check(metadata, "os", strings: ["type"])
    }

    private static func check(
        _ metadata: DocumentView, _ part: StaticString, strings: [StaticString]
    ) throws(DBError) {
        guard let document = metadata.value(part)?.document else {
            throw DBError(
                DBError.Code(rawValue: 183),
                "Missing required sub-document '\(part)' in the client metadata document")
        }
        for name in strings where document.value(name)?.type != .string {
            throw DBError(
                DBError.Code(rawValue: 183),
                "Missing required field '\(name)' in the client metadata document")
        }
    }

    // MARK: The answer

    /// What the answer depends on, so that it can also be written later.
    private struct Answer: Sendable {
        let core: ServerCore
        let connectionID: Int32
        let isLegacy: Bool
        let saysHelloOk: Bool
        let compression: Document?
        let isLoadBalanced: Bool
        /// Whether the client asked how a user may sign in.
        let saysMechanisms: Bool
        /// The first step of a sign-in that came along.
        var speculative: SignInStep?

        init(_ call: borrowing CommandCall) {
            core = call.core
            connectionID = call.connection.id
            isLegacy = !call.command.options.contains(.inStableAPI)
            saysHelloOk = call.truth("helloOk") == true
            if let offered = call.value("compression")?.array {
                compression = Document(copying: offered)
            } else {
                compression = nil
            }
            isLoadBalanced = call.truth("loadBalanced") == true
            saysMechanisms = call.value("saslSupportedMechs") != nil
        }
    }

    private static func write(_ answer: Answer, _ reply: inout ReplyWriter) {
        let topology = answer.core.topology
        if answer.saysHelloOk { reply.append("helloOk", true) }
        reply.append(answer.isLegacy ? "ismaster" : "isWritablePrimary", true)
        let version = reply.openDocument("topologyVersion")
        reply.append("processId", .objectID(topology.processID))
        reply.append("counter", Int64(0))
        reply.close(version)
        if let setName = topology.setName { write(setName, answer, &reply) }
        reply.append("maxBsonObjectSize", Int32(Limits.documentBytesMax))
        reply.append("maxMessageSizeBytes", Int32(Limits.messageBytesMax))
        reply.append("maxWriteBatchSize", Int32(Limits.writeBatchMax))
        reply.append("localTime", dateMillis: Clock.wallMillis)
        reply.append("logicalSessionTimeoutMinutes", SessionTable.timeoutMinutes)
        reply.append("connectionId", answer.connectionID)
        reply.append("minWireVersion", Int32(0))
        reply.append("maxWireVersion", Version.wireMax)
        reply.append("readOnly", false)
        if let compression = answer.compression { grant(compression, &reply) }
        // The same for every name, so that it tells nothing about who has an account.
        if answer.saysMechanisms { reply.append("saslSupportedMechs", ["SCRAM-SHA-256"]) }
        if let step = answer.speculative {
            reply.append("speculativeAuthenticate", document: step.document)
        }
    }

    private static func write(
        _ setName: String, _ answer: Answer, _ reply: inout ReplyWriter
    ) {
        let topology = answer.core.topology
        let hosts = reply.openArray("hosts")
        reply.append(element: topology.address)
        reply.close(hosts)
        reply.append("setName", setName)
        reply.append("setVersion", Int32(1))
        reply.append("secondary", false)
        reply.append("primary", topology.address)
        reply.append("me", topology.address)
        reply.append("electionId", .objectID(topology.electionID))
        let lastWrite = reply.openDocument("lastWrite")
        let time = answer.core.clusterTime
        for name: StaticString in ["opTime", "majorityOpTime"] {
            let opTime = reply.openDocument(name)
            reply.append("ts", time)
            reply.append("t", Int64(1))
            reply.close(opTime)
        }
        reply.append("lastWriteDate", dateMillis: Int64(time.seconds) * 1_000)
        reply.append("majorityWriteDate", dateMillis: Int64(time.seconds) * 1_000)
        reply.close(lastWrite)
    }

    /// Grants zlib where the client offers it; nothing is said where nothing matches.
    private static func grant(_ offered: Document, _ reply: inout ReplyWriter) {
        var elements = offered.view.makeIterator()
        while let element = elements.next() {
            guard element.value.string == "zlib" else { continue }
            let granted = reply.openArray("compression")
            reply.append(element: "zlib")
            reply.close(granted)
            return
        }
    }
}
