// How long a read may go on before it lets others run, and how much it hands out at once.

package import BSON

/// Bounds of one slice of a read.
package struct ReadBudget: Sendable {
    /// Most documents and index entries looked at.
    package let examinedMax: Int
    /// Longest time, in nanoseconds.
    package let nanosecondsMax: Int64
    /// Whether others wait for the thread: nothing is begun then that can't be left soon.
    let isInPlace: Bool

    package init(examinedMax: Int, nanosecondsMax: Int64, isInPlace: Bool = false) {
        self.isInPlace = isInPlace
        self.examinedMax = examinedMax
        self.nanosecondsMax = nanosecondsMax
    }

    /// For an event loop: what takes longer goes to the reader pool.
    package static let inPlace = ReadBudget(
        examinedMax: 128, nanosecondsMax: 200_000, isInPlace: true)
    /// The most steps that matching one document may take.
    var stepsMax: Int { isInPlace ? 4_000_000 : .max }

    /// For a thread of the reader pool; short beside the second that a snapshot may live.
    package static let slice = ReadBudget(examinedMax: .max, nanosecondsMax: 10_000_000)
}

/// A budget being spent.
struct BudgetMeter: ~Copyable {
    /// What ends the slice; the same for all threads that work on it.
    struct Limit {
        let examinedMax: Int
        /// By the monotonic clock.
        let end: UInt64
        /// Whether others wait for the thread.
        let isInPlace: Bool
    }

    let limit: Limit
    private(set) var examined = 0
    /// Whether the slice should end.
    private(set) var isSpent = false
    /// Between looks at the clock.
    private static let stride = 32

    init(_ budget: ReadBudget) {
        let nanoseconds = UInt64(max(0, budget.nanosecondsMax))
        self.init(
            Limit(
                examinedMax: budget.examinedMax,
                end: MonotonicClock.nanoseconds &+ nanoseconds, isInPlace: budget.isInPlace))
    }

    init(_ limit: Limit) {
        self.limit = limit
    }

    /// Counts one document or entry; true when the slice should end.
    mutating func spend() -> Bool {
        examined += 1
        if examined >= limit.examinedMax {
            isSpent = true
        } else if isLookDue {
            isSpent = MonotonicClock.nanoseconds > limit.end
        }
        return isSpent
    }

    /// Whether it is time to look at what else may end the slice: now and then.
    var isLookDue: Bool { examined % Self.stride == 0 }
}

/// How much one batch may hold.
package struct BatchLimits: Sendable {
    /// Most documents.
    package let documentsMax: Int
    /// Most bytes of documents; the first document of a batch is taken whatever its size.
    package let bytesMax: Int

    package init(documentsMax: Int = .max, bytesMax: Int = Limits.documentBytesMax) {
        self.documentsMax = documentsMax
        self.bytesMax = bytesMax
    }

    /// Documents in a first batch when the client names no size (MongoDB's number).
    package static let firstBatchDocuments = 101
}

/// Takes a read's results.
package protocol DocumentSink {
    /// Copies a document. It is lent for the call.
    mutating func append(_ document: DocumentView)
}

/// Where a read stands.
package enum ReadStatus: Sendable {
    /// The batch is full; there may be more.
    case batchFull
    /// There is nothing more.
    case exhausted
    /// The slice is over; call again, from a thread that has the time.
    case budgetSpent
}
