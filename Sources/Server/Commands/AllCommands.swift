// The list of commands. Each is a file of this folder.

/// Every command that the server knows.
let allCommands: [CommandDefinition] = handshakeCommands + diagnosticCommands + sessionCommands

/// Who are you, and are you there.
private let handshakeCommands: [CommandDefinition] = [
    Hello.hello, Hello.isMaster, Ping.definition, BuildInfo.definition, Logout.definition,
]

/// What drivers, shells and Compass ask about the server.
private let diagnosticCommands: [CommandDefinition] = [
    ServerStatus.definition, HostInfo.definition, GetParameter.definition,
    SetParameter.definition, GetCmdLineOpts.definition, GetLog.definition,
    ConnectionStatus.definition, WhatsMyURI.definition, ListCommands.definition,
    ReplSetGetStatus.definition, Top.definition, CurrentOp.definition, UsersInfo.definition,
    RolesInfo.definition, GetFreeMonitoringStatus.definition, Features.definition,
    Profile.definition, ConfigureFailPoint.definition, KillOp.definition,
]

/// Sessions.
private let sessionCommands: [CommandDefinition] = [
    SessionCommands.start, SessionCommands.end, SessionCommands.refresh, SessionCommands.kill,
    SessionCommands.killAll, SessionCommands.killAllByPattern,
]
