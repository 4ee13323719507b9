// Which store the engine stands on: the only place that chooses one. Everything above uses the
// contract in Storage's OrderedStore.swift.

package import Storage

/// The store under the engine.
package typealias Store = LocalStore
/// A renewable snapshot for one event loop or thread.
package typealias Reader = Store.Reader
/// A snapshot.
package typealias ReadTransaction = Store.ReadTransaction
/// What operations on the writer thread change tables through.
package typealias WriteTransaction = Store.WriteTransaction

extension Reader {
    /// Lets short reads share a snapshot, while nothing is committed, until `endSharing`.
    package func beginSharing() { retain() }

    /// Lets go of the shared snapshot.
    package func endSharing() { release() }
}
