// The one form of answers: `{success, data, error: {code, message, details}, metadata}`.

import BSON
import NIOHTTP1

/// An answer, before it is written to its connection.
struct HTTPAnswer {
    var status: HTTPResponseStatus
    var headers: [(name: String, value: String)] = []
    var contentType = "application/json; charset=utf-8"
    var body: [UInt8] = []

    /// What an operation gives.
    /// - Parameters:
    ///   - metadata: fields of `metadata`, each with the comma before it but the first.
    ///   - data: writes the value of `data`.
    static func success(
        _ status: HTTPResponseStatus = .ok, metadata: String = "",
        data: (inout ExtendedJSONWriter) -> Void
    ) -> HTTPAnswer {
        var writer = jsonWriter()
        writer.raw("{\"success\":true,\"data\":")
        data(&writer)
        writer.raw(",\"error\":null,\"metadata\":{\(metadata)}}")
        return HTTPAnswer(status: status, body: writer.bytes)
    }

    /// A document as `data`.
    static func success(
        _ status: HTTPResponseStatus = .ok, _ document: Document
    ) -> HTTPAnswer {
        success(status) { $0.append(document.view) }
    }

    /// Why it failed.
    /// - Parameter hasCredentials: whether whoever asks has shown who that is.
    static func failure(_ error: DBError, hasCredentials: Bool = true) -> HTTPAnswer {
        let status = ErrorStatus.of(error, hasCredentials: hasCredentials)
        var writer = jsonWriter()
        writer.raw("{\"success\":false,\"data\":null,\"error\":")
        append(error, to: &writer)
        writer.raw(",\"metadata\":{}}")
        var answer = HTTPAnswer(status: status, body: writer.bytes)
        if status == .unauthorized { answer.headers.append(("WWW-Authenticate", "Bearer")) }
        if status == .tooManyRequests || status == .serviceUnavailable {
            answer.headers.append(("Retry-After", "\(ErrorStatus.retrySeconds(error))"))
        }
        return answer
    }

    /// `{code, message, details}`.
    static func append(_ error: DBError, to writer: inout ExtendedJSONWriter) {
        writer.raw("{\"code\":")
        writer.quote(error.code.httpName)
        writer.raw(",\"message\":")
        writer.quote(error.message)
        writer.raw(",\"details\":")
        let details = Document { fields in
            fields.append("number", error.code.rawValue)
            fields.appendFields(of: error.details.view)
        }
        writer.append(details.view)
        writer.raw("}")
    }

    /// JavaScript's numbers are doubles, so larger integers are marked.
    static func jsonWriter() -> ExtendedJSONWriter {
        ExtendedJSONWriter(isCanonical: false, marksLargeIntegers: true)
    }
}

/// What HTTP says of an error.
enum ErrorStatus {
    /// Failed sign-ins of an account or address are told to wait in words only.
    private static let waitMark = "try again in "

    /// The status of an error.
    static func of(_ error: DBError, hasCredentials: Bool) -> HTTPResponseStatus {
        switch error.code {
        case .unauthorized: return hasCredentials ? .forbidden : .unauthorized
        case .authenticationFailed:
            return error.message.contains(waitMark) ? .tooManyRequests : .unauthorized
        case .reauthenticationRequired: return .unauthorized
        case .httpMethod: return .methodNotAllowed
        case .httpTooLarge, .bsonObjectTooLarge: return .payloadTooLarge
        case .httpHeaders: return .requestHeaderFieldsTooLarge
        case .httpMediaType: return .unsupportedMediaType
        case .httpTooMany, .requestRateExceeded: return .tooManyRequests
        case .httpGone, .cursorNotFound: return .gone
        case .noMatchingDocument, .httpNotFound, .namespaceNotFound, .userNotFound,
            .indexNotFound:
            return .notFound
        case .duplicateKey, .writeConflict, .namespaceExists, .conflictingOperationInProgress,
            .indexOptionsConflict, .indexKeySpecsConflict, .noSuchTransaction, .transactionTooOld,
            .snapshotUnavailable, .incompleteTransactionHistory, .cursorInUse,
            .addressTaken:
            return .conflict
        case .documentValidationFailure: return .unprocessableEntity
        case .temporarilyUnavailable: return .serviceUnavailable
        case .shutdownInProgress, .interruptedAtShutdown: return .serviceUnavailable
        case .maxTimeMSExpired: return .requestTimeout
        case .outOfDiskSpace: return .insufficientStorage
        case .internalError, .unknownError: return .internalServerError
        default: return .badRequest
        }
    }

    /// For how long the client should wait, in seconds.
    static func retrySeconds(_ error: DBError) -> Int {
        guard let range = error.message.firstRange(of: waitMark) else { return 1 }
        return Int(error.message[range.upperBound...].prefix { $0.isNumber }) ?? 1
    }
}

extension DBError.Code {
    /// There is no such address, or no such document.
    static let httpNotFound = DBError.Code.noMatchingDocument
    /// The address is there, for other methods.
    static let httpMethod = DBError.Code(rawValue: 61_405)
    /// A page token that was used up.
    static let httpGone = DBError.Code(rawValue: 61_410)
    /// The body is too large.
    static let httpTooLarge = DBError.Code(rawValue: 61_413)
    /// The body isn't what is taken here.
    static let httpMediaType = DBError.Code(rawValue: 61_415)
    /// Too many requests.
    static let httpTooMany = DBError.Code(rawValue: 61_429)
    /// The head is too large.
    static let httpHeaders = DBError.Code(rawValue: 61_431)
    /// Too many sign-ups, or too many requests by the rules' own measure.
    static let requestRateExceeded = DBError.Code(rawValue: 462)
    /// An e-mail address that has an account.
    static let addressTaken = DBError.Code(rawValue: 51_003)

    /// The name that clients compare: MongoDB's, or the door's own.
    var httpName: String {
        switch self {
        case .httpMethod: "MethodNotAllowed"
        case .httpGone: "PageGone"
        case .httpTooLarge: "BodyTooLarge"
        case .httpMediaType: "UnsupportedMediaType"
        case .httpTooMany: "TooManyRequests"
        case .httpHeaders: "HeadersTooLarge"
        case .addressTaken: "AddressTaken"
        case .requestRateExceeded: "RequestRateExceeded"
        default: name
        }
    }
}
