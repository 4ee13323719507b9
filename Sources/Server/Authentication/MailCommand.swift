// Hands e-mail to a command of the operator's: `/bin/sh -c COMMAND` gets one message on its standard
// input, as RFC 5322 has it (`sendmail -t` is such a command), and ROOST_MAIL_TO and ROOST_MAIL_KIND
// as variables. Messages go out one after another on a thread of their own; a command that doesn't
// end in time is killed. No token is ever logged, nor anything the command writes.

import Glibc
import Logging
import NIOPosix
import Roost
import Synchronization

/// Sends messages by a command. Safe from any thread.
final class MailCommand: Sendable {
    /// Most messages that wait.
    private static let waitingMax = 1_000
    /// How long the command may take for one message, in milliseconds.
    private static let millisMax: Int64 = 20_000

    private enum Failure: Error, CustomStringConvertible {
        case notStarted(Int32)
        case tookTooLong
        case ended(Int32)

        var description: String {
            switch self {
            case .notStarted(let code): "it could not be started (errno \(code))"
            case .tookTooLong: "it took longer than \(millisMax / 1_000) s and was killed"
            case .ended(let status): "it ended with status \(status)"
            }
        }
    }

    private let command: String
    private let logger: Logger
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let waiting = Atomic<Int>(0)
    private let isStopping = Atomic<Bool>(false)

    init(_ command: String, _ logger: Logger) {
        self.command = command
        self.logger = logger
    }

    func start() { thread.start() }

    /// Finishes the message that is under way; what waits is dropped, and logged.
    func stop() async {
        isStopping.store(true, ordering: .relaxed)
        try? await thread.shutdownGracefully()
    }

    /// Sends a message, soon. Never waits.
    func send(_ mail: AccountMail) {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= Self.waitingMax else {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            return log(mail, "too many messages wait")
        }
        thread.submit { [self] state in
            defer { waiting.wrappingSubtract(1, ordering: .relaxed) }
            guard case .active = state, !isStopping.load(ordering: .relaxed) else {
                return log(mail, "the server stops")
            }
            do throws(Failure) {
                try run(mail)
            } catch {
                log(mail, "\(error)")
            }
        }
    }

    private func log(_ mail: AccountMail, _ reason: String) {
        logger.error(
            "a message to an app user was not sent",
            metadata: ["kind": "\(mail.kind.rawValue)", "reason": "\(reason)"])
    }

    private func run(_ mail: AccountMail) throws(Failure) {
        var pipeEnds: [Int32] = [-1, -1]
        guard pipe(&pipeEnds) == 0 else { throw .notStarted(errno) }
        for end in pipeEnds { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let (reading, writing) = (pipeEnds[0], pipeEnds[1])
        let process: pid_t
        do throws(Failure) {
            process = try spawn(mail, standardInput: reading)
        } catch {
            close(reading)
            close(writing)
            throw error
        }
        close(reading)
        let end = Clock.wallMillis + Self.millisMax
        write(Array(mail.text.utf8), to: writing, until: end)
        // The end of its input.
        close(writing)
        try wait(for: process, until: end)
    }

    /// Starts the command in a process group of its own, so that what it starts ends with it.
    private func spawn(_ mail: AccountMail, standardInput: Int32) throws(Failure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, standardInput, STDIN_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        posix_spawnattr_setpgroup(&attributes, 0)
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        let variables = [
            "PATH=\(path)", "ROOST_MAIL_TO=\(mail.to)", "ROOST_MAIL_KIND=\(mail.kind.rawValue)",
        ]
        var arguments: [UnsafeMutablePointer<CChar>?] = [
            strdup("/bin/sh"), strdup("-c"), strdup(command), nil,
        ]
        var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) }
        environment.append(nil)
        defer { for text in arguments + environment { free(text) } }
        var process: pid_t = 0
        // SAFETY: both lists end with nil and outlive the call, which copies them.
        let code = posix_spawn(
            &process, "/bin/sh", &actions, &attributes, &arguments, &environment)
        guard code == 0 else { throw .notStarted(code) }
        return process
    }

    /// Writes all bytes, until the command takes no more or its time is over. A message is smaller
    /// than a pipe holds, so that this doesn't wait in practice.
    private func write(_ bytes: [UInt8], to descriptor: Int32, until end: Int64) {
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { rest in
                // SAFETY: the buffer lives for the call. The server ignores SIGPIPE.
                Glibc.write(descriptor, rest.baseAddress, rest.count)
            }
            if count > 0 {
                sent += count
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN, Clock.wallMillis < end {
                usleep(10_000)
            } else {
                return
            }
        }
    }

    private func wait(for process: pid_t, until end: Int64) throws(Failure) {
        var status: Int32 = 0
        while true {
            let ended = waitpid(process, &status, WNOHANG)
            if ended == process { break }
            if ended < 0, errno != EINTR { throw .ended(-1) }
            guard Clock.wallMillis < end else {
                kill(-process, SIGKILL)
                _ = waitpid(process, &status, 0)
                throw .tookTooLong
            }
            usleep(10_000)
        }
        guard status == 0 else { throw .ended(status) }
    }
}
