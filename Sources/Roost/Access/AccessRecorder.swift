// Recording what app users ask and what the rules say, for `roost rules replay`.
//
// Off unless somebody asks for it: a request then pays for one look at a flag. With it each decision
// about a document is handed over with the documents that it looked up. Of a query it is the first
// documents that were looked at; those that an index left out are never seen.

package import BSON
import Rules
import Synchronization

/// Takes records (RecordedRequest has the form). Called on any thread, the writer's too: it must not
/// wait.
package typealias AccessRecorder = @Sendable (Document) -> Void

/// Who records, if anybody. Safe from any thread.
package final class AccessRecording: Sendable {
    /// Most documents of one read that are recorded.
    static let documentsMax = 20

    private let isOn = Atomic<Bool>(false)
    private let recorder = Mutex<AccessRecorder?>(nil)

    /// Has `body` called for each decision from now on; nil ends that.
    package func record(_ body: AccessRecorder?) {
        recorder.withLock { $0 = body }
        isOn.store(body != nil, ordering: .releasing)
    }

    /// Who records now.
    var current: AccessRecorder? {
        isOn.load(ordering: .acquiring) ? recorder.withLock { $0 } : nil
    }
}

extension RequestAccess {
    /// Records a decision, where somebody asks for it.
    func record(
        _ request: @autoclosure () -> RuleRequest?, _ isAllowed: Bool, hidden: [String] = [],
        _ known: KnownDocuments
    ) {
        guard let recorder, let request = request() else { return }
        recorder(
            RecordedRequest(
                request, rules: version, lookups: known.lookups(in: request.database),
                isAllowed: isAllowed, hidden: hidden
            ).document)
    }
}
