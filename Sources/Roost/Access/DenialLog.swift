// Why requests were denied: an id for the user, the account for developers.

import BSON
import Rules
import Synchronization

/// The last denials of this process, by their id.
package final class DenialLog: Sendable {
    private struct State {
        var accounts: [String: String] = [:]
        var order: [String] = []
        var next = 0
    }

    /// Most denials kept; older ones are forgotten.
    private static let denialsMax = 1_000
    private let state = Mutex(State())
    private let whenDenied = Mutex<
        (@Sendable (_ id: String, _ user: String, _ text: String) -> Void)?
    >(
        nil)
    private let showsReasons = Atomic<Bool>(false)
    private let denialCount = Atomic<Int>(0)

    /// Denials since the start.
    package var count: Int { denialCount.load(ordering: .relaxed) }

    /// Whether errors themselves say why: for developers, never for a server that others reach.
    package var tellsUsers: Bool {
        get { showsReasons.load(ordering: .relaxed) }
        set { showsReasons.store(newValue, ordering: .relaxed) }
    }

    /// Why the denial of that id was; nil for one that isn't known any more.
    package func account(of id: String) -> String? { state.withLock { $0.accounts[id] } }

    /// Has `body` called with each denial's id, user and account.
    package func whenDenied(
        _ body: (@Sendable (_ id: String, _ user: String, _ text: String) -> Void)?
    ) {
        whenDenied.withLock { $0 = body }
    }

    /// Notes a denial and makes its error.
    func deny(_ user: AppUser, _ account: () -> String) -> DBError {
        denialCount.wrappingAdd(1, ordering: .relaxed)
        let id = ObjectID.generate().hexString
        let text = account()
        state.withLock { state in
            if state.order.count < Self.denialsMax {
                state.order.append(id)
            } else {
                state.accounts[state.order[state.next]] = nil
                state.order[state.next] = id
                state.next = (state.next + 1) % Self.denialsMax
            }
            state.accounts[id] = text
        }
        if let told = whenDenied.withLock({ $0 }) {
            told(id, user.auth?.view.value("uid")?.string ?? "", text)
        }
        let reason = tellsUsers ? "\n\(text)" : ""
        return DBError(
            .unauthorized, "The security rules do not allow this (denial \(id)).\(reason)")
    }
}
