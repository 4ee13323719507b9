// How the server presents itself to drivers: as a plain standalone, or as a replica set of one.

import BSON
import Synchronization

/// What hello says about the deployment.
struct Topology: Sendable {
    /// The replica set's name; nil for a standalone.
    let setName: String?
    /// `host:port` as drivers are told to reach it.
    let address: String
    /// Identity of this process in `topologyVersion`.
    let processID: ObjectID
    /// Identity of the election that made this node primary: once for each start.
    let electionID: ObjectID

    init(setName: String?, address: String) {
        var random = SystemRandomNumberGenerator()
        self.setName = setName
        self.address = address
        processID = ObjectID(
            head: UInt64(Clock.wallMillis / 1_000) << 32 | UInt64(random.next() as UInt32),
            tail: random.next())
        // MongoDB's election ids begin with 7fffffff so that they sort above older ones.
        electionID = ObjectID(head: 0x7FFF_FFFF_0000_0000, tail: 1)
    }

    /// Whether sessions take transaction numbers and replies carry cluster times.
    var isReplicaSet: Bool { setName != nil }
}
