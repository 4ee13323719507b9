// A client of the TCP door: one connection, commands in order, replies as documents.
//
// `Connection.open` connects; `run` sends a command and waits for its reply. Replies are matched by
// number, so several commands may wait at once. Whatever ends the connection fails them all.
// `Cursor` reads what `find`, `aggregate` and `query` answer.

package import BSON
import Glibc
package import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Wire

/// One connection to a server. Safe to use from any thread.
package final class Connection: Sendable {
    private let channel: any Channel
    private let waiting: NIOLoopBound<ReplyHandler>
    private let lastID = Atomic<Int32>(0)
    private let number = Mutex<Int64?>(nil)

    private init(_ channel: any Channel, _ handler: ReplyHandler) {
        self.channel = channel
        waiting = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    /// Connects, and signs in where the string names an account; `timeoutSeconds` bounds the attempt
    /// to connect.
    ///
    /// Throws `hostUnreachable` where nobody answers, `authenticationFailed` for a wrong name or
    /// password.
    package static func open(
        _ target: ConnectionString, timeoutSeconds: Int64 = 5
    ) async throws(DBError) -> Connection {
        let connection = try await connect(target, timeoutSeconds)
        guard let user = target.user else { return connection }
        do throws(DBError) {
            try await connection.signIn(
                user, password: target.password ?? "", source: target.authSource)
        } catch {
            connection.close()
            guard error.code == .authenticationFailed, target.authSource != "admin" else {
                throw error
            }
            throw DBError(
                error.code,
                "\(error.message) The account was looked for in '\(target.authSource)'; one of "
                    + "another database needs ?authSource=admin, say.", details: error.details)
        }
        return connection
    }

    /// Signs in by SCRAM-SHA-256.
    ///
    /// Throws `authenticationFailed`, also where the server can't show that it knows the password.
    package func signIn(
        _ user: String, password: String, source: String
    ) async throws(DBError) {
        var scram = ScramClient(user: user, password: password)
        let first = try await run(
            [
                "saslStart": 1, "mechanism": "SCRAM-SHA-256",
                "payload": .binary(subtype: 0, scram.first),
                "options": ["skipEmptyExchange": true],
            ], database: source)
        guard case .binary(_, let challenge)? = first["payload"],
            let conversation = first["conversationId"],
            let proof = scram.final(serverFirst: challenge)
        else { throw Self.untrustworthy }
        var reply = try await run(
            [
                "saslContinue": 1, "conversationId": conversation,
                "payload": .binary(subtype: 0, proof),
            ], database: source)
        guard case .binary(_, let signature)? = reply["payload"],
            scram.isProven(by: signature)
        else { throw Self.untrustworthy }
        if reply["done"] != .bool(true) {
            reply = try await run(
                [
                    "saslContinue": 1, "conversationId": conversation,
                    "payload": .binary(subtype: 0, []),
                ], database: source)
        }
        guard reply["done"] == .bool(true) else { throw Self.untrustworthy }
    }

    private static let untrustworthy = DBError(
        .authenticationFailed,
        "the server could not show that it knows the password; is it the right one?")

    private static func connect(
        _ target: ConnectionString, _ timeoutSeconds: Int64
    ) async throws(DBError) -> Connection {
        do {
            let security =
                target.usesTLS
                ? try NIOSSLContext(configuration: .makeClientConfiguration()) : nil
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(timeoutSeconds))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: target.host, port: target.port)
                .flatMap { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handlers = channel.pipeline.syncOperations
                        if let security {
                            try handlers.addHandler(
                                NIOSSLClientHandler(
                                    context: security,
                                    serverHostname: Self.nameForTLS(target.host)))
                        }
                        let handler = ReplyHandler()
                        try handlers.addHandler(handler)
                        return Connection(channel, handler)
                    }
                }.get()
        } catch {
            throw DBError(
                .hostUnreachable,
                "cannot connect to \(target.host):\(target.port): "
                    + Self.reason(error, timeoutSeconds), underlying: error)
        }
    }

    /// TLS wants names only: an address is no server name.
    private static func nameForTLS(_ host: String) -> String? {
        (try? SocketAddress(ipAddress: host, port: 0)) == nil ? host : nil
    }

    /// What went wrong, and what a person may do about it.
    private static func reason(_ error: any Error, _ timeoutSeconds: Int64) -> String {
        guard let failure = error as? NIOConnectionError else { return "\(error)" }
        // A name may have several addresses: the last failure is of the one that was tried last.
        switch failure.connectionErrors.last?.error {
        case nil: return "the name cannot be resolved; check how it is written"
        case let error as IOError where error.errnoCode == ECONNREFUSED:
            return "Connection refused. Nothing listens there: is `roost serve` running, with that "
                + "port?"
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case ChannelError.connectTimeout?:
            return "no answer within \(timeoutSeconds) s; check the address and firewalls between"
        case let error?: return "\(error)"
        }
    }

    /// The number that the server gave the connection, by which `currentOp` lists what runs on it;
    /// nil before `greet`.
    package var serverNumber: Int64? { number.withLock { $0 } }

    /// Whether the connection has ended, by either side.
    package var isClosed: Bool { !channel.isActive }

    /// Says hello, which tells the connection's number.
    ///
    /// Throws what `run` throws.
    package func greet(appName: String) async throws(DBError) {
        let reply = try await run(
            [
                "hello": 1,
                "client": [
                    "application": ["name": .string(appName)],
                    "driver": ["name": "roost", "version": "1"], "os": ["type": "Linux"],
                ],
            ], database: "admin")
        let value = reply["connectionId"]
        number.withLock { number in
            switch value {
            case .int32(let given)?: number = Int64(given)
            case .int64(let given)?: number = given
            default: number = nil
            }
        }
    }

    /// Whether commands can still be sent.
    package var isOpen: Bool { channel.isActive }

    /// Ends the connection; the server ends what it is reading for it.
    package func close() {
        channel.close(promise: nil)
    }

    /// Ends the connection after that time, unless the timer is cancelled before.
    func close(afterMillis millis: Int64) -> Scheduled<Void> {
        channel.eventLoop.scheduleTask(in: .milliseconds(millis)) { self.close() }
    }

    /// Sends a command; its reply comes whole, an error reply too. Fails with `hostUnreachable`
    /// where the connection ends first.
    package func send(_ command: Document, database: String) -> EventLoopFuture<Document> {
        let id = lastID.wrappingAdd(1, ordering: .relaxed).newValue
        let body = Document { writer in
            writer.appendFields(of: command.view)
            writer.append("$db", database)
        }
        let promise = channel.eventLoop.makePromise(of: Document.self)
        var buffer = channel.allocator.buffer(capacity: body.bytes.count + 21)
        let length = MessageHeader.byteCount + 5 + body.bytes.count
        guard body.bytes.count <= WireLimits.commandBytesMax else {
            promise.fail(
                DBError(
                    .bsonObjectTooLarge,
                    "the command has \(body.bytes.count) bytes, above the limit of "
                        + "\(WireLimits.commandBytesMax)"))
            return promise.futureResult
        }
        buffer.writeHeader(
            MessageHeader(
                length: Int32(clamping: length), requestID: id, responseTo: 0,
                opCode: OpCode.message.rawValue))
        buffer.writeInteger(UInt32(0), endianness: .little)
        buffer.writeInteger(UInt8(0))
        buffer.writeBytes(body.bytes)
        let message = buffer
        let channel = channel
        let waiting = waiting
        channel.eventLoop.execute {
            waiting.value.expect(id, promise)
            channel.writeAndFlush(message).whenFailure { _ in
                waiting.value.fail(id)
            }
        }
        return promise.futureResult
    }

    /// Sends a command and gives its reply.
    ///
    /// Throws what the server answered if that is an error, with all its fields as details, and
    /// `hostUnreachable` where the connection ends first.
    package func run(_ command: Document, database: String) async throws(DBError) -> Document {
        do {
            return try Self.checked(try await send(command, database: database).get())
        } catch let error as DBError {
            throw error
        } catch {
            throw ReplyHandler.closed
        }
    }

    /// `run` for a thread of one's own, which waits.
    package func runBlocking(_ command: Document, database: String) throws(DBError) -> Document {
        do {
            return try Self.checked(try send(command, database: database).wait())
        } catch let error as DBError {
            throw error
        } catch {
            throw ReplyHandler.closed
        }
    }

    /// The reply, unless it says that the command failed.
    static func checked(_ reply: Document) throws(DBError) -> Document {
        guard reply.view.value("ok")?.isTruthy == true else {
            let code = reply.view.value("code")?.int32 ?? 8
            let message = reply.view.value("errmsg")?.string ?? "the command failed"
            throw DBError(
                DBError.Code(rawValue: code), message, details: reply)
        }
        return reply
    }
}
