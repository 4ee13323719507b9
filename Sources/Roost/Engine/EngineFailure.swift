// Where the store's errors become the engine's: the one place that knows both.

package import BSON
import Storage

extension DBError {
    /// Whatever the engine's inside threw, as the error that a client reads.
    package init(engineFailure error: any Error) {
        switch error {
        case let error as DBError: self = error
        case let error as StorageError: self.init(storage: error)
        default:
            self.init(.internalError, "\(error)", underlying: error)
        }
    }

    /// `maxTimeMSExpired`.
    package static var timeExpired: DBError {
        DBError(.maxTimeMSExpired, "operation exceeded time limit")
    }
}
