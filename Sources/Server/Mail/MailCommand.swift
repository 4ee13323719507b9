// Hands e-mail to a command of the operator's: `/bin/sh -c COMMAND` gets one message on its standard
// input, as RFC 5322 has it (`sendmail -t` is such a command), and ROOST_MAIL_TO and ROOST_MAIL_KIND
// as variables. A command that doesn't end in time is killed. Nothing that it writes is logged.

import Glibc
import Roost

/// Sends messages by a command. Blocks the thread that sends.
struct MailCommand: MailTransport {
    /// How long the command may take for one message, in milliseconds.
    private static let millisMax: Int64 = 20_000
    /// The status by which a command asks to be tried again (sysexits' EX_TEMPFAIL).
    private static let laterStatus: Int32 = 75

    private let command: String

    init(_ command: String) {
        self.command = command
    }

    func send(_ mail: AccountMail) throws(MailFailure) {
        var pipeEnds: [Int32] = [-1, -1]
        guard pipe(&pipeEnds) == 0 else {
            throw MailFailure("the command could not be started (errno \(errno))")
        }
        for end in pipeEnds { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let (reading, writing) = (pipeEnds[0], pipeEnds[1])
        let process: pid_t
        do throws(MailFailure) {
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
    private func spawn(_ mail: AccountMail, standardInput: Int32) throws(MailFailure) -> pid_t {
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
        guard code == 0 else {
            throw MailFailure("the command could not be started (errno \(code))")
        }
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

    private func wait(for process: pid_t, until end: Int64) throws(MailFailure) {
        var status: Int32 = 0
        while true {
            let ended = waitpid(process, &status, WNOHANG)
            if ended == process { break }
            if ended < 0, errno != EINTR {
                throw MailFailure("the command can't be waited for (errno \(errno))")
            }
            guard Clock.wallMillis < end else {
                kill(-process, SIGKILL)
                _ = waitpid(process, &status, 0)
                throw MailFailure(
                    "the command took longer than \(Self.millisMax / 1_000) s and was killed")
            }
            usleep(10_000)
        }
        let code = status >> 8 & 0xFF
        guard status == 0 else {
            throw MailFailure(
                "the command ended with status \(status & 0x7F == 0 ? code : status)",
                isTemporary: status & 0x7F == 0 && code == Self.laterStatus)
        }
    }
}
