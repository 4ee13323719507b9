// MongoDB's named error codes that Roost uses, sorted by number (src/mongo/base/error_codes.yml
// of MongoDB 8.2 is the source of numbers and names). Codes without a name there are written
// as `DBError.Code(rawValue: N)` where they arise and print as `LocationN`.

extension DBError.Code {
    /// 1 InternalError.
    public static let internalError = DBError.Code(rawValue: 1)
    /// 2 BadValue.
    public static let badValue = DBError.Code(rawValue: 2)
    /// 4 NoSuchKey.
    public static let noSuchKey = DBError.Code(rawValue: 4)
    /// 5 GraphContainsCycle.
    public static let graphContainsCycle = DBError.Code(rawValue: 5)
    /// 6 HostUnreachable.
    public static let hostUnreachable = DBError.Code(rawValue: 6)
    /// 8 UnknownError.
    public static let unknownError = DBError.Code(rawValue: 8)
    /// 9 FailedToParse.
    public static let failedToParse = DBError.Code(rawValue: 9)
    /// 11 UserNotFound.
    public static let userNotFound = DBError.Code(rawValue: 11)
    /// 13 Unauthorized.
    public static let unauthorized = DBError.Code(rawValue: 13)
    /// 14 TypeMismatch.
    public static let typeMismatch = DBError.Code(rawValue: 14)
    /// 15 Overflow.
    public static let overflow = DBError.Code(rawValue: 15)
    /// 16 InvalidLength.
    public static let invalidLength = DBError.Code(rawValue: 16)
    /// 17 ProtocolError.
    public static let protocolError = DBError.Code(rawValue: 17)
    /// 18 AuthenticationFailed.
    public static let authenticationFailed = DBError.Code(rawValue: 18)
    /// 20 IllegalOperation.
    public static let illegalOperation = DBError.Code(rawValue: 20)
    /// 22 InvalidBSON.
    public static let invalidBSON = DBError.Code(rawValue: 22)
    /// 24 LockTimeout.
    public static let lockTimeout = DBError.Code(rawValue: 24)
    /// 26 NamespaceNotFound.
    public static let namespaceNotFound = DBError.Code(rawValue: 26)
    /// 27 IndexNotFound.
    public static let indexNotFound = DBError.Code(rawValue: 27)
    /// 28 PathNotViable.
    public static let pathNotViable = DBError.Code(rawValue: 28)
    /// 31 RoleNotFound.
    public static let roleNotFound = DBError.Code(rawValue: 31)
    /// 34 CannotBackfillArray.
    public static let cannotBackfillArray = DBError.Code(rawValue: 34)
    /// 40 ConflictingUpdateOperators.
    public static let conflictingUpdateOperators = DBError.Code(rawValue: 40)
    /// 43 CursorNotFound.
    public static let cursorNotFound = DBError.Code(rawValue: 43)
    /// 47 NoMatchingDocument.
    public static let noMatchingDocument = DBError.Code(rawValue: 47)
    /// 48 NamespaceExists.
    public static let namespaceExists = DBError.Code(rawValue: 48)
    /// 49 InvalidRoleModification.
    public static let invalidRoleModification = DBError.Code(rawValue: 49)
    /// 50 MaxTimeMSExpired.
    public static let maxTimeMSExpired = DBError.Code(rawValue: 50)
    /// 52 DollarPrefixedFieldName.
    public static let dollarPrefixedFieldName = DBError.Code(rawValue: 52)
    /// 53 InvalidIdField.
    public static let invalidIdField = DBError.Code(rawValue: 53)
    /// 54 NotSingleValueField.
    public static let notSingleValueField = DBError.Code(rawValue: 54)
    /// 55 InvalidDBRef.
    public static let invalidDBRef = DBError.Code(rawValue: 55)
    /// 56 EmptyFieldName.
    public static let emptyFieldName = DBError.Code(rawValue: 56)
    /// 57 DottedFieldName.
    public static let dottedFieldName = DBError.Code(rawValue: 57)
    /// 59 CommandNotFound.
    public static let commandNotFound = DBError.Code(rawValue: 59)
    /// 64 WriteConcernTimeout.
    public static let writeConcernTimeout = DBError.Code(rawValue: 64)
    /// 66 ImmutableField.
    public static let immutableField = DBError.Code(rawValue: 66)
    /// 67 CannotCreateIndex.
    public static let cannotCreateIndex = DBError.Code(rawValue: 67)
    /// 68 IndexAlreadyExists.
    public static let indexAlreadyExists = DBError.Code(rawValue: 68)
    /// 72 InvalidOptions.
    public static let invalidOptions = DBError.Code(rawValue: 72)
    /// 73 InvalidNamespace.
    public static let invalidNamespace = DBError.Code(rawValue: 73)
    /// 76 NoReplicationEnabled.
    public static let noReplicationEnabled = DBError.Code(rawValue: 76)
    /// 79 UnknownReplWriteConcern.
    public static let unknownReplWriteConcern = DBError.Code(rawValue: 79)
    /// 85 IndexOptionsConflict.
    public static let indexOptionsConflict = DBError.Code(rawValue: 85)
    /// 86 IndexKeySpecsConflict.
    public static let indexKeySpecsConflict = DBError.Code(rawValue: 86)
    /// 91 ShutdownInProgress.
    public static let shutdownInProgress = DBError.Code(rawValue: 91)
    /// 96 OperationFailed.
    public static let operationFailed = DBError.Code(rawValue: 96)
    /// 100 UnsatisfiableWriteConcern.
    public static let unsatisfiableWriteConcern = DBError.Code(rawValue: 100)
    /// 109 NotExactValueField.
    public static let notExactValueField = DBError.Code(rawValue: 109)
    /// 112 WriteConflict.
    public static let writeConflict = DBError.Code(rawValue: 112)
    /// 115 CommandNotSupported.
    public static let commandNotSupported = DBError.Code(rawValue: 115)
    /// 117 ConflictingOperationInProgress.
    public static let conflictingOperationInProgress = DBError.Code(rawValue: 117)
    /// 121 DocumentValidationFailure.
    public static let documentValidationFailure = DBError.Code(rawValue: 121)
    /// 123 NotAReplicaSet.
    public static let notAReplicaSet = DBError.Code(rawValue: 123)
    /// 125 CommandFailed.
    public static let commandFailed = DBError.Code(rawValue: 125)
    /// 133 FailedToSatisfyReadPreference.
    public static let failedToSatisfyReadPreference = DBError.Code(rawValue: 133)
    /// 143 CursorInUse.
    public static let cursorInUse = DBError.Code(rawValue: 143)
    /// 146 ExceededMemoryLimit.
    public static let exceededMemoryLimit = DBError.Code(rawValue: 146)
    /// 165 ViewDepthLimitExceeded.
    public static let viewDepthLimitExceeded = DBError.Code(rawValue: 165)
    /// 166 CommandNotSupportedOnView.
    public static let commandNotSupportedOnView = DBError.Code(rawValue: 166)
    /// 167 OptionNotSupportedOnView.
    public static let optionNotSupportedOnView = DBError.Code(rawValue: 167)
    /// 168 InvalidPipelineOperator.
    public static let invalidPipelineOperator = DBError.Code(rawValue: 168)
    /// 171 CannotIndexParallelArrays.
    public static let cannotIndexParallelArrays = DBError.Code(rawValue: 171)
    /// 175 QueryPlanKilled.
    public static let queryPlanKilled = DBError.Code(rawValue: 175)
    /// 181 AmbiguousIndexKeyPattern.
    public static let ambiguousIndexKeyPattern = DBError.Code(rawValue: 181)
    /// 197 InvalidIndexSpecificationOption.
    public static let invalidIndexSpecificationOption = DBError.Code(rawValue: 197)
    /// 206 NoSuchSession.
    public static let noSuchSession = DBError.Code(rawValue: 206)
    /// 207 InvalidUUID.
    public static let invalidUUID = DBError.Code(rawValue: 207)
    /// 217 IncompleteTransactionHistory.
    public static let incompleteTransactionHistory = DBError.Code(rawValue: 217)
    /// 222 CloseChangeStream.
    public static let closeChangeStream = DBError.Code(rawValue: 222)
    /// 224 QueryFeatureNotAllowed.
    public static let queryFeatureNotAllowed = DBError.Code(rawValue: 224)
    /// 225 TransactionTooOld.
    public static let transactionTooOld = DBError.Code(rawValue: 225)
    /// 237 CursorKilled.
    public static let cursorKilled = DBError.Code(rawValue: 237)
    /// 238 NotImplemented.
    public static let notImplemented = DBError.Code(rawValue: 238)
    /// 239 SnapshotTooOld.
    public static let snapshotTooOld = DBError.Code(rawValue: 239)
    /// 241 ConversionFailure.
    public static let conversionFailure = DBError.Code(rawValue: 241)
    /// 246 SnapshotUnavailable.
    public static let snapshotUnavailable = DBError.Code(rawValue: 246)
    /// 251 NoSuchTransaction.
    public static let noSuchTransaction = DBError.Code(rawValue: 251)
    /// 256 TransactionCommitted.
    public static let transactionCommitted = DBError.Code(rawValue: 256)
    /// 257 TransactionTooLarge.
    public static let transactionTooLarge = DBError.Code(rawValue: 257)
    /// 260 InvalidResumeToken.
    public static let invalidResumeToken = DBError.Code(rawValue: 260)
    /// 263 OperationNotSupportedInTransaction.
    public static let operationNotSupportedInTransaction = DBError.Code(rawValue: 263)
    /// 280 ChangeStreamFatalError.
    public static let changeStreamFatalError = DBError.Code(rawValue: 280)
    /// 286 ChangeStreamHistoryLost.
    public static let changeStreamHistoryLost = DBError.Code(rawValue: 286)
    /// 290 TransactionExceededLifetimeLimitSeconds.
    public static let transactionExceededLifetimeLimitSeconds = DBError.Code(rawValue: 290)
    /// 291 NoQueryExecutionPlans.
    public static let noQueryExecutionPlans = DBError.Code(rawValue: 291)
    /// 292 QueryExceededMemoryLimitNoDiskUseAllowed.
    public static let queryExceededMemoryLimitNoDiskUseAllowed = DBError.Code(rawValue: 292)
    /// 322 APIVersionError.
    public static let apiVersionError = DBError.Code(rawValue: 322)
    /// 323 APIStrictError.
    public static let apiStrictError = DBError.Code(rawValue: 323)
    /// 324 APIDeprecationError.
    public static let apiDeprecationError = DBError.Code(rawValue: 324)
    /// 334 MechanismUnavailable.
    public static let mechanismUnavailable = DBError.Code(rawValue: 334)
    /// 352 UnsupportedOpQueryCommand.
    public static let unsupportedOpQueryCommand = DBError.Code(rawValue: 352)
    /// 354 DataCorruptionDetected.
    public static let dataCorruptionDetected = DBError.Code(rawValue: 354)
    /// 359 CannotConvertIndexToUnique.
    public static let cannotConvertIndexToUnique = DBError.Code(rawValue: 359)
    /// 361 CollectionUUIDMismatch.
    public static let collectionUUIDMismatch = DBError.Code(rawValue: 361)
    /// 365 TemporarilyUnavailable.
    public static let temporarilyUnavailable = DBError.Code(rawValue: 365)
    /// 391 ReauthenticationRequired.
    public static let reauthenticationRequired = DBError.Code(rawValue: 391)
    /// 10107 NotWritablePrimary.
    public static let notWritablePrimary = DBError.Code(rawValue: 10107)
    /// 10334 BSONObjectTooLarge.
    public static let bsonObjectTooLarge = DBError.Code(rawValue: 10334)
    /// 11000 DuplicateKey.
    public static let duplicateKey = DBError.Code(rawValue: 11000)
    /// 11600 InterruptedAtShutdown.
    public static let interruptedAtShutdown = DBError.Code(rawValue: 11600)
    /// 11601 Interrupted.
    public static let interrupted = DBError.Code(rawValue: 11601)
    /// 14031 OutOfDiskSpace.
    public static let outOfDiskSpace = DBError.Code(rawValue: 14031)
    /// 17280 KeyTooLong.
    public static let keyTooLong = DBError.Code(rawValue: 17280)

    /// MongoDB's name, or `LocationN` for codes that have none.
    public var name: String { Self.names[rawValue] ?? "Location\(rawValue)" }

    private static let names: [Int32: String] = [
        1: "InternalError",
        2: "BadValue",
        4: "NoSuchKey",
        5: "GraphContainsCycle",
        6: "HostUnreachable",
        8: "UnknownError",
        9: "FailedToParse",
        11: "UserNotFound",
        13: "Unauthorized",
        14: "TypeMismatch",
        15: "Overflow",
        16: "InvalidLength",
        17: "ProtocolError",
        18: "AuthenticationFailed",
        20: "IllegalOperation",
        22: "InvalidBSON",
        24: "LockTimeout",
        26: "NamespaceNotFound",
        27: "IndexNotFound",
        28: "PathNotViable",
        31: "RoleNotFound",
        34: "CannotBackfillArray",
        40: "ConflictingUpdateOperators",
        43: "CursorNotFound",
        47: "NoMatchingDocument",
        48: "NamespaceExists",
        49: "InvalidRoleModification",
        50: "MaxTimeMSExpired",
        52: "DollarPrefixedFieldName",
        53: "InvalidIdField",
        54: "NotSingleValueField",
        55: "InvalidDBRef",
        56: "EmptyFieldName",
        57: "DottedFieldName",
        59: "CommandNotFound",
        64: "WriteConcernTimeout",
        66: "ImmutableField",
        67: "CannotCreateIndex",
        68: "IndexAlreadyExists",
        72: "InvalidOptions",
        73: "InvalidNamespace",
        76: "NoReplicationEnabled",
        79: "UnknownReplWriteConcern",
        85: "IndexOptionsConflict",
        86: "IndexKeySpecsConflict",
        91: "ShutdownInProgress",
        96: "OperationFailed",
        100: "UnsatisfiableWriteConcern",
        109: "NotExactValueField",
        112: "WriteConflict",
        115: "CommandNotSupported",
        117: "ConflictingOperationInProgress",
        121: "DocumentValidationFailure",
        123: "NotAReplicaSet",
        125: "CommandFailed",
        133: "FailedToSatisfyReadPreference",
        143: "CursorInUse",
        146: "ExceededMemoryLimit",
        165: "ViewDepthLimitExceeded",
        166: "CommandNotSupportedOnView",
        167: "OptionNotSupportedOnView",
        168: "InvalidPipelineOperator",
        171: "CannotIndexParallelArrays",
        175: "QueryPlanKilled",
        181: "AmbiguousIndexKeyPattern",
        197: "InvalidIndexSpecificationOption",
        206: "NoSuchSession",
        207: "InvalidUUID",
        217: "IncompleteTransactionHistory",
        222: "CloseChangeStream",
        224: "QueryFeatureNotAllowed",
        225: "TransactionTooOld",
        237: "CursorKilled",
        238: "NotImplemented",
        239: "SnapshotTooOld",
        241: "ConversionFailure",
        246: "SnapshotUnavailable",
        251: "NoSuchTransaction",
        256: "TransactionCommitted",
        257: "TransactionTooLarge",
        260: "InvalidResumeToken",
        263: "OperationNotSupportedInTransaction",
        280: "ChangeStreamFatalError",
        286: "ChangeStreamHistoryLost",
        290: "TransactionExceededLifetimeLimitSeconds",
        291: "NoQueryExecutionPlans",
        292: "QueryExceededMemoryLimitNoDiskUseAllowed",
        322: "APIVersionError",
        323: "APIStrictError",
        324: "APIDeprecationError",
        334: "MechanismUnavailable",
        352: "UnsupportedOpQueryCommand",
        354: "DataCorruptionDetected",
        359: "CannotConvertIndexToUnique",
        361: "CollectionUUIDMismatch",
        365: "TemporarilyUnavailable",
        391: "ReauthenticationRequired",
        10107: "NotWritablePrimary",
        10334: "BSONObjectTooLarge",
        11000: "DuplicateKey",
        11600: "InterruptedAtShutdown",
        11601: "Interrupted",
        14031: "OutOfDiskSpace",
        17280: "KeyTooLong",
    ]
}
