// setFeatureCompatibilityVersion: which of MongoDB's versions the server is to be taken for.

import BSON
import Wire

enum SetFeatureCompatibilityVersion {
    static let definition = CommandDefinition(
        "setFeatureCompatibilityVersion", [.adminOnly, .isWrite],
        fields: [
            FieldSpec("confirm", .truth), FieldSpec("downgradeOnDiskChanges", .truth),
            FieldSpec("fromConfigServer", .truth),
        ], access: .cluster([.setFeatureCompatibilityVersion]),
        help: "keeps a version that getParameter tells", run: run)

    /// The versions that the server followed (`Version.compatible`) may be set to.
    private static let known: Set<String> = ["8.0", "8.2"]

    /// What is stored has one form whichever it is, so nothing else changes.
    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let value = call.commandValue
        guard !value.isNullish else {
            throw DBError(
                .idlMissingField,
                "BSON field 'setFeatureCompatibilityVersion.setFeatureCompatibilityVersion' is "
                    + "missing but a required field")
        }
        guard let version = value.string else {
            throw DBError(
                .typeMismatch,
                "BSON field 'setFeatureCompatibilityVersion.setFeatureCompatibilityVersion' is the "
                    + "wrong type '\(value.type.alias)', expected type 'string'")
        }
        guard known.contains(version) else {
            throw DBError(
                DBError.Code(rawValue: 4_926_900),
                "Invalid feature compatibility version value '\(version)'; expected one of "
                    + known.sorted().joined(separator: ", "))
        }
        guard call.truth("confirm") == true else {
            throw DBError(
                DBError.Code(rawValue: 7_369_100),
                "Once confirmed, clients that ask will be told of version \(version). Run the "
                    + "command again with {confirm: true}")
        }
        try call.core.settings.change { values throws(DBError) in
            values.featureCompatibility = version
        }
        return .done
    }
}
