// createRole, updateRole, dropRole, dropAllRolesFromDatabase, grantRolesToRole,
// revokeRolesFromRole, grantPrivilegesToRole, revokePrivilegesFromRole: roles beside the built-in
// ones.

import BSON
import Roost
import Wire

enum RoleCommands {
    private static let rolesField = [FieldSpec("roles", .array, required: true)]
    private static let privilegesField = [FieldSpec("privileges", .array, required: true)]

    static let create = CommandDefinition(
        "createRole", .isWrite,
        fields: [
            FieldSpec("privileges", .array, required: true),
            FieldSpec("roles", .array, required: true),
            FieldSpec("authenticationRestrictions", .array),
        ],
        access: .fields { call, rights throws(DBError) in
            try rights.require([.createRole], onDatabase: call.database, call)
            try rights.require(granting: try call.roles("roles") ?? [], call)
            try rights.require(granting: try call.privileges("privileges") ?? [], call)
        }, help: "makes a role"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        try call.refuseRestrictions()
        guard BuiltinRoles.privileges(name.name, in: name.database) == nil else {
            throw DBError(
                .badValue,
                "Cannot create roles with the same name as a built-in role: \(name.name)")
        }
        let roles = try call.roles("roles") ?? []
        let privileges = try call.privileges("privileges") ?? []
        try checkPlace(privileges, roles, of: name)
        return call.changeAccounts { change in
            if try change.role(name) != nil {
                throw DBError(
                    DBError.Code(rawValue: 51_002),
                    "Role \"\(name.name)@\(name.database)\" already exists")
            }
            try change.checkExist(roles)
            return [.role(name, CustomRole(name: name, privileges: privileges, roles: roles))]
        }
    }

    static let update = CommandDefinition(
        "updateRole", .isWrite,
        fields: [
            FieldSpec("privileges", .array), FieldSpec("roles", .array),
            FieldSpec("authenticationRestrictions", .array),
        ],
        access: .fields { call, rights throws(DBError) in
            try rights.require([.revokeRole], onDatabase: call.database, call)
            try rights.require(granting: try call.roles("roles") ?? [], call)
            try rights.require(granting: try call.privileges("privileges") ?? [], call)
        }, help: "replaces what a role holds"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        try call.refuseRestrictions()
        let roles = try call.roles("roles")
        let privileges = try call.privileges("privileges")
        guard roles != nil || privileges != nil else {
            throw DBError(.badValue, "Must specify at least one field to update in updateRole")
        }
        try checkPlace(privileges ?? [], roles ?? [], of: name)
        return call.changeAccounts { change in
            var role = try change.existingRole(name)
            if let privileges { role.privileges = Privilege.merged(privileges) }
            if let roles {
                try checkInherit(roles, from: name, change)
                role.roles = roles
            }
            return [.role(name, role)]
        }
    }

    static let drop = CommandDefinition(
        "dropRole", .isWrite, access: .database([.dropRole]), help: "removes a role"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        return call.changeAccounts { change in
            _ = try change.existingRole(name)
            return try removal(of: [name], change)
        }
    }

    static let dropAll = CommandDefinition(
        "dropAllRolesFromDatabase", .isWrite, access: .database([.dropRole]),
        help: "removes the roles of a database"
    ) { call, _ throws(DBError) in
        let database = call.database
        return call.changeAccounts { change in
            let names = try change.roles().map(\.name).filter { $0.database == database }
            return try removal(of: names, change)
        } answer: { edits, reply in
            let count = edits.count { edit in
                if case .role(_, nil) = edit { true } else { false }
            }
            reply.append("n", Int32(clamping: count))
        }
    }

    static let grantRoles = CommandDefinition(
        "grantRolesToRole", .isWrite, fields: rolesField,
        access: .fields { call, rights throws(DBError) in
            try rights.require(granting: try call.roles("roles") ?? [], call)
        }, help: "has a role inherit from others"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        let roles = try call.roles("roles") ?? []
        try checkPlace([], roles, of: name)
        return call.changeAccounts { change in
            var role = try change.existingRole(name)
            try checkInherit(roles, from: name, change)
            role.roles += roles.filter { !role.roles.contains($0) }
            return [.role(name, role)]
        }
    }

    static let revokeRoles = CommandDefinition(
        "revokeRolesFromRole", .isWrite, fields: rolesField,
        access: .fields { call, rights throws(DBError) in
            try rights.require(revoking: try call.roles("roles") ?? [], call)
        }, help: "ends a role's inheriting from others"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        let roles = try call.roles("roles") ?? []
        return call.changeAccounts { change in
            var role = try change.existingRole(name)
            role.roles.removeAll { roles.contains($0) }
            return [.role(name, role)]
        }
    }

    static let grantPrivileges = CommandDefinition(
        "grantPrivilegesToRole", .isWrite, fields: privilegesField,
        access: .fields { call, rights throws(DBError) in
            try rights.require(granting: try call.privileges("privileges") ?? [], call)
        }, help: "gives a role privileges"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        let privileges = try call.privileges("privileges") ?? []
        try checkPlace(privileges, [], of: name)
        return call.changeAccounts { change in
            var role = try change.existingRole(name)
            role.privileges = Privilege.merged(role.privileges + privileges)
            return [.role(name, role)]
        }
    }

    static let revokePrivileges = CommandDefinition(
        "revokePrivilegesFromRole", .isWrite, fields: privilegesField,
        access: .fields { call, rights throws(DBError) in
            try rights.require(granting: try call.privileges("privileges") ?? [], call)
        }, help: "takes privileges from a role"
    ) { call, _ throws(DBError) in
        let name = try call.accountName()
        let privileges = try call.privileges("privileges") ?? []
        return call.changeAccounts { change in
            var role = try change.existingRole(name)
            for privilege in privileges {
                for index in role.privileges.indices
                where role.privileges[index].resource == privilege.resource {
                    role.privileges[index].actions.subtract(privilege.actions)
                }
            }
            role.privileges.removeAll(where: \.actions.isEmpty)
            return [.role(name, role)]
        }
    }

    // MARK: Checks

    /// A role outside of `admin` may only be about its own database.
    private static func checkPlace(
        _ privileges: [Privilege], _ roles: [QualifiedName], of name: QualifiedName
    ) throws(DBError) {
        guard name.database != "admin" else { return }
        guard privileges.allSatisfy({ $0.resource.database == name.database }) else {
            throw DBError(
                .invalidRoleModification,
                "Roles on the '\(name.database)' database cannot be granted privileges that target "
                    + "other databases or the cluster")
        }
        guard roles.allSatisfy({ $0.database == name.database }) else {
            throw DBError(
                .invalidRoleModification,
                "Roles on the '\(name.database)' database cannot be granted roles from other "
                    + "databases")
        }
    }

    /// - Throws: 31 RoleNotFound; 49 InvalidRoleModification for a cycle.
    private static func checkInherit(
        _ roles: [QualifiedName], from name: QualifiedName, _ change: borrowing AccountChange
    ) throws {
        try change.checkExist(roles)
        var waiting = roles
        var seen = Set<QualifiedName>()
        while let next = waiting.popLast() {
            guard next != name else {
                throw DBError(
                    .invalidRoleModification,
                    "Granting \(roles.map(\.id).joined(separator: ", ")) to \(name.id) would "
                        + "introduce a cycle in the role graph")
            }
            guard seen.insert(next).inserted else { continue }
            waiting += try change.role(next)?.roles ?? []
        }
    }

    /// Removes roles, also from whoever has them.
    private static func removal(
        of names: [QualifiedName], _ change: borrowing AccountChange
    ) throws -> [AccountEdit] {
        var edits: [AccountEdit] = names.map { .role($0, nil) }
        for var user in try change.users() where user.roles.contains(where: names.contains) {
            user.roles.removeAll(where: names.contains)
            edits.append(.user(user.name, user))
        }
        for var role in try change.roles()
        where !names.contains(role.name) && role.roles.contains(where: names.contains) {
            role.roles.removeAll(where: names.contains)
            edits.append(.role(role.name, role))
        }
        return edits
    }
}
