// `option limit = '100/m per user';`: how often app users may ask.
//
// A limit counts for what stands beside it: in a service for all requests, in a match for those
// about its documents and what lies below. A read counts once, a write once for each document that
// the rules are asked about, whether they allow it or not. Each user (or address, or all together)
// has a bucket of as many requests as the limit says, which fills evenly over its time: kept as the
// one moment at which the bucket will be full (the generic cell rate algorithm). Counts are those
// of this process and these rules; a deploy begins anew.

package import BSON
import Query
import Rules
import Synchronization

/// The counts of one version of the rules. Safe from any thread.
final class RequestRates: Sendable {
    /// What a bucket belongs to.
    private struct Key: Hashable {
        let limit: Int
        /// A user, an address; empty where all share one.
        let name: String
    }

    private struct State {
        /// When each bucket is full again, in nanoseconds of the monotonic clock.
        var full: [Key: UInt64] = [:]
        var names: [Namespace: [(index: Int, limit: RateLimit)]] = [:]
    }

    /// Most buckets; beyond that those which are full are forgotten.
    private static let bucketsMax = 100_000

    private let rules: RuleSet
    /// Whether there are limits at all.
    let isEmpty: Bool
    private let state = Mutex(State())

    init(_ rules: RuleSet) {
        self.rules = rules
        isEmpty = !rules.hasRateLimits
    }

    /// Counts a request about a collection; how many seconds to wait where it is one too many, which
    /// isn't counted. O(limits).
    func count(
        _ namespace: Namespace, _ user: AppUser, address: String?,
        now: UInt64 = MonotonicClock.nanoseconds
    ) -> (limit: RateLimit, seconds: Int)? {
        guard !isEmpty, let path = CollectionPath(namespace) else { return nil }
        let uid = user.auth?.view.value("uid")?.string
        return state.withLock { state in
            let limits: [(index: Int, limit: RateLimit)]
            if let known = state.names[namespace] {
                limits = known
            } else {
                if state.names.count >= 1_024 { state.names = [:] }
                limits = rules.rateLimits(of: path.names)
                state.names[namespace] = limits
            }
            var moments: [(Key, UInt64)] = []
            for (index, limit) in limits {
                let name =
                    switch limit.scope {
                    case .all: ""
                    // Those who aren't signed in are told apart by where they are.
                    case .user: uid.map { "u" + $0 } ?? "a" + (address ?? "")
                    case .address: "a" + (address ?? "")
                    }
                let key = Key(limit: index, name: name)
                let whole = UInt64(limit.seconds) * 1_000_000_000
                let step = max(1, whole / UInt64(limit.requests))
                let full = max(state.full[key] ?? 0, now) + step
                // The bucket's time, and what rounding took from it.
                if full > now + step * UInt64(limit.requests) {
                    let wait = full - now - step * UInt64(limit.requests)
                    return (limit, Int((wait + 999_999_999) / 1_000_000_000))
                }
                moments.append((key, full))
            }
            if state.full.count + moments.count > Self.bucketsMax {
                state.full = state.full.filter { $0.value > now }
            }
            for (key, full) in moments { state.full[key] = full }
            return nil
        }
    }
}

extension RequestAccess {
    /// Counts a request about a collection against the limits of the rules.
    /// - Throws: 462 with `retryAfterSeconds` where it is one too many.
    func count(_ namespace: Namespace) throws(DBError) {
        guard isCounted, let rates = deployed?.rates, !rates.isEmpty,
            let (limit, seconds) = rates.count(namespace, user, address: address)
        else { return }
        throw DBError(
            .ingressRequestRateLimitExceeded,
            "Too many requests: the security rules allow \(limit.text); try again in "
                + "\(seconds) s",
            details: ["retryAfterSeconds": .int32(Int32(clamping: seconds))])
    }

    /// Counts a read once, however many collections and batches it has.
    func countRead(_ namespace: Namespace) throws(DBError) {
        guard isCounted, !hasRead.exchange(true, ordering: .relaxed) else { return }
        try count(namespace)
    }
}

extension DBError.Code {
    /// MongoDB's 462 IngressRequestRateLimitExceeded.
    package static let ingressRequestRateLimitExceeded = DBError.Code(rawValue: 462)
}

extension RateLimit {
    /// As it is written, such as `100 requests per 60 s and user`.
    fileprivate var text: String {
        let whom =
            switch scope {
            case .all: ""
            case .user: " and user"
            case .address: " and address"
            }
        return "\(requests) requests per \(seconds) s\(whom)"
    }
}
