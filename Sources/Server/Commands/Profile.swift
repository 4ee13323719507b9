// profile: which commands of a database go to its system.profile, and what is slow.

import BSON
import Query
import Roost
import Wire

enum Profile {
    static let definition = CommandDefinition(
        "profile", [],
        fields: [
            FieldSpec("slowms", .number), FieldSpec("sampleRate", .number),
            FieldSpec("filter", [.document, .string]),
        ], access: .profile, help: "sets which commands are profiled, and what is slow", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        guard let level = call.commandValue.truncatedInteger else {
            throw DBError(
                .typeMismatch,
                "BSON field 'profile.profile' is the wrong type "
                    + "'\(call.commandValue.type.alias)', expected type 'int'")
        }
        let database = call.database
        try Namespace.validate(database: database)
        let profiler = call.core.profiler
        let (setting, limits) = profiler.settings(of: database)
        var changed = setting
        if (0...2).contains(level) { changed.level = Int32(clamping: level) }
        try readFilter(call, &changed)
        let changedLimits = try Self.limits(call, limits)
        reply.append("was", setting.level)
        reply.append("slowms", Int32(clamping: limits.slowMillis))
        reply.append("sampleRate", limits.sampleRate)
        if let filter = setting.filterDocument {
            reply.append("filter", document: filter)
            reply.append(
                "note",
                "When a filter expression is set, slowms and sampleRate are not used for profiling "
                    + "and slow-query log lines.")
        }
        let target = Namespace(database, Profiler.collection)
        guard changed.level > 0, call.core.engine.collection(target) == nil else {
            profiler.set(changed, changedLimits, of: database)
            return .done
        }
        // Without the collection there first, the first entry would make one that isn't capped.
        let written = reply.split()
        let ticket = call.ticket()
        let settings = changed
        call.core.engine.createCollection(
            target, options: ["capped": true, "size": .int64(Profiler.collectionBytes)]
        ) { outcome in
            var written = written
            ticket.answer(continuing: &written) { _ throws(DBError) in
                try outcome.get()
                profiler.set(settings, changedLimits, of: database)
            }
        }
        return .deferred
    }

    private static func limits(
        _ call: borrowing CommandCall, _ before: Profiler.Limits
    ) throws(DBError) -> Profiler.Limits {
        var limits = before
        if let millis = call.integer("slowms") { limits.slowMillis = millis }
        if let rate = call.value("sampleRate")?.anyDouble {
            guard (0...1).contains(rate) else {
                throw DBError(.badValue, "'sampleRate' must be between 0.0 and 1.0 inclusive")
            }
            limits.sampleRate = rate
        }
        return limits
    }

    /// `filter: {…}` sets one, `filter: "unset"` removes it.
    private static func readFilter(
        _ call: borrowing CommandCall, _ setting: inout Profiler.Setting
    ) throws(DBError) {
        guard let value = call.value("filter") else { return }
        if let filter = value.document {
            setting.filter = try Filter.parse(filter)
            setting.filterDocument = Document(copying: filter)
        } else if value.string == "unset" {
            setting.filter = nil
            setting.filterDocument = nil
        } else {
            throw DBError(
                .badValue, "Expected an object or the string 'unset' for the profile filter")
        }
    }
}
