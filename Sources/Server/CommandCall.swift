// A command being run: its request, its checked fields, and who asks.

import BSON
import NIOCore
import Query
import Wire

/// One command with its arguments, lent to `CommandDefinition.run`.
struct CommandCall: ~Copyable {
    let command: CommandDefinition
    let request: Request
    let arguments: Arguments
    let special: SpecialFields
    let connection: ConnectionHandler

    /// What all connections share.
    var core: ServerCore { connection.core }

    /// The command's document.
    var body: DocumentView {
        @_lifetime(borrow self)
        get { request.body }
    }

    /// The bytes of `range` in the request's message.
    @_lifetime(borrow self)
    func bytes(_ range: Range<Int>) -> RawSpan {
        request.buffer.readableBytesSpan.extracting(range)
    }

    // MARK: Fields

    /// The field's value, nil where it was not sent. Its type is one the table allows.
    @_lifetime(borrow self)
    func value(_ name: StaticString) -> ValueView? {
        arguments.value(name, request, command)
    }

    /// The value of the command's own name, such as the collection.
    var commandValue: ValueView {
        @_lifetime(borrow self)
        get {
            let entry = arguments.commandEntry
            let start = Int(entry.offset)
            return ValueView(
                type: entry.type,
                bytes: request.body.bytes.extracting(start..<start + Int(entry.byteCount)))
        }
    }

    /// The field's document.
    @_lifetime(borrow self)
    func document(_ name: StaticString) -> DocumentView? {
        guard let value = arguments.value(name, request, command) else { return nil }
        return value.document
    }

    /// The field's document, copied.
    func ownedDocument(_ name: StaticString) -> Document? {
        guard let view = value(name)?.document else { return nil }
        return Document(copying: view)
    }

    /// The field's document, copied, where the command has such a field at all.
    func ownedDocumentIfKnown(_ name: StaticString) -> Document? {
        command.fields.place(of: RawSpan(name)) == nil ? nil : ownedDocument(name)
    }

    /// The field's truth, where the command has such a field at all.
    func truthIfKnown(_ name: StaticString) -> Bool? {
        command.fields.place(of: RawSpan(name)) == nil ? nil : truth(name)
    }

    /// The field's value, copied.
    func ownedValue(_ name: StaticString) -> Value? {
        guard let view = value(name) else { return nil }
        return Value(view)
    }

    /// The field's number, fractions cut off; beyond int64 the nearest of its ends.
    func integer(_ name: StaticString) -> Int64? {
        value(name)?.truncatedInteger
    }

    /// The field's truth: a bool, or a number that is not zero.
    func truth(_ name: StaticString) -> Bool? {
        value(name)?.isTruthy
    }

    /// The field's string.
    func string(_ name: StaticString) -> String? {
        value(name)?.string
    }

    // MARK: Names

    /// The database that the command is about.
    var database: String {
        if let legacy = request.legacyDatabase { return legacy }
        return string("$db") ?? ""
    }

    /// Runs only on `admin`, as some commands do.
    func checkIsAdmin() throws(DBError) {
        guard database == "admin" else {
            throw DBError(
                .unauthorized,
                "\(command.name) may only be run against the admin database.")
        }
    }

    /// The collection that the command's own field names.
    ///
    /// - Throws: 73 where the name is empty or its type is wrong.
    func collectionName() throws(DBError) -> String {
        guard let name = commandValue.string else {
            throw DBError(
                .invalidNamespace,
                "collection name has invalid type \(commandValue.type.alias)")
        }
        guard !name.isEmpty, !name.utf8.contains(0) else {
            throw DBError(
                .invalidNamespace, "Invalid namespace specified '\(database).\(name)'")
        }
        return name
    }

    // MARK: Answers that come later

    /// Lets the client's leaving, killOp and the server's stop end what was handed to other
    /// threads. A client that wants no answer may leave: what it asked for is done all the same.
    func mayEnd(_ interrupt: Interrupt) {
        if request.wantsReply {
            connection.running = interrupt
        } else {
            connection.operation.set(interrupt)
        }
    }

    /// A ticket by which another thread answers; the command returns `.deferred`.
    func ticket() -> ReplyTicket {
        connection.operation.begin(
            RunningOperation(
                number: core.operations.nextNumber(), startedAt: connection.commandStart,
                request: request))
        return ReplyTicket(
            connection: connection, mailbox: connection.loop.mailbox, request: request,
            special: special)
    }
}
