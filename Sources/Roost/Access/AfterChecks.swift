// What a transaction's writes are asked again at its commit: decisions that looked at documents as
// they are after everything (`getAfter`, `existsAfter`).
//
// When a statement runs, later ones are unknown. One that such a lookup speaks for or against is
// made for the time being, and asked again on the writer thread when all changes of the transaction
// are in place; a denial then undoes the commit. What `get` and `exists` say stays as it was when
// the statement ran.

import BSON
import Rules
import Storage
import Synchronization

/// Decisions of one transaction that are yet to be confirmed.
final class AfterChecks: Sendable {
    private struct Check {
        let access: RequestAccess
        let asked: RuleRequest
        /// What was looked up when the statement ran.
        let known: KnownDocuments
    }

    private let checks = Mutex<[Check]>([])

    /// Notes a decision.
    func note(_ access: RequestAccess, _ asked: RuleRequest, _ known: KnownDocuments) {
        checks.withLock { $0.append(Check(access: access, asked: asked, known: known)) }
    }

    /// Asks all again, with everything written.
    /// - Parameters:
    ///   - snapshot: shows what was before the transaction, with `start` as its catalog.
    /// - Throws: `unauthorized` (13), what reading throws.
    func confirm(
        _ catalog: CatalogSnapshot, _ transaction: borrowing WriteTransaction,
        before snapshot: Reader, _ start: CatalogSnapshot
    ) throws {
        for check in checks.withLock({ $0 }) {
            try check.access.checkLasts()
            guard let rules = check.access.deployed?.rules else { continue }
            let known = check.known
            known.forgetAfter()
            while true {
                let decision = rules.decide(check.asked, known)
                if let missing = known.takeMissing() {
                    let found =
                        missing.isAfter
                        ? try KnownDocuments.read(missing, catalog, transaction)
                        : try snapshot.read { before throws(StorageError) in
                            try KnownDocuments.read(missing, start, before)
                        }
                    known.note(missing, found)
                    continue
                }
                check.access.record(check.asked, decision.isAllowed, known)
                guard decision.isAllowed else { throw check.access.denial(check.asked, known) }
                break
            }
        }
    }
}
