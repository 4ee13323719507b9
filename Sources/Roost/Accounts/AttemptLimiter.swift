// Slows guessing down: failed sign-ins are counted for the account, the address and both together,
// and past a free number each further one doubles the time in which none is looked at.
//
// Whether an account exists makes no difference, and one address can't lock others out of an
// account before the account's own, far larger number is used up. The memory is bounded.

import Synchronization

/// Counts failures. Safe from any thread; times are given, so that tests need not wait.
public final class AttemptLimiter: Sendable {
    /// How many failures are free.
    public struct Limits: Sendable {
        /// Of one account from one address.
        public var pair = 10
        /// From one address.
        public var address = 100
        /// Of one account.
        public var account = 200
        /// How long failures count, in milliseconds.
        public var memoryMillis: Int64 = 15 * 60 * 1_000
        /// The longest wait, in milliseconds.
        public var waitMillisMax: Int64 = 5 * 60 * 1_000

        /// The usual ones.
        public init() {}
    }

    private struct Entry {
        var failures = 0
        var last: Int64 = 0
        var blockedUntil: Int64 = 0
    }

    private enum Key: Hashable {
        case pair(String, String)
        case address(String)
        case account(String)
    }

    /// Most entries remembered.
    private static let entriesMax = 100_000

    private let limits: Limits
    private let entries = Mutex<[Key: Entry]>([:])

    /// A limiter that has seen nothing.
    package init(_ limits: Limits = Limits()) {
        self.limits = limits
    }

    /// How long to wait before the next try, in milliseconds; nil where it may be now.
    ///
    /// Without an address only the account counts: whoever asks for others must say for whom, or
    /// one guesser would lock all of them out.
    package func wait(account: String, address: String?, nowMillis: Int64) -> Int64? {
        entries.withLock { entries in
            let until = keys(account, address).map { entries[$0.key]?.blockedUntil ?? 0 }.max() ?? 0
            return until > nowMillis ? until - nowMillis : nil
        }
    }

    /// Notes a failed try.
    package func noteFailure(account: String, address: String?, nowMillis: Int64) {
        entries.withLock { entries in
            if entries.count >= Self.entriesMax { forget(&entries, nowMillis) }
            for (key, free) in keys(account, address) {
                var entry = entries[key] ?? Entry()
                if nowMillis - entry.last > limits.memoryMillis { entry = Entry() }
                entry.failures += 1
                entry.last = nowMillis
                let over = entry.failures - free
                if over >= 0 {
                    let wait = Int64(1_000) << Int64(min(over, 20))
                    entry.blockedUntil = nowMillis + min(wait, limits.waitMillisMax)
                }
                entries[key] = entry
            }
        }
    }

    /// Notes a try that succeeded: the pair begins anew.
    package func noteSuccess(account: String, address: String?) {
        entries.withLock { entries in
            _ = entries.removeValue(forKey: .pair(account, address ?? ""))
        }
    }

    private func keys(_ account: String, _ address: String?) -> [(key: Key, free: Int)] {
        var keys: [(key: Key, free: Int)] = [
            (.pair(account, address ?? ""), limits.pair), (.account(account), limits.account),
        ]
        if let address { keys.append((.address(address), limits.address)) }
        return keys
    }

    /// Makes room: what no longer counts goes, and where that is not enough all that blocks nobody.
    private func forget(_ entries: inout [Key: Entry], _ now: Int64) {
        entries = entries.filter { now - $0.value.last <= limits.memoryMillis }
        if entries.count >= Self.entriesMax {
            entries = entries.filter { $0.value.blockedUntil > now }
        }
        if entries.count >= Self.entriesMax { entries = [:] }
    }
}
