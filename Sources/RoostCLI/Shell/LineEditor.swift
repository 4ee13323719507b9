// The terminal: lines with editing, history and completion (libedit behind CEditLine), its size,
// and the interrupt key.

import CEditLine
import Glibc

/// Reads lines from a terminal. One exists, on the main thread: libedit's state is global.
final class LineEditor {
    enum Outcome {
        case line(String)
        case end
        /// The line was given up.
        case interrupted
    }

    private let complete: (String) -> Completion
    private let historyPath: String?

    /// Prepares the terminal; nil where standard input is none.
    init?(historyPath: String?, complete: @escaping (String) -> Completion) {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else { return nil }
        self.complete = complete
        self.historyPath = historyPath
        setlocale(LC_CTYPE, "")
        // SAFETY: the context is this object, which outlives the editor: `close` comes first.
        let context = Unmanaged.passUnretained(self).toOpaque()
        let status = roost_line_open(
            "roost",
            { line, context in
                guard let line, let context else { return nil }
                let editor = Unmanaged<LineEditor>.fromOpaque(context).takeUnretainedValue()
                return editor.completed(String(cString: line)).flatMap { strdup($0) }
            }, context)
        guard status == 0 else { return nil }
        if let historyPath { roost_line_load(historyPath) }
    }

    /// Gives the terminal back and keeps the history.
    func close() {
        if let historyPath { roost_line_save(historyPath) }
        roost_line_close()
    }

    /// Reads a line.
    func read(prompt: String) -> Outcome {
        fflush(nil)
        var line: UnsafeMutablePointer<CChar>?
        let status = prompt.withCString { roost_line_read($0, &line) }
        // SAFETY: the line is malloc's, as roost_line.h says, and ours.
        defer { free(line) }
        switch status {
        case ROOST_LINE_READ: return line.map { .line(String(cString: $0)) } ?? .end
        case ROOST_LINE_INTERRUPTED: return .interrupted
        default: return .end
        }
    }

    /// Words of statements that may hold a password.
    private static let secretWords = [
        "pwd", "password", "createuser", "updateuser", "signup", "signin",
    ]

    /// Adds a statement to the history, on one line; not one that may hold a password.
    func remember(_ statement: String) {
        let lowered = statement.lowercased()
        guard !Self.secretWords.contains(where: lowered.contains) else { return }
        roost_line_remember(statement.split(separator: "\n").joined(separator: " "))
    }

    /// Whether more lines are there already, as after pasting.
    var hasPendingInput: Bool { roost_line_has_input(20) != 0 }

    /// The text to insert; shows the candidates where there are several.
    private func completed(_ line: String) -> String? {
        let completion = complete(line)
        if completion.insertion.isEmpty, completion.candidates.count > 1 {
            Terminal.write("\n" + completion.candidates.joined(separator: "  ") + "\n")
        }
        return completion.insertion.isEmpty ? nil : completion.insertion
    }
}

/// What completing a word gives.
struct Completion: Equatable {
    /// What to write at the cursor; empty where there is nothing or a choice.
    var insertion = ""
    /// What could stand there.
    var candidates: [String] = []
}

/// The terminal's measures.
enum Terminal {
    /// Whether people read what is printed.
    static var isOutput: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Writes to standard output. Where nobody reads it any more, as behind `| head`, the process
    /// ends quietly: more output would be work for nothing.
    static func write(_ text: String) {
        fflush(nil)
        if !write(text, to: STDOUT_FILENO), errno == EPIPE { exit(EXIT_SUCCESS) }
    }

    /// Writes a line to standard output.
    static func writeLine(_ text: String) { write(text + "\n") }

    /// Writes to standard error, behind what was printed.
    static func writeError(_ text: String) {
        fflush(nil)
        _ = write(text, to: STDERR_FILENO)
    }

    /// Whether all could be written.
    private static func write(_ text: String, to descriptor: Int32) -> Bool {
        let bytes = Array(text.utf8)
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(
                    descriptor, buffer.baseAddress?.advanced(by: offset), bytes.count - offset)
            }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return false }
            offset += count
        }
        return true
    }

    /// Columns and rows; 80 by 24 where there is no terminal.
    static var size: (columns: Int, rows: Int) {
        var size = winsize()
        if ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 {
            return (Int(size.ws_col), Int(size.ws_row))
        }
        let columns = getenv("COLUMNS").flatMap { Int(String(cString: $0)) } ?? 80
        return (max(columns, 20), 24)
    }

    /// Calls `action` on a thread of its own whenever the interrupt key is pressed, which from now
    /// on doesn't end the process.
    static func onInterrupt(_ action: @escaping @Sendable () -> Void) {
        let descriptor = roost_interrupts_open()
        guard descriptor >= 0 else { return }
        let box = InterruptBox(descriptor, action)
        var thread = pthread_t()
        // SAFETY: the box is handed to the thread, which owns it for as long as it lives.
        pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<InterruptBox>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(box).toOpaque())
    }
}

/// What the interrupt thread needs.
private final class InterruptBox: Sendable {
    private let descriptor: Int32
    private let action: @Sendable () -> Void

    init(_ descriptor: Int32, _ action: @escaping @Sendable () -> Void) {
        self.descriptor = descriptor
        self.action = action
    }

    func run() {
        var byte: UInt8 = 0
        while read(descriptor, &byte, 1) == 1 { action() }
    }
}
