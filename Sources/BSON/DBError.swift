// The one error type that reaches users. Codes and names are MongoDB's where it has one, so that
// drivers and their users find what they know; the table is in ErrorCode.swift.

/// An error with a stable code and a message that says what to do.
public struct DBError: Error, Sendable, CustomStringConvertible {
    /// A stable number; open, because codes are added.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// MongoDB's number.
        public let rawValue: Int32

        /// Any number is a code; those without a name print as `LocationN`.
        public init(rawValue: Int32) {
            self.rawValue = rawValue
        }
    }

    /// What kind of error it is.
    public let code: Code
    /// For the client: what is wrong, and what to do.
    public let message: String
    /// More fields for the reply (`keyPattern`, `keyValue`, `errInfo` …); empty for most.
    public let details: Document
    /// For the log only: what caused it.
    public let underlying: (any Error)?

    /// Makes an error; `details` are appended to the reply as they are.
    public init(
        _ code: Code, _ message: String, details: Document = Document(),
        underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.details = details
        self.underlying = underlying
    }

    /// `codeName: message`, for logs and the shell.
    public var description: String { "\(code.name): \(message)" }
}

extension DBError.Code {
    /// Lets `catch DBError.Code.duplicateKey` match by code.
    public static func ~= (code: DBError.Code, error: any Error) -> Bool {
        (error as? DBError)?.code == code
    }
}
