// Records of users, roles, credentials, keys and tokens: documents by kind and name, in a table of
// its own, so that no query, change stream, export or backup by reading ever shows a secret.
//
// Part of the on-disk format, in the table `accounts`:
//
//     kind, 1 byte; the name's bytes -> the record as BSON
//
// A change runs on the writer thread and reads what it changes there, so that two changes of one
// record never lose one. It is durable when it is answered.

package import BSON
import Storage

/// What a record is about; the numbers are part of the on-disk format.
package enum AccountKind: UInt8, Sendable {
    /// A service account: its name, roles and credentials, under `database.name`.
    case user = 1
    /// A role that was made, under `database.name`.
    case role = 2
    /// A secret of the server's, such as that of salts.
    case secret = 3
    /// A key that tokens are signed with, under its id.
    case signingKey = 4
    /// An app user, under its id.
    case appUser = 5
    /// The id of the app user that signs in under an e-mail address.
    case appLogin = 6
    /// A family of refresh tokens, under its id.
    case tokenFamily = 7
    /// A token of one use (e-mail verification, password reset), under its hash.
    case oneTimeToken = 8
}

/// The keys of the table.
private enum AccountKey {
    static func bytes(_ kind: AccountKind, _ name: String) -> [UInt8] {
        [kind.rawValue] + Array(name.utf8)
    }
}

extension ReadableTransaction where Self: ~Copyable {
    /// The record of that name; nil where there is none.
    func accountRecord(_ kind: AccountKind, _ name: String) throws(StorageError) -> Document? {
        let key = AccountKey.bytes(kind, name)
        guard let bytes = try value(.accounts, key.span.bytes) else { return nil }
        return Document(copying: DocumentView(bytes))
    }

    /// All records of a kind, by their names.
    func accountRecords(
        _ kind: AccountKind, prefix: String = ""
    ) throws(StorageError) -> [(name: String, record: Document)] {
        let prefix = AccountKey.bytes(kind, prefix)
        var found: [(name: String, record: Document)] = []
        var cursor = cursor(.accounts)
        var isFound = try cursor.seek(to: prefix.span.bytes)
        while isFound, cursor.key.starts(with: prefix.span.bytes) {
            let name = String(utf8: cursor.key.extracting(1..<cursor.key.byteCount))
            found.append((name, Document(copying: DocumentView(try cursor.value()))))
            isFound = try cursor.next()
        }
        return found
    }
}

/// A change of records under way on the writer thread, lent to its body.
package struct AccountChange: ~Copyable {
    private var transaction: UnsafeMutablePointer<WriteTransaction>

    fileprivate init(_ transaction: UnsafeMutablePointer<WriteTransaction>) {
        self.transaction = transaction
    }

    // SAFETY (all uses of the pointer): `RoostEngine.changeAccounts` makes it for the time of the
    // body, which can't keep a value that can't be copied.

    /// The record of that name; nil where there is none.
    package func record(_ kind: AccountKind, _ name: String) throws -> Document? {
        try transaction.pointee.accountRecord(kind, name)
    }

    /// All records of a kind whose names begin so.
    package func records(
        _ kind: AccountKind, prefix: String = ""
    ) throws -> [(name: String, record: Document)] {
        try transaction.pointee.accountRecords(kind, prefix: prefix)
    }

    /// Stores a record, replacing the one of that name.
    package func put(_ kind: AccountKind, _ name: String, _ record: Document) throws {
        let key = AccountKey.bytes(kind, name)
        try transaction.pointee.put(
            .accounts, key: key.span.bytes, value: record.bytes.span.bytes)
    }

    /// Removes a record; false where there is none.
    @discardableResult
    package func remove(_ kind: AccountKind, _ name: String) throws -> Bool {
        let key = AccountKey.bytes(kind, name)
        return try transaction.pointee.delete(.accounts, key: key.span.bytes)
    }
}

extension RoostEngine {
    /// Runs a change of account records on the writer thread; answers when it is durable, on that
    /// thread. A body that throws changes nothing.
    package func changeAccounts<R: Sendable>(
        _ body: @escaping @Sendable (borrowing AccountChange) throws -> R,
        completion: @escaping @Sendable (Result<R, DBError>) -> Void
    ) {
        submit(
            OperationOptions(.nested, mayUseReserve: true),
            { transaction in
                try withUnsafeMutablePointer(to: &transaction) { pointer in
                    try body(AccountChange(pointer))
                }
            }, completion: completion)
    }

    /// Runs a change of account records and waits until it is durable. Not for event loops.
    package func changeAccountsAndWait<R: Sendable>(
        _ body: @escaping @Sendable (borrowing AccountChange) throws -> R
    ) throws(DBError) -> R {
        let answer = Monitor<Result<R, DBError>?>(nil)
        changeAccounts(body) { outcome in
            answer.withLock { $0 = outcome }
            answer.wake()
        }
        switch answer.wait(timeoutMillis: nil, { $0 }) {
        case .success(let value): return value
        case .failure(let error): throw error
        case nil: throw DBError(.internalError, "the change of an account was not answered")
        }
    }

    /// The records of a kind whose names begin so, as the newest commit has them.
    package func accountRecords(
        _ kind: AccountKind, prefix: String = ""
    ) throws(DBError) -> [(name: String, record: Document)] {
        do {
            return try store.makeReader().read { transaction in
                try transaction.accountRecords(kind, prefix: prefix)
            }
        } catch {
            throw DBError(engineFailure: error)
        }
    }

    /// The record of that name as the newest commit has it; nil where there is none.
    package func accountRecord(
        _ kind: AccountKind, _ name: String
    ) throws(DBError) -> Document? {
        do {
            return try store.makeReader().read { transaction in
                try transaction.accountRecord(kind, name)
            }
        } catch {
            throw DBError(engineFailure: error)
        }
    }
}
