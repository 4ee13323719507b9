// Which implementation of `OrderedStore` keeps data in a local folder.

/// The store for a local folder.
package typealias LocalStore = LMDBStore
