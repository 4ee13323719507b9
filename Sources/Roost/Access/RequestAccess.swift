// What a request of an app user may do: the rules in force when it began, and who asks.
//
// Everything that reads or writes for an app user carries one of these down to where documents are
// looked at: `Sight` decides what a read sees, `WriteAccess` what a write may do. Requests of
// trusted principals carry none, and pay nothing.

package import BSON
import Query
import Rules
import Synchronization

/// An app user's request.
package final class RequestAccess: Sendable {
    /// Who asks.
    package let user: AppUser
    /// The time of the request, in milliseconds since 1970.
    let timeMillis: Int64
    /// The rules; nil where none are deployed.
    let deployed: DeployedRules?
    private let store: RulesStore
    private let sessions: AppSessions
    /// Is told what rules look up; nil where nobody asks.
    let lookups: LookupLog?
    /// Is given each decision; nil where nobody records.
    let recorder: AccessRecorder?
    /// Whether it shows what was, so that neither the token's end nor other rules end it.
    private let isOfPast: Bool
    /// Where the request comes from, without a port; nil from within the process.
    let address: String?
    /// Whether it counts against limits: what follows a live query does not.
    let isCounted: Bool
    /// Whether it has counted as a read.
    let hasRead = Atomic<Bool>(false)

    init(
        _ user: AppUser, _ store: RulesStore, _ sessions: AppSessions, timeMillis: Int64,
        address: String?, isCounted: Bool
    ) {
        self.address = address
        self.isCounted = isCounted
        self.user = user
        self.store = store
        self.sessions = sessions
        self.timeMillis = timeMillis
        deployed = store.current
        lookups = nil
        recorder = store.recording.current
        isOfPast = false
    }

    private init(
        _ other: RequestAccess, _ user: AppUser, _ lookups: LookupLog, isOfPast: Bool
    ) {
        address = other.address
        isCounted = false
        self.user = user
        store = other.store
        sessions = other.sessions
        deployed = other.deployed
        timeMillis = LogicalClock.wallMillis
        self.lookups = lookups
        // Live queries ask about the same documents again and again.
        recorder = nil
        self.isOfPast = isOfPast
    }

    /// The same that tells `lookups` what rules look up.
    func noting(_ lookups: LookupLog) -> RequestAccess {
        RequestAccess(self, user, lookups, isOfPast: false)
    }

    /// The same user under the same rules, now, however long the token lasts; with `isOfPast` even
    /// if the rules are no longer in force.
    func again(_ lookups: LookupLog, isOfPast: Bool) -> RequestAccess {
        RequestAccess(self, AppUser(auth: user.auth), lookups, isOfPast: isOfPast)
    }

    /// The number of the rules; 0 for none.
    var version: Int64 { deployed?.version ?? 0 }

    /// Whether neither the token nor its session has ended, nor other rules were deployed.
    var isInForce: Bool {
        version == store.version && !sessions.hasEnded(user)
            && user.expiresAtMillis.map { LogicalClock.wallMillis < $0 } ?? true
    }

    /// Whether queries leave out what may not be seen, rather than being refused.
    var filters: Bool { deployed?.rules.filters ?? false }

    /// Refuses a request that outlives its token, its session or the rules that it began under.
    /// - Throws: `unauthorized`.
    func checkLasts() throws(DBError) {
        if isOfPast { return }
        if version != store.version {
            throw DBError(
                .unauthorized, "The security rules changed while this was running: run it again")
        }
        if let end = user.expiresAtMillis, LogicalClock.wallMillis >= end {
            throw DBError(.unauthorized, "The token has ended: sign in again")
        }
        if sessions.hasEnded(user) {
            throw DBError(.unauthorized, "The session has ended: sign in again")
        }
    }

    /// A request about one document as rules see it; nil where no rule can be about it.
    func request(
        _ method: RuleMethod, _ namespace: Namespace, id: ValueView, resource: Document?,
        newResource: Document? = nil
    ) -> RuleRequest? {
        guard let path = CollectionPath(namespace), let segments = path.segments(of: id) else {
            return nil
        }
        return RuleRequest(
            method, database: path.database, segments, auth: user.auth, timeMillis: timeMillis,
            resource: resource, newResource: newResource,
            query: method == .list ? RuleRequest.Query() : nil)
    }

    /// The error for what the rules don't allow.
    func denial(_ request: RuleRequest?, _ known: KnownDocuments) -> DBError {
        guard let rules = deployed?.rules else {
            return denial("no rules are deployed: app users may do nothing")
        }
        guard let request else { return denial("the _id has no path, so no rule can allow it") }
        return store.denials.deny(user) { RuleExplanation(rules, request, known).text }
    }

    /// The error for what is refused whatever the rules say.
    package func denial(_ reason: String) -> DBError {
        store.denials.deny(user) { "denied: \(reason)" }
    }
}

extension RoostEngine {
    /// What a request of a principal carries; nil for those that bypass the rules.
    ///
    /// - Parameters:
    ///   - address: where it comes from, without a port; nil from within the process.
    ///   - isCounted: whether it counts against the rules' limits.
    package func access(
        of principal: Principal, from address: String? = nil, isCounted: Bool = true
    ) throws(DBError) -> RequestAccess? {
        guard case .app(let user) = principal else { return nil }
        let access = RequestAccess(
            user, rules, appSessions, timeMillis: LogicalClock.wallMillis, address: address,
            isCounted: isCounted)
        try access.checkLasts()
        return access
    }
}
