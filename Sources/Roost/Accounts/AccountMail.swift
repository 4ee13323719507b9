// What is sent to users of apps by e-mail. The engine only says what; who opened the accounts sends
// it, and must not make the caller wait.

/// A message for one address.
public struct AccountMail: Sendable {
    /// What it is about.
    public enum Kind: String, Sendable {
        /// Somebody signs up under the address: the token finishes that.
        case verifyEmail
        /// Somebody tried to sign up under an address that has an account.
        case addressInUse
        /// The token sets a new password.
        case resetPassword
    }

    /// What it is about.
    public let kind: Kind
    /// The address; it holds no character that means something in a header.
    public let to: String
    /// What the user hands back; nil where nothing is asked of them. Secret: never log it.
    public let token: String?

    /// The subject.
    public var subject: String {
        switch kind {
        case .verifyEmail: "Confirm your e-mail address"
        case .addressInUse: "You already have an account"
        case .resetPassword: "Set a new password"
        }
    }

    /// The message as RFC 5322 has it, with the token also in a header of its own for programs that
    /// make a message of their own of it.
    public var text: String {
        var lines = [
            "To: \(to)", "Subject: \(subject)", "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
            "X-Roost-Kind: \(kind.rawValue)",
        ]
        if let token { lines.append("X-Roost-Token: \(token)") }
        lines.append("")
        switch kind {
        case .verifyEmail:
            lines.append("Somebody, hopefully you, signed up with this address. This code confirms")
            lines.append("it within one day:")
        case .addressInUse:
            lines.append("Somebody, hopefully you, tried to sign up with this address. It has an")
            lines.append("account already: sign in, or ask for a new password.")
        case .resetPassword:
            lines.append("Somebody, hopefully you, asked to set a new password for the account of")
            lines.append("this address. This code does so within one hour:")
        }
        if let token { lines += ["", "    \(token)"] }
        lines += ["", "If it was not you, nothing needs to be done.", ""]
        return lines.joined(separator: "\n")
    }
}
