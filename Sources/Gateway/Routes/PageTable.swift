// Pages of results: their tokens, and the last page of each result, kept in case it was lost.

import BSON
import Roost
import Synchronization

/// What names a page. Only its user can use it: the server knows whose the cursor is.
struct PageToken {
    let cursor: Int64
    /// From 1, the second page.
    var number: Int
    let session: [UInt8]
    let namespace: Namespace

    init(cursor: Int64, number: Int, session: [UInt8], namespace: Namespace) {
        self.cursor = cursor
        self.number = number
        self.session = session
        self.namespace = namespace
    }

    /// Reads a token; nil for what is none.
    init?(_ text: String) {
        guard let bytes = Base64URL.decode(text),
            let plain = String(validating: bytes, as: UTF8.self)
        else { return nil }
        let parts = plain.split(separator: ".", maxSplits: 4)
        guard parts.count == 5, let cursor = Int64(parts[0]), let number = Int(parts[1]),
            (1...Int(Int32.max)).contains(number),
            let session = Base64URL.decode(parts[2]), session.count == 16
        else { return nil }
        self.init(
            cursor: cursor, number: number, session: session,
            namespace: Namespace(String(parts[3]), String(parts[4])))
    }

    /// The token as clients hold it.
    var text: String {
        let plain = "\(cursor).\(number).\(Base64URL.encode(session)).\(namespace)"
        return Base64URL.encode(Array(plain.utf8))
    }
}

/// Where each result stands. Safe from any thread.
final class PageTable: Sendable {
    private struct Entry {
        /// The page that the cursor gives next.
        var next = 1
        /// The page before, and whose it was; nil where it was too large to be kept.
        var last: (owner: UInt64, answer: HTTPAnswer)?
        var usedAt = ContinuousClock.now
    }

    /// Most results; beyond, those not used for longest are forgotten.
    private static let entriesMax = 20_000
    /// Larger pages are not kept.
    private static let keptBytesMax = 16 * 1024
    /// As long as the server keeps cursors.
    private static let kept = Duration.seconds(600)

    private let entries = Mutex<[Int64: Entry]>([:])

    /// A result has more than its first page.
    func begin(_ cursor: Int64) {
        entries.withLock { entries in
            if entries.count >= Self.entriesMax { Self.makeRoom(&entries) }
            entries[cursor] = Entry()
        }
    }

    private static func makeRoom(_ entries: inout [Int64: Entry]) {
        let limit = ContinuousClock.now - kept
        entries = entries.filter { $0.value.usedAt > limit }
        guard entries.count >= entriesMax else { return }
        let times = entries.values.map(\.usedAt).sorted()
        let oldest = times[times.count / 4]
        entries = entries.filter { $0.value.usedAt > oldest }
    }

    /// Takes the right to ask the cursor for a page; answers with the page where it was given before.
    /// - Throws: 61410 for a page that is gone.
    func take(_ token: PageToken, _ owner: UInt64) throws(DBError) -> HTTPAnswer? {
        let outcome = entries.withLock { entries -> Result<HTTPAnswer?, DBError> in
            guard var entry = entries[token.cursor] else { return .failure(Self.gone) }
            entry.usedAt = .now
            defer { entries[token.cursor] = entry }
            if token.number == entry.next {
                entry.next += 1
                entry.last = nil
                return .success(nil)
            }
            guard token.number == entry.next - 1, let last = entry.last, last.owner == owner
            else { return .failure(Self.gone) }
            return .success(last.answer)
        }
        return try outcome.get()
    }

    /// Keeps a page for whoever asks again.
    func keep(_ answer: HTTPAnswer, of token: PageToken, _ owner: UInt64) {
        guard answer.body.count <= Self.keptBytesMax else { return }
        entries.withLock { $0[token.cursor]?.last = (owner, answer) }
    }

    private static var gone: DBError {
        DBError(
            .httpGone,
            "this page was given already, or its result has ended: begin with the first page")
    }
}
