// A setting's value as it was given, and where, so that an error can name what to change.

import Glibc
import Server

/// The text of a flag or an environment variable.
struct GivenText {
    let value: String
    /// `--quota` or `ROOST_QUOTA`.
    let origin: String

    /// The error that says what would be right.
    func wrong(_ expected: String) -> SettingError {
        SettingError(description: "\(origin) takes \(expected), not '\(value)'")
    }

    /// The parts between commas.
    var list: [GivenText] {
        value.split(separator: ",").map { GivenText(value: String($0), origin: origin) }
    }

    /// A whole number.
    func number(in range: ClosedRange<Int>) throws(SettingError) -> Int {
        guard let number = Int(value), range.contains(number) else {
            throw wrong("a number between \(range.lowerBound) and \(range.upperBound)")
        }
        return number
    }

    /// Yes or no, as environment variables say it.
    func truth() throws(SettingError) -> Bool {
        switch value.lowercased() {
        case "1", "true", "yes", "on": true
        case "0", "false", "no", "off": false
        default: throw wrong("1 or 0")
        }
    }

    /// A size, such as `1024`, `500MB` or `20GiB`.
    func bytes(atLeast least: UInt64) throws(SettingError) -> UInt64 {
        guard let bytes = Self.bytes(value) else {
            throw wrong("a size such as 500MB, 20GiB or 1073741824")
        }
        guard bytes >= least else {
            throw wrong("at least \(least >= 1 << 20 ? "\(least >> 20)MiB" : "\(least >> 10)KiB")")
        }
        return bytes
    }

    /// The bytes that a size means; nil for what is none.
    static func bytes(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        let factors: [String: UInt64] = [
            "": 1, "B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000,
            "TB": 1_000_000_000_000, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
            "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
        ]
        let unit = text.dropFirst(digits.count).filter { $0 != " " }.uppercased()
        guard let factor = factors[unit] else { return nil }
        let (product, overflows) = number.multipliedReportingOverflow(by: factor)
        return overflows ? nil : product
    }

    /// An address to listen on or to connect to.
    func address(example: String) throws(SettingError) -> ServerOptions.Address {
        guard let address = ServerOptions.Address(value) else {
            throw wrong("HOST:PORT, such as \(example), with a port up to 65535")
        }
        return address
    }

    /// Checks that the value names a file that can be read.
    func checkReadable() throws(SettingError) {
        var status = stat()
        guard stat(value, &status) == 0, access(value, R_OK) == 0 else {
            throw SettingError(
                description:
                    "\(origin): cannot read '\(value)': \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw SettingError(description: "\(origin): '\(value)' is a folder, not a file")
        }
    }
}

extension [String] {
    /// `a, b or c`.
    var listed: String {
        guard let last, count > 1 else { return first ?? "" }
        return dropLast().joined(separator: ", ") + " or " + last
    }
}
