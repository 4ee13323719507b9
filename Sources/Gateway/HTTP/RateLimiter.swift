// Requests of one user, or of one address where nobody signed in, within a second: a bucket that
// fills evenly and holds two seconds' worth.

import BSON
import Synchronization
import Wire

/// Counts requests. Safe from any thread; its memory is bounded.
final class RateLimiter: Sendable {
    private struct Bucket {
        var tokens: Double
        var filledAt: ContinuousClock.Instant
    }

    /// Most buckets; beyond, full ones are forgotten, which changes nothing.
    private static let bucketsMax = 100_000

    private let perSecond: Double
    private let buckets = Mutex<[String: Bucket]>([:])

    /// With 0 requests a second there is no bound.
    init(requestsPerSecond: Int) {
        perSecond = Double(requestsPerSecond)
    }

    /// Takes one request.
    /// - Throws: 61429 where there have been too many.
    func take(
        _ guest: DoorGuest, _ address: String, now: ContinuousClock.Instant = .now
    ) throws(DBError) {
        guard perSecond > 0 else { return }
        let key =
            switch guest {
            case .token(let token): Self.subject(token)
            case .connected, .anonymous, .doorkeeper: "address \(address)"
            }
        let most = 2 * perSecond
        let perSecond = perSecond
        let isAllowed = buckets.withLock { buckets in
            if buckets.count >= Self.bucketsMax {
                buckets = buckets.filter { Self.level($0.value, perSecond, now) < most }
            }
            var bucket = buckets[key] ?? Bucket(tokens: most, filledAt: now)
            bucket.tokens = Self.level(bucket, perSecond, now)
            bucket.filledAt = now
            defer { buckets[key] = bucket }
            guard bucket.tokens >= 1 else { return false }
            bucket.tokens -= 1
            return true
        }
        guard isAllowed else {
            throw DBError(.httpTooMany, "too many requests: try again in 1 s")
        }
    }

    /// What is in a bucket now, at most two seconds' worth.
    private static func level(
        _ bucket: Bucket, _ perSecond: Double, _ now: ContinuousClock.Instant
    ) -> Double {
        let passed = (now - bucket.filledAt) / .seconds(1)
        return min(2 * perSecond, bucket.tokens + passed * perSecond)
    }

    /// The user of a token, without asking whether it is valid: a forged one counts for itself.
    private static func subject(_ token: String) -> String {
        let payload = token.split(separator: ".").dropFirst().first ?? ""
        return "token \(payload.hashValue)"
    }
}
