// What /metrics shows: all figures of a server, as Prometheus reads them. Times are in seconds, sizes
// in bytes.

import BSON
import Roost
import Synchronization

extension ServerCore {
    /// The figures of now.
    var metricsText: String {
        var text = MetricsText()
        addProcess(&text)
        addOperations(&text)
        addConnections(&text)
        let figures = engine.figures
        addStore(figures, &text)
        addRedo(figures, &text)
        addChanges(figures, &text)
        addLive(&text)
        addCare(figures, &text)
        return text.text
    }

    private func addProcess(_ text: inout MetricsText) {
        text.add(
            .gauge, "roost_build_info",
            [
                MetricsText.Series(
                    labels: [("version", Version.roost), ("compatible", Version.compatible)],
                    value: 1)
            ], "Versions.")
        let process = ProcessFigures.now
        let memory = HostInfo.processMemory
        text.add(
            .gauge, "process_start_time_seconds", Double(startMillis) / 1_000,
            "Start of the process, in seconds since 1970.")
        text.add(
            .counter, "process_cpu_seconds_total",
            Double(process.userMicros + process.systemMicros) / 1e6, "Processor time used.")
        text.add(
            .gauge, "process_resident_memory_bytes", memory.resident,
            "Memory in RAM, pages of the data file included.")
        text.add(.gauge, "process_virtual_memory_bytes", memory.virtual, "Addresses in use.")
        text.add(.gauge, "process_open_fds", process.descriptors, "Open files and connections.")
        text.add(.gauge, "process_max_fds", process.descriptorsMax, "How many there may be.")
        text.add(.gauge, "process_threads", process.threads, "Threads.")
        text.add(
            .counter, "process_major_page_faults_total", process.pageFaults,
            "Pages that had to be read from disk.")
        let readiness = readiness
        text.add(
            .gauge, "roost_ready", readiness.isReady ? 1 : 0,
            "Whether the server is open, writable and not out of room.")
    }

    private func addOperations(_ text: inout MetricsText) {
        let times = operationTimes
        text.add(
            "roost_operation_seconds",
            OperationKind.allCases.map { kind in
                let histogram = times[kind.rawValue]
                return MetricsText.Buckets(
                    labels: [("kind", kind.name)],
                    bounds: LatencyHistogram.shownBuckets.map { bucket in
                        (Double(UInt64(1) << UInt64(bucket)) / 1e9, histogram.count(below: bucket))
                    }, count: histogram.count, sum: Double(histogram.nanos) / 1e9)
            }, "Time from a request's arrival to its answer, by kind of operation.")
        let counts: [(String, Int)] = [
            ("insert", counters.inserts.load(ordering: .relaxed)),
            ("query", counters.queries.load(ordering: .relaxed)),
            ("update", counters.updates.load(ordering: .relaxed)),
            ("delete", counters.deletes.load(ordering: .relaxed)),
            ("getmore", counters.getMores.load(ordering: .relaxed)),
            ("command", Int(clamping: otherCommands)),
        ]
        text.add(
            .counter, "roost_opcounters_total",
            counts.map { MetricsText.Series(labels: [("op", $0.0)], value: Double($0.1)) },
            "Operations as serverStatus counts them: an insert for each document.")
        text.add(
            .counter, "roost_errors_total", counters.errors.load(ordering: .relaxed),
            "Commands that failed.")
        text.add(
            .gauge, "roost_operations_running", operations.all.count,
            "Operations that are answered later.")
    }

    private func addConnections(_ text: inout MetricsText) {
        text.add(.gauge, "roost_connections", connectionCount, "Open connections.")
        text.add(
            .gauge, "roost_connections_max", options.connectionsMax, "How many there may be.")
        text.add(
            .counter, "roost_connections_created_total", connectionsCreated,
            "Connections ever accepted.")
        text.add(
            .counter, "roost_connections_rejected_total",
            counters.rejectedConnections.load(ordering: .relaxed),
            "Connections refused because there were too many.")
        text.add(
            .counter, "roost_network_received_bytes_total",
            counters.bytesIn.load(ordering: .relaxed), "Bytes received.")
        text.add(
            .counter, "roost_network_sent_bytes_total",
            counters.bytesOut.load(ordering: .relaxed), "Bytes sent.")
        text.add(
            .counter, "roost_requests_total", counters.requests.load(ordering: .relaxed),
            "Requests received.")
        text.add(.gauge, "roost_cursors_open", cursors.count, "Open cursors.")
        text.add(.gauge, "roost_sessions", sessions.count, "Logical sessions.")
    }

    private func addStore(_ figures: EngineFigures, _ text: inout MetricsText) {
        text.add(
            .gauge, "roost_data_file_bytes", figures.fileBytes,
            "Data file, up to the last page ever used.")
        text.add(
            .gauge, "roost_quota_bytes", figures.quotaBytes, "The most that the data may take.")
        if let disk = figures.disk {
            text.add(.gauge, "roost_disk_bytes", disk.totalBytes, "The file system's size.")
            text.add(.gauge, "roost_disk_free_bytes", disk.freeBytes, "What it has left.")
        }
        text.add(.gauge, "roost_tables", figures.tables, "Tables: collections, indexes and own.")
        text.add(
            .gauge, "roost_tables_dropping", figures.tablesDropping,
            "Dropped tables whose space is not yet given back.")
        text.add(.gauge, "roost_collections", figures.collections, "Collections and views.")
        text.add(.gauge, "roost_index_builds", figures.indexBuilds, "Index builds under way.")
        text.add(.gauge, "roost_readers", figures.readers, "Readers of snapshots.")
        text.add(
            .gauge, "roost_oldest_reader_seconds", Double(figures.oldestReaderMillis) / 1_000,
            "Age of the oldest snapshot in use; while it is, the pages freed since are kept.")
        text.add(
            .gauge, "roost_oldest_reader_commits", figures.oldestReaderLag,
            "Commits since the oldest snapshot in use.")
        text.add(
            .gauge, "roost_readers_overdue", figures.readersOverdue,
            "Snapshots held longer than they should be.")
        text.add(
            .gauge, "roost_writes_queued", figures.queuedOperations,
            "Writes that wait for the writer.")
        text.add(
            .counter, "roost_writes_failed_total", figures.operationsFailed, "Writes that failed.")
        text.add(
            .counter, "roost_groups_rerun_total", figures.groupsRerun,
            "Groups of writes that were undone and run again one by one.")
        text.add(.gauge, "roost_transactions_open", figures.transactions, "Open transactions.")
        addHistogram("roost_commit_group_size", figures.groupSizes, "Writes in each commit.", &text)
        addHistogram(
            "roost_commit_seconds", figures.commitMicros,
            "Time of a commit, the log's sync included.", &text, scale: 1e-6)
    }

    private func addRedo(_ figures: EngineFigures, _ text: inout MetricsText) {
        text.add(
            .counter, "roost_redo_written_bytes_total", figures.redoLogBytes,
            "Bytes of redo records written.")
        text.add(
            .gauge, "roost_redo_log_bytes", figures.redoSegmentBytes,
            "Bytes of all segments, as of the last checkpoint.")
        addHistogram(
            "roost_redo_sync_seconds", figures.redoSyncMicros,
            "Time to write and sync a redo record.", &text, scale: 1e-6)
        addHistogram(
            "roost_checkpoint_seconds", figures.checkpointMicros, "Time of a checkpoint.", &text,
            scale: 1e-6)
        text.add(
            .gauge, "roost_checkpoint_age_seconds", Double(figures.checkpointAgeMillis) / 1_000,
            "Age of the last durable checkpoint.")
        text.add(
            .gauge, "roost_checkpoint_log_bytes", figures.checkpointLogBytes,
            "Bytes of log between the last checkpoint and the one before.")
        text.add(
            .gauge, "roost_replay_seconds", Double(figures.replayMillis) / 1_000,
            "Time that replaying the redo log took when the folder was opened.")
        text.add(
            .gauge, "roost_replay_commits", figures.replayedCommits, "Commits replayed then.")
        text.add(.gauge, "roost_replay_bytes", figures.replayedBytes, "Bytes replayed then.")
    }

    private func addChanges(_ figures: EngineFigures, _ text: inout MetricsText) {
        text.add(
            .counter, "roost_change_log_bytes_total", figures.changeLogBytes,
            "Bytes ever put into the change log; 0 before the first write since the start.")
        text.add(
            .gauge, "roost_change_log_max_bytes", figures.changeLogBytesMax,
            "The most bytes of changes that are kept.")
        text.add(
            .counter, "roost_change_log_trimmed_total", figures.changeLogTrimmed,
            "Records of the change log removed since the start.")
        text.add(
            .gauge, "roost_newest_commit_timestamp_seconds", figures.newest.seconds,
            "Cluster time of the newest commit, in seconds since 1970.")
    }

    /// The live queries' counters, as serverStatus has them.
    private func addLive(_ text: inout MetricsText) {
        let live = engine.live.statistics(newest: engine.clock.newest)
        let figures: [(MetricsText.Kind, field: String, name: String, help: String)] = [
            (.gauge, "subscriptions", "subscriptions", "Live queries that are followed."),
            (.gauge, "groups", "groups", "Distinct ones among them."),
            (.counter, "changes", "changes_total", "Changes that live queries looked at."),
            (.counter, "candidates", "candidates_total", "Live queries a change might touch."),
            (.counter, "matches", "matches_total", "Live queries that a change touched."),
            (.counter, "deliveries", "deliveries_total", "Events handed to subscribers."),
            (.counter, "refreshes", "refreshes_total", "Windows filled up from an index."),
            (.counter, "resets", "resets_total", "Subscribers told to begin anew."),
            (.gauge, "lagSeconds", "lag_seconds", "How far the matcher is behind."),
        ]
        for figure in figures {
            guard case .int64(let value)? = live[figure.field] else { continue }
            text.add(figure.0, "roost_live_\(figure.name)", value, figure.help)
        }
    }

    private func addCare(_ figures: EngineFigures, _ text: inout MetricsText) {
        text.add(
            .counter, "roost_rules_denials_total", figures.denials,
            "Requests that the security rules denied.")
        text.add(
            .counter, "roost_trash_purged_total", figures.purged,
            "Deleted documents purged because their time was over.")
        let now = Clock.wallMillis
        text.add(
            .gauge, "roost_backup_age_seconds",
            figures.backups.sorted { $0.key < $1.key }.map { name, millis in
                MetricsText.Series(
                    labels: [("backup", name)], value: Double(max(0, now - millis)) / 1_000)
            }, "Time since each backup was last brought up to date.")
    }

    /// A histogram of the engine's, whose bucket i holds values below 2^(i+1).
    private func addHistogram(
        _ name: String, _ histogram: EngineFigures.Histogram, _ help: String,
        _ text: inout MetricsText, scale: Double = 1
    ) {
        var bounds: [(bound: Double, count: UInt64)] = []
        var sum: UInt64 = 0
        for (bucket, count) in histogram.buckets.enumerated() where bucket < 26 {
            sum += count
            // Values are whole numbers: those below 2^(i+1) don't exceed one less.
            bounds.append((Double((UInt64(2) << UInt64(bucket)) - 1) * scale, sum))
        }
        text.add(
            name,
            [
                MetricsText.Buckets(
                    bounds: bounds, count: histogram.count, sum: Double(histogram.sum) * scale)
            ], help)
    }
}
