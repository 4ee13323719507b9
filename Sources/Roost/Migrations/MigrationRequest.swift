// What is asked of the runner, by the command `migrate` and by this process, and how fast a group
// that runs may go.

package import BSON
import Query

/// What the command `migrate` asks for.
package struct MigrationRequest: Sendable {
    /// The parts of running migrations.
    package enum Action: String, Sendable {
        /// The state of all migrations.
        case status
        /// What would be done.
        case plan
        /// Take the lock and write down what is to be done.
        case begin
        /// Do the next step.
        case step
    }

    package let action: Action
    /// The database that is migrated.
    package let database: String
    /// Who asks; the lock is the owner's.
    package var owner = "unnamed"
    package var files: [MigrationFile] = []
    /// `up`, `down` or `redo`.
    package var wish = "up"
    /// The last migration to be applied afterwards.
    package var target: Int?
    /// Most documents of a batch.
    package var batchMax = MigrationPace.batchStart
    /// How long the lock holds when the owner is silent.
    package var leaseMillis: Int64?

    package init(_ action: Action, database: String) {
        self.action = action
        self.database = database
    }
}

extension RoostEngine {
    /// Where a test ends the process.
    package var migrationKillPoint: MigrationKillPoint { migrations.killPoint }

    /// Runs a part of migrations; answers on the thread that they run on, one after another.
    /// - Throws: what `MigrationRunner` throws, through the completion.
    package func migrate(
        _ request: MigrationRequest, completion: @escaping Completion<Document>
    ) {
        migrations.submit(background) {
            do throws(DBError) {
                completion(.success(try self.perform(request)))
            } catch {
                completion(.failure(error))
            }
        }
    }

    private func perform(_ request: MigrationRequest) throws(DBError) -> Document {
        let runner = try MigrationRunner(
            self, database: request.database, owner: request.owner,
            leaseMillis: min(
                3_600_000, max(100, request.leaseMillis ?? MigrationRunner.leaseMillis)))
        guard let action = MigrationRunner.Wish.Action(rawValue: request.wish) else {
            throw DBError(.badValue, "migrations go 'up', 'down' or 'redo', not '\(request.wish)'")
        }
        let wish = MigrationRunner.Wish(action: action, target: request.target)
        switch request.action {
        case .status: return try runner.status(request.files)
        case .plan: return try runner.plan(request.files, wish)
        case .begin: return try runner.begin(request.files, wish).document
        case .step:
            let batchMax = min(MigrationPace.batchMax, max(1, request.batchMax))
            return try runner.step(batchMax: batchMax).document
        }
    }
}

/// How large batches are and how long to rest between them, so that clients are served meanwhile.
package struct MigrationPace: Sendable {
    /// Documents of a first batch, and of the largest.
    package static let batchStart = 100
    static let batchMax = 2_000
    /// How long a batch should take, in milliseconds.
    private static let millisWanted: Int64 = 10

    /// Documents to migrate in a second; nil for half of the time.
    private let rate: Int?
    private let isBatchFixed: Bool
    /// Most documents of the next batch.
    package private(set) var batchMax: Int

    /// - Parameters:
    ///   - rate: documents in a second; nil for as many as leave half of the time to others.
    ///   - batchMax: most documents of a batch; nil for as many as take about 10 ms.
    package init(rate: Int? = nil, batchMax: Int? = nil) {
        self.rate = rate
        isBatchFixed = batchMax != nil
        self.batchMax = max(1, batchMax ?? Self.batchStart)
        if let rate { self.batchMax = max(1, min(self.batchMax, rate)) }
    }

    /// How long to rest after a step, in milliseconds.
    package mutating func rest(after progress: MigrationProgress) -> Int64 {
        if !isBatchFixed, progress.changed > 0 {
            if progress.millis > 2 * Self.millisWanted {
                batchMax = max(20, batchMax / 2)
            } else if progress.millis < Self.millisWanted / 2 {
                batchMax = min(Self.batchMax, batchMax * 3 / 2)
            }
            if let rate { batchMax = max(1, min(batchMax, rate)) }
        }
        guard progress.state == .running else { return 0 }
        guard let rate, rate > 0 else { return min(progress.millis, 50) }
        return max(0, progress.changed * 1_000 / Int64(rate) - progress.millis)
    }
}
