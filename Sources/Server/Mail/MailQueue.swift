// Messages to app users on their way out.
//
//     AppAccounts --AccountMail--> MailQueue --one by one--> MailTransport
//                                      ^---- later ----------' temporary failures
//
// Who asks for a message never waits for it. A thread of its own sends them one after another; what
// fails for a while only (a mail server that is down, or greylists) is tried again after 2 s, 30 s,
// 5 min and 30 min. What waits when the server stops is lost, and logged: a token is kept nowhere
// else. No token is ever logged, nor an address.

import Logging
import NIOCore
import NIOPosix
import Roost
import Synchronization

/// Why a message was not sent.
struct MailFailure: Error, Sendable {
    /// What went wrong, without the message or its address.
    let reason: String
    /// Whether it may go well later.
    let isTemporary: Bool

    init(_ reason: String, isTemporary: Bool = false) {
        self.reason = reason
        self.isTemporary = isTemporary
    }
}

/// Hands a message to whatever brings it to its address. May block the calling thread.
protocol MailTransport: Sendable {
    /// Sends one message.
    func send(_ mail: AccountMail) throws(MailFailure)
}

/// Sends messages one after another. Safe from any thread.
final class MailQueue: Sendable {
    /// Most messages that wait, those for another try among them.
    private static let waitingMax = 1_000
    /// How long each further try waits, in seconds.
    private static let retrySeconds: [Int64] = [2, 30, 300, 1_800]

    private let transport: any MailTransport
    private let logger: Logger
    private let thread = NIOThreadPool(numberOfThreads: 1)
    /// Only its clock is used: it puts messages back in the queue.
    private let timer = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let waiting = Atomic<Int>(0)
    private let isStopping = Atomic<Bool>(false)

    init(_ transport: any MailTransport, _ logger: Logger) {
        self.transport = transport
        self.logger = logger
    }

    func start() { thread.start() }

    /// Finishes the message that is under way; what waits is dropped, and logged.
    func stop() async {
        isStopping.store(true, ordering: .relaxed)
        let left = waiting.load(ordering: .relaxed)
        if left > 0 { logger.error("messages to app users are lost: the server stops") }
        try? await thread.shutdownGracefully()
        try? await timer.shutdownGracefully()
    }

    /// Sends a message, soon. Never waits.
    func send(_ mail: AccountMail) {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= Self.waitingMax else {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            return log(mail, MailFailure("too many messages wait"))
        }
        submit(mail, tries: 0)
    }

    private func submit(_ mail: AccountMail, tries: Int) {
        thread.submit { [self] state in
            guard case .active = state, !isStopping.load(ordering: .relaxed) else {
                waiting.wrappingSubtract(1, ordering: .relaxed)
                return
            }
            do throws(MailFailure) {
                try transport.send(mail)
            } catch {
                log(mail, error)
                if error.isTemporary, tries < Self.retrySeconds.count {
                    timer.next().scheduleTask(in: .seconds(Self.retrySeconds[tries])) { [self] in
                        submit(mail, tries: tries + 1)
                    }
                    return
                }
            }
            waiting.wrappingSubtract(1, ordering: .relaxed)
        }
    }

    private func log(_ mail: AccountMail, _ failure: MailFailure) {
        logger.error(
            "a message to an app user was not sent",
            metadata: [
                "kind": "\(mail.kind.rawValue)", "reason": "\(failure.reason)",
                "again": "\(failure.isTemporary ? "later" : "no")",
            ])
    }
}
