import Synchronization

/// A queued operation, its type erased.
class WriteJob: @unchecked Sendable {
    // Sendable: handed from thread to thread, on one at a time: the caller, the writer, perhaps a
    // completer.

    let options: OperationOptions

    init(_ options: OperationOptions) {
        self.options = options
    }

    /// Runs the operation and keeps its result; may be called again.
    func run(_ transaction: inout LMDBStore.WriteTransaction) throws {}

    /// Makes the job's result this error.
    func fail(_ error: any Error) {}

    /// Hands the result to who waits for it, once; answers whether it is a success.
    func complete() -> Bool { false }

    /// The same, and counts failures.
    final func complete(_ environment: Environment) {
        if !complete() { environment.statistics.withLock { $0.operationsFailed += 1 } }
    }
}

/// A queued operation with a result.
// Sendable: as its superclass, on one thread at a time.
final class TypedWriteJob<R: Sendable>: WriteJob, @unchecked Sendable {
    private let operation: @Sendable (inout LMDBStore.WriteTransaction) throws -> R
    private let completion: @Sendable (Result<R, any Error>) -> Void
    private var result: Result<R, any Error> = .failure(StorageError.closed)

    init(
        _ options: OperationOptions,
        _ operation: @escaping @Sendable (inout LMDBStore.WriteTransaction) throws -> R,
        _ completion: @escaping @Sendable (Result<R, any Error>) -> Void
    ) {
        self.operation = operation
        self.completion = completion
        super.init(options)
    }

    override func run(_ transaction: inout LMDBStore.WriteTransaction) throws {
        result = .success(try operation(&transaction))
    }

    override func fail(_ error: any Error) {
        result = .failure(error)
    }

    override func complete() -> Bool {
        completion(result)
        if case .success = result { return true }
        return false
    }
}
