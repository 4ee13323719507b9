// All service accounts and roles, in memory: read when the server starts, kept up by each change
// that was committed. The number `version` grows with each, so that a connection finds out by one
// comparison whether what it knows of its rights still holds.

import BSON
import Roost
import Synchronization
import Wire

/// What a committed change did.
enum AccountEdit: Sendable {
    case user(QualifiedName, ServiceAccount?)
    case role(QualifiedName, CustomRole?)
}

/// Safe from any thread.
final class AccountBook: Sendable {
    private struct State {
        var users: [QualifiedName: ServiceAccount] = [:]
        var roles: [QualifiedName: CustomRole] = [:]
        /// What was worked out since the last change.
        var authorities: [QualifiedName: Authority] = [:]
        /// Gets the session owners of accounts that lost rights.
        var whenChanged: (@Sendable (Set<UInt64>) -> Void)?
    }

    private let state: Mutex<State>
    private let engine: RoostEngine
    private let versionNumber = Atomic<UInt64>(1)
    /// What salts of unknown users are made of; the same over restarts once there is an account.
    private let saltSecret: [UInt8]
    /// The name of the secret's record.
    private static let saltSecretName = "salt"

    /// Reads the accounts of a folder.
    init(_ engine: RoostEngine) throws(DBError) {
        self.engine = engine
        var initial = State()
        for (name, record) in try engine.accountRecords(.user) {
            guard let user = ServiceAccount(record) else { throw Self.damaged("user", name) }
            initial.users[user.name] = user
        }
        for (name, record) in try engine.accountRecords(.role) {
            guard let role = CustomRole(record) else { throw Self.damaged("role", name) }
            initial.roles[role.name] = role
        }
        let secret = try engine.accountRecord(.secret, Self.saltSecretName)
        if case .binary(_, let bytes)? = secret?["value"] {
            saltSecret = bytes
        } else {
            saltSecret = SecureRandom.bytes(32)
        }
        state = Mutex(initial)
    }

    private static func damaged(_ kind: String, _ name: String) -> DBError {
        DBError(
            DBError.Code(rawValue: 354),
            "the record of the \(kind) '\(name)' can't be read: restore a backup, or run "
                + "`roost verify`")
    }

    /// Grows with each change of accounts and roles.
    var version: UInt64 { versionNumber.load(ordering: .acquiring) }

    /// Whether there is an account at all.
    var hasAccounts: Bool { state.withLock { !$0.users.isEmpty } }

    /// The secret behind the salts that unknown users are shown.
    var secret: [UInt8] { saltSecret }

    /// Has `body` run after each change, on the writer thread.
    /// It gets the numbers of accounts that lost rights, as `ConnectionAccess.sessionOwner` has them.
    func whenChanged(_ body: (@Sendable (Set<UInt64>) -> Void)?) {
        state.withLock { $0.whenChanged = body }
    }

    /// Has each connection look at its rights again: sessions of app users have ended.
    func noteEndedSessions() {
        versionNumber.wrappingAdd(1, ordering: .releasing)
        state.withLock { $0.whenChanged }?([])
    }

    /// A user; nil where there is none of that name.
    func user(_ name: QualifiedName) -> ServiceAccount? { state.withLock { $0.users[name] } }

    /// A role that was made.
    func role(_ name: QualifiedName) -> CustomRole? { state.withLock { $0.roles[name] } }

    /// The users by name.
    var users: [ServiceAccount] {
        state.withLock { $0.users.values.sorted { $0.name < $1.name } }
    }

    /// The roles that were made, by name.
    var allRoles: [CustomRole] {
        state.withLock { $0.roles.values.sorted { $0.name < $1.name } }
    }

    /// The roles of a database that were made, by name.
    func roles(in database: String) -> [CustomRole] {
        state.withLock { state in
            state.roles.values.filter { $0.name.database == database }
                .sorted { $0.name < $1.name }
        }
    }

    // MARK: Rights

    /// What the user may do; nil where there is none of that name and id.
    func authority(of name: QualifiedName, userID: [UInt8]) -> Authority? {
        state.withLock { state in
            guard let user = state.users[name], user.userID == userID else { return nil }
            if let known = state.authorities[name] { return known }
            let made = Authority(Self.privileges(of: user.roles, state.roles))
            state.authorities[name] = made
            return made
        }
    }

    /// The privileges of roles and all they inherit.
    func privileges(of roles: [QualifiedName]) -> [Privilege] {
        state.withLock { Privilege.merged(Self.privileges(of: roles, $0.roles)) }
    }

    /// The roles that these inherit from, and they themselves.
    func closure(of roles: [QualifiedName]) -> [QualifiedName] {
        state.withLock { Self.closure(of: roles, $0.roles) }
    }

    /// Whether there is a role of that name, made or built in.
    func roleExists(_ name: QualifiedName) -> Bool {
        BuiltinRoles.privileges(name.name, in: name.database) != nil || role(name) != nil
    }

    private static func privileges(
        of roles: [QualifiedName], _ made: [QualifiedName: CustomRole]
    ) -> [Privilege] {
        closure(of: roles, made).flatMap { name in
            made[name]?.privileges
                ?? BuiltinRoles.privileges(name.name, in: name.database) ?? []
        }
    }

    private static func closure(
        of roles: [QualifiedName], _ made: [QualifiedName: CustomRole]
    ) -> [QualifiedName] {
        var seen = Set<QualifiedName>()
        var order: [QualifiedName] = []
        var waiting = roles
        while let name = waiting.popLast() {
            guard seen.insert(name).inserted else { continue }
            order.append(name)
            waiting += made[name]?.roles ?? []
        }
        return order
    }

    // MARK: Changes

    /// Runs a change of accounts; what it says to have done is known here when `completion` is
    /// called, on the writer thread.
    func change(
        _ body: @escaping @Sendable (borrowing AccountChange) throws -> [AccountEdit],
        completion: @escaping @Sendable (Result<[AccountEdit], DBError>) -> Void
    ) {
        let secret = saltSecret
        engine.changeAccounts { change in
            let edits = try body(change)
            for edit in edits { try Self.store(edit, change) }
            if try change.record(.secret, Self.saltSecretName) == nil {
                try change.put(
                    .secret, Self.saltSecretName, ["value": .binary(subtype: 0, secret)])
            }
            return edits
        } completion: { outcome in
            if case .success(let edits) = outcome { self.note(edits) }
            completion(outcome)
        }
    }

    private static func store(_ edit: AccountEdit, _ change: borrowing AccountChange) throws {
        switch edit {
        case .user(let name, let user?): try change.put(.user, name.id, user.record)
        case .user(let name, nil): try change.remove(.user, name.id)
        case .role(let name, let role?): try change.put(.role, name.id, role.record)
        case .role(let name, nil): try change.remove(.role, name.id)
        }
    }

    private func note(_ edits: [AccountEdit]) {
        let (whenChanged, withdrawn) = state.withLock { state in
            let before = state.authorities.compactMap { name, authority in
                state.users[name].map { ($0, authority) }
            }
            for edit in edits {
                switch edit {
                case .user(let name, let user): state.users[name] = user
                case .role(let name, let role): state.roles[name] = role
                }
            }
            state.authorities = [:]
            var withdrawn = Set<UInt64>()
            for (user, authority) in before {
                if let now = state.users[user.name], now.userID == user.userID {
                    let new = Authority(Self.privileges(of: now.roles, state.roles))
                    state.authorities[user.name] = new
                    if new.includes(authority) { continue }
                }
                withdrawn.insert(
                    ConnectionAccess.Identity.service(user.name, userID: user.userID)
                        .sessionOwner)
            }
            return (state.whenChanged, withdrawn)
        }
        versionNumber.wrappingAdd(1, ordering: .releasing)
        whenChanged?(withdrawn)
    }
}

extension AccountChange {
    /// The user of that name.
    func user(_ name: QualifiedName) throws -> ServiceAccount? {
        try record(.user, name.id).flatMap { ServiceAccount($0) }
    }

    /// The role of that name that was made.
    func role(_ name: QualifiedName) throws -> CustomRole? {
        try record(.role, name.id).flatMap { CustomRole($0) }
    }

    /// All users.
    func users() throws -> [ServiceAccount] {
        try records(.user).compactMap { ServiceAccount($0.record) }
    }

    /// All roles that were made.
    func roles() throws -> [CustomRole] {
        try records(.role).compactMap { CustomRole($0.record) }
    }

    /// Whether there is a role of that name, made or built in.
    func roleExists(_ name: QualifiedName) throws -> Bool {
        if BuiltinRoles.privileges(name.name, in: name.database) != nil { return true }
        return try role(name) != nil
    }
}
