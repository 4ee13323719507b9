// What the server knows about a command before it runs it. Each command is one file in Commands/
// and one of these; CommandTable lists them.

import BSON
import Wire

/// How a command's answer comes.
enum CommandOutcome {
    /// The fields are written; the dispatcher ends the reply.
    case done
    /// Nothing is written; a `ReplyTicket` brings the answer later, and the connection's next
    /// request waits for it.
    case deferred
    /// The fields are written, and the same request is to be run again for the next reply.
    case exhaust
}

/// One command.
final class CommandDefinition: Sendable {
    /// What is true of a command.
    struct Options: OptionSet, Sendable {
        let rawValue: UInt16

        /// Whether all of `other` is true; the standard library's own is not inlined.
        func contains(_ other: Options) -> Bool {
            rawValue & other.rawValue == other.rawValue
        }

        /// Its fields hold secrets, which no log, profile or list of operations shows.
        static let holdsSecrets = Options(rawValue: 1 << 0)
        /// Changes data: takes a write concern and counts as a write.
        static let isWrite = Options(rawValue: 1 << 1)
        /// Part of MongoDB's stable API version 1.
        static let inStableAPI = Options(rawValue: 1 << 2)
        /// Only on database `admin`.
        static let adminOnly = Options(rawValue: 1 << 3)
        /// Fields that the table does not list are left to the command.
        static let takesAnyField = Options(rawValue: 1 << 4)
        /// Takes a transaction number (retryable writes).
        static let isRetryableWrite = Options(rawValue: 1 << 5)
        /// Only with `--test-commands`.
        static let testOnly = Options(rawValue: 1 << 6)
        /// Its reply is never compressed: part of the handshake.
        static let neverCompressed = Options(rawValue: 1 << 7)
        /// Takes read concerns other than `local`.
        static let takesReadConcern = Options(rawValue: 1 << 8)
        /// May be run in a transaction.
        static let inTransaction = Options(rawValue: 1 << 9)
        /// Reads a snapshot where the read concern asks for one.
        static let takesSnapshot = Options(rawValue: 1 << 10)
    }

    typealias Run =
        @Sendable (borrowing CommandCall, inout ReplyWriter) throws(DBError) -> CommandOutcome

    let name: StaticString
    /// Other spellings that drivers send.
    let aliases: [StaticString]
    let options: Options
    let fields: FieldTable
    /// Who may run it.
    let access: CommandAccess
    /// One line for `listCommands`.
    let help: StaticString
    /// What its times are counted as.
    let kind: OperationKind
    let run: Run

    init(
        _ name: StaticString, aliases: [StaticString] = [], _ options: Options,
        fields: [FieldSpec] = [], access: CommandAccess, help: StaticString, run: @escaping Run
    ) {
        self.name = name
        self.aliases = aliases
        self.options = options
        self.fields = FieldTable(fields)
        self.access = access
        self.help = help
        kind = OperationKind(command: name)
        self.run = run
    }
}

/// All commands by name.
struct CommandTable: Sendable {
    /// In alphabetical order of their names.
    let commands: [CommandDefinition]
    /// Name and place in `commands`, hashed as in `FieldTable`; 0 is empty.
    private let slots: [UInt16]
    private let names: [(name: StaticString, place: Int)]

    init(_ list: [CommandDefinition]) {
        commands = list.sorted { "\($0.name)" < "\($1.name)" }
        var names: [(name: StaticString, place: Int)] = []
        for (place, command) in commands.enumerated() {
            for name in [command.name] + command.aliases { names.append((name, place)) }
        }
        var slots = [UInt16](repeating: 0, count: 1_024)
        for (index, entry) in names.enumerated() {
            var slot = Self.hash(RawSpan(entry.name))
            while slots[slot] != 0 { slot = (slot + 1) & 1_023 }
            slots[slot] = UInt16(truncatingIfNeeded: index + 1)
        }
        self.names = names
        self.slots = slots
    }

    /// The command that is called so.
    func find(_ name: RawSpan) -> CommandDefinition? {
        var slot = Self.hash(name)
        while true {
            let entry = Int(slots[slot])
            if entry == 0 { return nil }
            let candidate = names[entry - 1]
            if name.equals(candidate.name) { return commands[candidate.place] }
            slot = (slot + 1) & 1_023
        }
    }

    private static func hash(_ name: RawSpan) -> Int {
        var hash: UInt32 = 2_166_136_261
        for offset in 0..<min(name.byteCount, 32) {
            // SAFETY: the offset is below the span's size.
            hash = (hash ^ UInt32(name.unsafeLoad(fromByteOffset: offset, as: UInt8.self)))
            hash = hash &* 16_777_619
        }
        return Int(hash >> 8) & 1_023
    }
}
