// What `$changeStream` asks for.

package import BSON
package import Query

/// A change stream: `$changeStream` and the stages behind it.
package struct ChangeStreamRequest: Sendable {
    /// Which images of an updated document an event shows.
    enum Images: String, Sendable, CaseIterable {
        /// fullDocument: none for updates. fullDocumentBeforeChange: none.
        case none
        /// The document as it is when the event is read.
        case updateLookup
        /// As the log has it, null where the collection shows no images.
        case whenAvailable
        /// As the log has it, an error where the collection shows no images.
        case required
        /// As the log has it, whatever the collection shows: for readers of the log itself.
        case always
    }

    /// Where a stream begins.
    enum Start: Sendable {
        /// With what is committed from now on.
        case now
        /// With events of that timestamp or later.
        case at(Timestamp)
        /// Behind a token.
        case after(ResumeToken)
    }

    /// What the cursor is called by: the collection, or `$cmd.aggregate` of the database.
    package let namespace: Namespace
    /// What is watched.
    package let scope: ChangeScope
    /// The stages behind `$changeStream`.
    package let pipeline: Pipeline
    /// Whether events that are too large come in parts.
    package let splitsLargeEvents: Bool
    var fullDocument = Images.none
    var beforeChange = Images.none
    var showsExpandedEvents = false
    var start = Start.now
    /// What an app user may see; nil for those who bypass the rules.
    package var access: RequestAccess?

    /// Reads the argument of `$changeStream`.
    /// - Throws: MongoDB's codes for fields that are wrong or don't go together.
    package init(
        _ argument: DocumentView, _ namespace: Namespace, _ scope: ChangeScope,
        pipeline: Pipeline, splitsLargeEvents: Bool
    ) throws(DBError) {
        self.namespace = namespace
        self.scope = scope
        self.pipeline = pipeline
        self.splitsLargeEvents = splitsLargeEvents
        var isForCluster = false
        var starts: [StaticString] = []
        var fields = argument.makeIterator()
        while let field = fields.next() {
            let value = field.value
            switch field.nameString {
            case "fullDocument":
                fullDocument = try Self.images(
                    value, "fullDocument", none: "default",
                    [.none, .updateLookup, .whenAvailable, .required])
            case "fullDocumentBeforeChange":
                beforeChange = try Self.images(
                    value, "fullDocumentBeforeChange", none: "off",
                    [.none, .whenAvailable, .required])
            case "resumeAfter":
                starts.append("resumeAfter")
                start = .after(try Self.token(value, "resumeAfter"))
            case "startAfter":
                starts.append("startAfter")
                start = .after(try Self.token(value, "startAfter"))
            case "startAtOperationTime":
                starts.append("startAtOperationTime")
                guard let time = value.timestamp else {
                    throw Self.wrongType("startAtOperationTime", value, "timestamp")
                }
                start = .at(time)
            case "allChangesForCluster":
                isForCluster = try Self.bool(value, "allChangesForCluster")
            case "showExpandedEvents":
                showsExpandedEvents = try Self.bool(value, "showExpandedEvents")
            case "showSystemEvents", "showMigrationEvents", "showRawUpdateDescription",
                "matchCollectionUUIDForUpdateLookup", "allowToRunOnConfigDB",
                "allowToRunOnSystemNS":
                _ = try Self.bool(value, field.nameString)
            case let name:
                throw DBError(
                    DBError.Code(rawValue: 40415),
                    "BSON field '$changeStream.\(name)' is an unknown field.")
            }
        }
        try check(starts, isForCluster)
    }

    /// A stream over everything from a time on, in which documents are whole.
    package init(logFrom time: Timestamp, _ namespace: Namespace, pipeline: Pipeline) {
        self.namespace = namespace
        scope = .server
        self.pipeline = pipeline
        splitsLargeEvents = false
        fullDocument = .always
        showsExpandedEvents = true
        start = .at(time)
    }

    private func check(_ starts: [StaticString], _ isForCluster: Bool) throws(DBError) {
        if starts.contains(where: { "\($0)" == "startAtOperationTime" }), starts.count > 1 {
            throw DBError(
                DBError.Code(rawValue: 40674),
                "Only one type of resume option is allowed, but multiple were found.")
        }
        guard starts.count <= 1 else {
            throw DBError(
                DBError.Code(rawValue: 50865),
                "Do not specify both 'resumeAfter' and 'startAfter' in a $changeStream stage")
        }
        if isForCluster, scope != .server {
            throw DBError(
                .invalidOptions,
                "A $changeStream with 'allChangesForCluster:true' may only be opened on the "
                    + "'admin' database, and with no collection name; found \(namespace)")
        }
        guard case .after(let token) = start, "\(starts[0])" == "resumeAfter" else { return }
        if token.position.part == LogPosition.invalidation, !token.position.isBetweenCommands {
            throw DBError(
                .invalidResumeToken,
                "Attempting to resume a change stream using 'resumeAfter' is not allowed from an "
                    + "invalidate notification; use 'startAfter'")
        }
    }

    private static func images(
        _ value: ValueView, _ name: String, none: String, _ allowed: [Images]
    ) throws(DBError) -> Images {
        guard let text = value.string else { throw wrongType(name, value, "string") }
        if text == none { return .none }
        guard let images = Images(rawValue: text), images != .none, allowed.contains(images) else {
            throw DBError(
                .badValue,
                "Enumeration value '\(text)' for field '$changeStream.\(name)' is not a valid "
                    + "value.")
        }
        return images
    }

    private static func token(
        _ value: ValueView, _ name: String
    ) throws(DBError) -> ResumeToken {
        guard let document = value.document else { throw wrongType(name, value, "object") }
        return try ResumeToken(document)
    }

    private static func bool(_ value: ValueView, _ name: String) throws(DBError) -> Bool {
        guard let truth = value.bool else { throw wrongType(name, value, "bool") }
        return truth
    }

    private static func wrongType(
        _ name: String, _ value: ValueView, _ expected: String
    ) -> DBError {
        DBError(
            .typeMismatch,
            "BSON field '$changeStream.\(name)' is the wrong type '\(value.type.alias)', expected "
                + "type '\(expected)'")
    }
}

extension Pipeline {
    /// Checks the stages behind `$changeStream`: such as change documents one by one.
    /// - Throws: `illegalOperation` (20).
    package static func checkForChanges(_ stages: DocumentView) throws(DBError) {
        var elements = stages.makeIterator()
        var position = 0
        let count = stages.count
        while let element = elements.next() {
            position += 1
            guard position > 1, let name = element.value.document?.first?.nameString else {
                continue
            }
            guard allowedForChanges.contains(name) || name == splitStage else {
                throw DBError(
                    .illegalOperation, "\(name) is not permitted in a $changeStream pipeline")
            }
            if name == splitStage, position != count {
                throw DBError(
                    DBError.Code(rawValue: 7_182_802),
                    "\(splitStage) must be the last stage in the pipeline")
            }
        }
    }

    /// Cuts events that are too large into parts; must be the last stage.
    package static let splitStage = "$changeStreamSplitLargeEvent"

    private static let allowedForChanges: Set<String> = [
        "$addFields", "$match", "$project", "$redact", "$replaceRoot", "$replaceWith", "$set",
        "$unset",
    ]
}
