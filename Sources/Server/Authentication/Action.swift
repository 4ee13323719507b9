// What roles allow: MongoDB's privilege actions, and sets of them as bits, so that the question
// whether an account may do something is one look-up and one mask.

/// A privilege action, under MongoDB's name.
enum Action: String, CaseIterable, Sendable {
    // Documents.
    case find, insert, remove, update, bypassDocumentValidation, useUUID, changeStream
    // Databases and collections.
    case createCollection, dropCollection, createIndex, dropIndex, collMod, convertToCapped
    case dropDatabase, renameCollectionSameDB, reIndex, compact, validate, storageDetails
    case enableProfiler, killCursors, planCacheIndexFilter, planCacheRead, planCacheWrite
    case collStats, dbHash, dbStats, indexStats, listCollections, listIndexes
    case createSearchIndexes, dropSearchIndex, listSearchIndexes, updateSearchIndex
    case analyzeShardKey, querySettings
    // Users and roles.
    case changeCustomData, changeOwnCustomData, changePassword, changeOwnPassword
    case createRole, createUser, dropRole, dropUser, grantRole, revokeRole
    case setAuthenticationRestriction, viewRole, viewUser
    // The server.
    case appendOplogNote, applicationMessage, authSchemaUpgrade, bypassWriteBlockingMode
    case checkFreeMonitoringStatus, cleanupOrphaned, closeAllDatabases, connPoolStats
    case connPoolSync, cpuProfiler, dropConnections, forceUUID, fsync, getClusterParameter
    case getCmdLineOpts, getDefaultRWConcern, getLog, getParameter, hostInfo, impersonate, inprog
    case invalidateUserCache, killAnyCursor, killAnySession, killop, listDatabases, listSessions
    case listClusterCatalog, logRotate, netstat, oidReset, operationMetrics, queryStatsRead
    case rotateCertificates, serverStatus, setClusterParameter, setDefaultRWConcern
    case setFeatureCompatibilityVersion, setFreeMonitoring, setParameter, setUserWriteBlockMode
    case shutdown, top, touch, trafficRecord, unlock
    // Replica sets and shards, which roles may name though there is nothing to do here.
    case addShard, checkMetadataConsistency, clearJumboFlag, enableSharding, flushRouterConfig
    case getDatabaseVersion, getShardMap, getShardVersion, listShards, moveChunk
    case refineCollectionShardKey, removeShard, replSetConfigure, replSetGetConfig
    case replSetGetStatus, replSetHeartbeat, replSetResizeOplog, replSetStateChange
    case reshardCollection, resync, shardCollection, shardingState, splitChunk, splitVector
    case transitionFromDedicatedConfigServer, transitionToDedicatedConfigServer, unshardCollection
    // Roost's own: signing app users up and in, and administering them.
    case signInAppUsers, administerAppUsers
    // Everything.
    case anyAction, `internal`
}

/// Some actions. At most 128 are known, so that a set is two words.
struct ActionSet: Sendable, Hashable, ExpressibleByArrayLiteral {
    private var bits: UInt128 = 0

    /// Every action.
    static let all = ActionSet(bits: .max)

    private static let places: [Action: Int] = Dictionary(
        uniqueKeysWithValues: Action.allCases.enumerated().map { ($1, $0) })

    private init(bits: UInt128) { self.bits = bits }

    /// No action.
    init() {}

    init(arrayLiteral actions: Action...) { self.init(actions) }

    init(_ actions: some Sequence<Action>) {
        for action in actions { insert(action) }
    }

    mutating func insert(_ action: Action) {
        if action == .anyAction {
            bits = .max
        } else {
            bits |= 1 << UInt128(Self.places[action] ?? 127)
        }
    }

    mutating func formUnion(_ other: ActionSet) { bits |= other.bits }

    func union(_ other: ActionSet) -> ActionSet { ActionSet(bits: bits | other.bits) }

    mutating func subtract(_ other: ActionSet) { bits &= ~other.bits }

    func contains(_ other: ActionSet) -> Bool { bits & other.bits == other.bits }

    func contains(_ action: Action) -> Bool {
        bits >> UInt128(Self.places[action] ?? 127) & 1 != 0
    }

    var isEmpty: Bool { bits == 0 }

    /// The actions' names, sorted; `anyAction` alone where it has them all.
    var names: [String] {
        if bits == .max { return [Action.anyAction.rawValue] }
        return Action.allCases.filter { $0 != .anyAction && contains($0) }.map(\.rawValue).sorted()
    }
}
