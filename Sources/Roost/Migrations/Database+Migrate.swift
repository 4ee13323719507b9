// Migrations from a Swift program, and at a server's start.

public import BSON
import Glibc

extension Database {
    /// Runs the pending migrations of a folder, one after another, and returns when all are done.
    ///
    ///     let database = try Database(at: "./data")
    ///     let applied = try database.migrate(folder: "./migrations", database: "shop")
    ///
    /// Where a process ended in the middle, this goes on where it stopped. Where a statement fails,
    /// everything that this call did is taken back before the error is thrown.
    /// - Parameters:
    ///   - folder: holds `0001_name.roost`, `0002_…`.
    ///   - name: the database that the statements are about.
    ///   - target: the last migration to apply; nil for all.
    ///   - documentsPerSecond: most documents changed in a second; nil for as many as leave half of
    ///     the time to others.
    ///   - report: is told how the group stands after each batch.
    /// - Returns: the migrations that were run, such as `up 0001_add_orders`.
    /// - Throws: `DBError`: files that are wrong or were edited, another process or client that runs
    ///   migrations, a statement that failed.
    @discardableResult
    public func migrate(
        folder: String, database name: String, to target: Int? = nil,
        documentsPerSecond: Int? = nil, report: (MigrationProgress) -> Void = { _ in }
    ) throws(DBError) -> [String] {
        try engine.migrate(
            MigrationFile.folder(folder), database: name, to: target, rate: documentsPerSecond,
            report: report)
    }
}

extension RoostEngine {
    /// Runs pending migrations to their end. Not for event loops.
    /// - Returns: what was run.
    /// - Throws: what `Database.migrate` throws.
    package func migrate(
        _ files: [MigrationFile], database: String, to target: Int? = nil, rate: Int? = nil,
        report: (MigrationProgress) -> Void
    ) throws(DBError) -> [String] {
        var request = MigrationRequest(.begin, database: database)
        request.owner = "process \(getpid())"
        request.files = files
        request.target = target
        var done: [String] = []
        while true {
            // Behind a group that another process left, the next begins.
            let begin = request
            var progress = MigrationProgress(try blocking { migrate(begin, completion: $0) })
            guard progress.state != .done else { return done }
            let group = progress.group
            var pace = MigrationPace(rate: rate)
            while progress.state != .done, progress.state != .failed {
                var step = MigrationRequest(.step, database: database)
                step.owner = request.owner
                step.batchMax = pace.batchMax
                let next = step
                progress = MigrationProgress(try blocking { migrate(next, completion: $0) })
                report(progress)
                usleep(UInt32(pace.rest(after: progress)) * 1_000)
            }
            if let error = progress.error { throw DBError.takenBack(error) }
            done += group
        }
    }
}

extension DBError {
    /// A group of migrations that failed and was taken back.
    package static func takenBack(_ reason: String) -> DBError {
        DBError(
            .operationFailed,
            "\(reason)\nEverything that this group of migrations had done was taken back")
    }
}
