// Which sessions of app users have ended, or have tokens whose claims are no longer true, while
// access tokens of theirs are still good by their own end.
//
// How to ask, from any thread:
//
//     engine.appSessions.hasEnded(user)     whether what works for `user` must stop: one load while
//                                           nothing ended lately, else a look-up
//     engine.appSessions.generation         changes with each ending: compare it with the one seen
//                                           before, and only then ask about each user
//     engine.appSessions.observe { … }      called after each ending, on the thread that ended it
//
// What is open asks here; what begins anew is checked against the record of the session
// (`AppAccounts.user(ofToken:)`). So an ending is kept for as long as an access token serves, and
// nothing of it needs to outlive the process.

import Synchronization

/// What an access token says of the session that it was given to.
package struct AppSession: Sendable, Hashable {
    /// The session's id, the claim `sid`.
    package let id: String
    /// The number of the user's claims that the token holds, the claim `ver`.
    package let claimsVersion: Int64
}

/// The endings of sessions. Safe from any thread.
package final class AppSessions: Sendable {
    private struct Ending {
        /// Tokens of earlier claims serve no more; `max` where none does.
        var claimsVersion: Int64
        var forgetAtMillis: Int64
    }

    private struct State {
        var endings: [String: Ending] = [:]
        var observers: [Int: @Sendable () -> Void] = [:]
        var lastObserver = 0
    }

    private let state = Mutex(State())
    private let number = Atomic<UInt64>(0)

    init() {}

    /// Grows with each ending.
    package var generation: UInt64 { number.load(ordering: .acquiring) }

    /// Whether the session of the user's token has ended, or the user's claims have changed since.
    package func hasEnded(_ user: AppUser) -> Bool {
        guard generation != 0, let session = user.session else { return false }
        return state.withLock { state in
            guard let ending = state.endings[session.id] else { return false }
            return session.claimsVersion < ending.claimsVersion
        }
    }

    /// Has `body` called after each ending, until `stopObserving`.
    package func observe(_ body: @escaping @Sendable () -> Void) -> Int {
        state.withLock { state in
            state.lastObserver += 1
            state.observers[state.lastObserver] = body
            return state.lastObserver
        }
    }

    /// Ends what `observe` began.
    package func stopObserving(_ observer: Int) {
        state.withLock { $0.observers[observer] = nil }
    }

    /// Notes that sessions have ended, or with a number that tokens of earlier claims serve no more.
    func end(_ ids: [String], claimsBefore version: Int64 = .max, nowMillis: Int64) {
        guard !ids.isEmpty else { return }
        let observers = state.withLock { state in
            state.endings = state.endings.filter { $0.value.forgetAtMillis > nowMillis }
            for id in ids {
                let earlier = state.endings[id]?.claimsVersion ?? 0
                state.endings[id] = Ending(
                    claimsVersion: max(version, earlier),
                    forgetAtMillis: nowMillis + 2 * AppAccounts.accessMillis)
            }
            return Array(state.observers.values)
        }
        number.wrappingAdd(1, ordering: .acquiringAndReleasing)
        for observer in observers { observer() }
    }
}
