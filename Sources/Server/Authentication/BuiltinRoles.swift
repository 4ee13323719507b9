// MongoDB's built-in roles. `read`, `readWrite`, `dbAdmin`, `userAdmin` and `dbOwner` are there in
// every database, the others in `admin` only. `appBackend` (what an app's own
// server needs to sign its users up and in) and `appUserAdmin` are Roost's.

/// The privileges of roles that are always there.
enum BuiltinRoles {
    /// Roles of each database.
    static let ofDatabases = ["read", "readWrite", "dbAdmin", "userAdmin", "dbOwner"]
    /// Roles of `admin`.
    static let ofAdmin = [
        "backup", "restore", "clusterAdmin", "clusterManager", "clusterMonitor", "hostManager",
        "readAnyDatabase", "readWriteAnyDatabase", "userAdminAnyDatabase", "dbAdminAnyDatabase",
        "root", "appBackend", "appUserAdmin",
    ]

    /// The names of the roles of a database.
    static func names(in database: String) -> [String] {
        database == "admin" ? ofDatabases + ofAdmin : ofDatabases
    }

    /// The privileges of a role; nil where there is no such built-in one.
    static func privileges(_ role: String, in database: String) -> [Privilege]? {
        switch role {
        case "read": read(.database(database))
        case "readWrite": readWrite(.database(database))
        case "dbAdmin": databaseAdmin(.database(database))
        case "userAdmin": userAdmin(.database(database))
        case "dbOwner":
            readWrite(.database(database)) + databaseAdmin(.database(database))
                + userAdmin(.database(database))
        default: database == "admin" ? ofAdmin(role) : nil
        }
    }

    private static func ofAdmin(_ role: String) -> [Privilege]? {
        switch role {
        case "readAnyDatabase": read(.anyNormal) + [listing]
        case "readWriteAnyDatabase": readWrite(.anyNormal) + [listing]
        case "dbAdminAnyDatabase": databaseAdmin(.anyNormal) + [listing]
        case "userAdminAnyDatabase": userAdminAny
        case "clusterMonitor": clusterMonitor
        case "clusterManager": clusterManager
        case "hostManager": hostManager
        case "clusterAdmin": clusterAdmin
        case "backup": backup
        case "restore": restore
        case "appBackend": [Privilege(.cluster, [.signInAppUsers])]
        case "appUserAdmin": [Privilege(.cluster, [.signInAppUsers, .administerAppUsers])]
        case "root":
            readWrite(.anyNormal) + databaseAdmin(.anyNormal) + userAdminAny + clusterAdmin
                + backup + restore
                + [
                    auditCollection,
                    Privilege(.anyResource, [.validate, .collStats, .listCollections]),
                    Privilege(
                        .cluster, [.dropConnections, .signInAppUsers, .administerAppUsers]),
                ]
        default: nil
        }
    }

    // MARK: Of a database

    /// A collection of the same scope as `resource`: one database, or all.
    private static func system(
        _ collection: String, like resource: PrivilegeResource
    ) -> PrivilegeResource {
        .collection(database: resource.database ?? "", collection: collection)
    }

    private static let readActions: ActionSet = [
        .changeStream, .collStats, .dbHash, .dbStats, .find, .killCursors, .listCollections,
        .listIndexes, .listSearchIndexes, .planCacheRead, .indexStats,
    ]

    private static let writeActions: ActionSet = [
        .convertToCapped, .createCollection, .createIndex, .createSearchIndexes, .dropCollection,
        .dropIndex, .dropSearchIndex, .insert, .remove, .renameCollectionSameDB, .update,
        .updateSearchIndex,
    ]

    private static let adminActions: ActionSet = [
        .analyzeShardKey, .bypassDocumentValidation, .collMod, .collStats, .compact,
        .convertToCapped, .createCollection, .createIndex, .createSearchIndexes, .dbHash, .dbStats,
        .dropCollection, .dropDatabase, .dropIndex, .dropSearchIndex, .enableProfiler, .indexStats,
        .listCollections, .listIndexes, .listSearchIndexes, .planCacheIndexFilter, .planCacheRead,
        .planCacheWrite, .reIndex, .renameCollectionSameDB, .storageDetails, .updateSearchIndex,
        .validate,
    ]

    private static let userActions: ActionSet = [
        .changeCustomData, .changePassword, .createRole, .createUser, .dropRole, .dropUser,
        .grantRole, .revokeRole, .setAuthenticationRestriction, .viewRole, .viewUser,
    ]

    private static func read(_ resource: PrivilegeResource) -> [Privilege] {
        [
            Privilege(resource, readActions),
            Privilege(system("system.js", like: resource), readActions),
        ]
    }

    private static func readWrite(_ resource: PrivilegeResource) -> [Privilege] {
        let actions = readActions.union(writeActions)
        return [
            Privilege(resource, actions),
            Privilege(system("system.js", like: resource), actions),
        ]
    }

    private static func databaseAdmin(_ resource: PrivilegeResource) -> [Privilege] {
        let profile: ActionSet = [
            .changeStream, .collStats, .convertToCapped, .createCollection, .dbHash, .dbStats,
            .dropCollection, .find, .killCursors, .listCollections, .listIndexes, .planCacheRead,
        ]
        let views: ActionSet = [.find, .createCollection, .dropCollection, .collMod]
        return [
            Privilege(resource, adminActions),
            Privilege(system("system.profile", like: resource), profile),
            Privilege(system("system.views", like: resource), views),
        ]
    }

    private static func userAdmin(_ resource: PrivilegeResource) -> [Privilege] {
        [Privilege(resource, userActions)]
    }

    // MARK: Of the server

    private static let listing = Privilege(.cluster, [.listDatabases])

    private static let auditCollection = Privilege(
        .collection(database: "admin", collection: "system.audit"), [.find, .collStats])

    private static let accountCollections = ["system.users", "system.roles"].map {
        Privilege(
            .collection(database: "admin", collection: $0),
            [.find, .collStats, .dbStats, .listIndexes, .planCacheRead])
    }

    private static let userAdminAny =
        [
            Privilege(.anyNormal, userActions),
            Privilege(.database("local"), userActions), Privilege(.database("config"), userActions),
            Privilege(.cluster, [.authSchemaUpgrade, .invalidateUserCache, .listDatabases]),
        ] + accountCollections

    /// What may be read of the databases that belong to the server.
    private static let serverDatabases = ["local", "config"].flatMap { database in
        [
            Privilege(
                .database(database),
                [
                    .collStats, .dbHash, .dbStats, .find, .indexStats, .killCursors,
                    .listCollections, .listIndexes, .planCacheRead,
                ]),
            Privilege(
                .collection(database: database, collection: "system.js"),
                [.collStats, .dbHash, .dbStats, .find, .listCollections, .listIndexes]),
        ]
    }

    private static let clusterMonitor =
        [
            Privilege(
                .cluster,
                [
                    .checkFreeMonitoringStatus, .checkMetadataConsistency, .connPoolStats,
                    .getClusterParameter, .getCmdLineOpts, .getDefaultRWConcern, .getLog,
                    .getParameter, .getShardMap, .hostInfo, .inprog, .listClusterCatalog,
                    .listDatabases, .listSessions, .listShards, .netstat, .operationMetrics,
                    .queryStatsRead, .replSetGetConfig, .replSetGetStatus, .serverStatus,
                    .shardingState, .top,
                ]),
            Privilege(
                .anyNormal,
                [
                    .collStats, .dbStats, .getDatabaseVersion, .getShardVersion, .indexStats,
                    .useUUID,
                ]
            ),
            Privilege(
                .collection(database: "", collection: "system.profile"),
                [.find, .collStats, .dbStats]),
        ] + serverDatabases

    private static let clusterManager =
        [
            Privilege(
                .cluster,
                [
                    .addShard, .appendOplogNote, .applicationMessage, .checkMetadataConsistency,
                    .cleanupOrphaned, .flushRouterConfig, .getClusterParameter,
                    .getDefaultRWConcern, .getShardMap, .hostInfo, .listDatabases, .listSessions,
                    .listShards, .netstat, .querySettings, .removeShard, .replSetConfigure,
                    .replSetGetConfig, .replSetGetStatus, .replSetResizeOplog,
                    .replSetStateChange, .resync, .setClusterParameter, .setDefaultRWConcern,
                    .setFeatureCompatibilityVersion, .setFreeMonitoring, .shardingState,
                    .transitionFromDedicatedConfigServer, .transitionToDedicatedConfigServer,
                ]),
            Privilege(
                .anyNormal,
                [
                    .analyzeShardKey, .clearJumboFlag, .enableSharding, .moveChunk,
                    .refineCollectionShardKey, .reshardCollection, .shardCollection, .splitChunk,
                    .splitVector, .unshardCollection,
                ]),
        ] + serverDatabases

    private static let hostManager = [
        Privilege(
            .cluster,
            [
                .applicationMessage, .closeAllDatabases, .connPoolSync, .cpuProfiler,
                .dropConnections, .flushRouterConfig, .fsync, .getParameter, .hostInfo,
                .invalidateUserCache, .killAnyCursor, .killAnySession, .killop, .logRotate,
                .oidReset, .resync, .rotateCertificates, .setClusterParameter, .setParameter,
                .setUserWriteBlockMode, .shutdown, .touch, .trafficRecord, .unlock,
            ]),
        Privilege(.anyNormal, [.killCursors]),
    ]

    private static let clusterAdmin =
        clusterMonitor + clusterManager + hostManager
        + [Privilege(.anyNormal, [.dropDatabase]), Privilege(.cluster, [.bypassWriteBlockingMode])]

    private static let backup =
        [
            Privilege(
                .cluster,
                [
                    .appendOplogNote, .getClusterParameter, .getParameter, .listDatabases,
                    .serverStatus, .setUserWriteBlockMode,
                ]),
            Privilege(
                .anyNormal,
                [.find, .collStats, .listCollections, .listIndexes, .listSearchIndexes]),
            Privilege(.anyResource, [.listCollections, .listIndexes]),
            Privilege(.collection(database: "", collection: "system.js"), [.find]),
            Privilege(.collection(database: "", collection: "system.profile"), [.find]),
            Privilege(.database("local"), [.find]),
            Privilege(.database("config"), [.find, .insert, .update]),
        ] + accountCollections

    private static let restore =
        [
            Privilege(
                .cluster,
                [.bypassWriteBlockingMode, .getParameter, .setUserWriteBlockMode, .forceUUID]),
            Privilege(
                .anyNormal,
                [
                    .bypassDocumentValidation, .changeCustomData, .changePassword, .collMod,
                    .convertToCapped, .createCollection, .createIndex, .createRole,
                    .createSearchIndexes, .createUser, .dropCollection, .dropIndex, .dropRole,
                    .dropSearchIndex, .dropUser, .grantRole, .insert, .revokeRole, .viewRole,
                    .viewUser,
                ]),
            Privilege(.collection(database: "", collection: "system.js"), [.insert, .createIndex]),
            Privilege(.anyResource, [.listCollections]),
        ]
}
