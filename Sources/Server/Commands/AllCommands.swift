// The list of commands. Each is a file of this folder.

/// Every command that the server knows.
let allCommands: [CommandDefinition] =
    documentCommands + schemaCommands + handshakeCommands + diagnosticCommands + sessionCommands
    + rulesCommands + accountCommands + appUserCommands

/// Documents.
private let documentCommands: [CommandDefinition] = [
    Find.definition, GetMore.definition, KillCursors.definition, Insert.definition,
    UpdateCommand.definition, Delete.definition, TrashCommands.restore, TrashCommands.purge,
    FindAndModify.definition, Count.definition,
    Distinct.definition, PlanCacheCommands.clear, Aggregate.definition, BulkWrite.definition,
    Explain.definition, QueryCommand.definition, Live.definition,
]

/// Collections and indexes.
private let schemaCommands: [CommandDefinition] = [
    ListDatabases.definition, ListCollections.definition, Create.definition, Drop.definition,
    DropDatabase.definition, RenameCollection.definition, CreateIndexes.definition,
    ListIndexes.definition, DropIndexes.definition, CollMod.definition, CollStats.definition,
    DBStats.definition, Validate.definition, ConvertToCapped.convert, ConvertToCapped.clone,
    ValidateDBMetadata.definition, Migrate.definition,
]

/// Who are you, and are you there.
private let handshakeCommands: [CommandDefinition] = [
    Hello.hello, Hello.isMaster, Ping.definition, BuildInfo.definition, Logout.definition,
    SignIn.start, SignIn.goOn, SignIn.authenticate,
]

/// What drivers, shells and Compass ask about the server.
private let diagnosticCommands: [CommandDefinition] = [
    ServerStatus.definition, HostInfo.definition, GetParameter.definition,
    SetParameter.definition, GetCmdLineOpts.definition, GetLog.definition,
    ConnectionStatus.definition, WhatsMyURI.definition, ListCommands.definition,
    ReplSetGetStatus.definition, Top.definition, CurrentOp.definition, KillOp.definition,
    GetFreeMonitoringStatus.definition,
    Features.definition, Profile.definition, ConfigureFailPoint.definition, Fsync.lock,
    Fsync.unlock,
    TestVersion2.definition, LockInfo.definition, DataSize.definition, DBHash.definition,
    SetFeatureCompatibilityVersion.definition, AutoCompact.definition, Compact.definition,
    LogRotate.definition,
    DropConnections.definition, ConnPoolStats.definition, Metrics.definition,
    GetClusterParameter.definition, SetClusterParameter.definition, BackupCommand.definition,
]

/// Users and roles.
private let accountCommands: [CommandDefinition] = [
    UserCommands.create, UserCommands.update, UserCommands.drop, UserCommands.dropAll,
    UserCommands.grant, UserCommands.revoke, UsersInfo.definition, RoleCommands.create,
    RoleCommands.update, RoleCommands.drop, RoleCommands.dropAll, RoleCommands.grantRoles,
    RoleCommands.revokeRoles, RoleCommands.grantPrivileges, RoleCommands.revokePrivileges,
    RolesInfo.definition, UserCommands.invalidate,
]

/// Users of apps.
private let appUserCommands: [CommandDefinition] =
    AppSignIn.commands + AppEmail.commands + AppFactors.commands + AppProviders.commands
    + AppUserAdministration.commands

/// Security rules.
private let rulesCommands: [CommandDefinition] = [
    RulesCommands.deploy, RulesCommands.show, RulesCommands.why, RulesCommands.actAs,
]

/// Sessions.
private let sessionCommands: [CommandDefinition] = [
    SessionCommands.start, SessionCommands.end, SessionCommands.refresh, SessionCommands.kill,
    SessionCommands.killAll, SessionCommands.killAllByPattern, TransactionCommands.commit,
    TransactionCommands.abort,
]
