// One user's way to the server's commands: commands go in one after another, replies come out.

import BSON
import NIOCore
import Wire

/// A link. Confined to the event loop of its HTTP channel.
final class CommandLink: InnerChannelOwner {
    /// What comes of a command: a reply, or nil where the link ended.
    typealias Receiver = (CommandReply?) -> Void

    /// Whom it works for.
    let guest: DoorGuest
    /// A number for who that is; see `CommandDoor.serve`.
    private(set) var owner: UInt64 = 0
    /// The session that its cursors belong to, so that they outlive the link.
    let session = SecureRandom.bytes(16)
    private var channel: InnerChannel?
    private var receiver: Receiver?
    /// Whether a reply is being handed over, from inside the server's handler: what is sent now
    /// must wait until that is done.
    private var isReceiving = false
    private var partial = ByteBuffer()
    private var lastID: Int32 = 0

    /// Opens a link for `guest`.
    /// - Throws: what `CommandDoor.serve` does.
    init(_ parent: any Channel, _ door: any CommandDoor, _ guest: DoorGuest) throws(DBError) {
        self.guest = guest
        let channel = InnerChannel(parent: parent, owner: self)
        self.channel = channel
        do throws(DBError) {
            owner = try door.serve(channel, as: guest)
            channel.setWritable(parent.isWritable)
        } catch {
            close()
            throw error
        }
    }

    /// Whether it has not ended.
    var isOpen: Bool { channel != nil }

    /// Whether a command runs.
    var isBusy: Bool { receiver != nil }

    /// Runs a command, a whole document with `$db`. Another may follow when it is answered.
    /// - Parameter exhausts: whether several replies may come, until one doesn't go on.
    func run(_ command: Document, exhausts: Bool = false, _ receiver: @escaping Receiver) {
        guard let channel else { return receiver(nil) }
        self.receiver = receiver
        lastID &+= 1
        let bytes = command.bytes
        var message = channel.allocator.buffer(
            capacity: CommandReply.prefixByteCount + bytes.count)
        let length = Int32(truncatingIfNeeded: CommandReply.prefixByteCount + bytes.count)
        let flags = exhausts ? MessageFlags.exhaustAllowed.rawValue : 0
        message.writeMultipleIntegers(
            length, lastID, 0, OpCode.message.rawValue, endianness: .little,
            as: (Int32, Int32, Int32, Int32).self)
        message.writeInteger(flags, endianness: .little)
        message.writeInteger(UInt8(0))
        message.writeBytes(bytes)
        guard isReceiving else { return channel.receive(message) }
        let later = message
        channel.eventLoop.execute { channel.receive(later) }
    }

    /// Tells the server whether the client takes what is written.
    func setWritable(_ isWritable: Bool) {
        channel?.setWritable(isWritable)
    }

    /// Ends what runs, with its cursors; who waits for a reply is told.
    func close() {
        channel?.close(promise: nil)
    }

    // MARK: The channel

    func received(_ bytes: ByteBuffer) {
        var bytes = bytes
        if partial.readableBytes > 0 {
            partial.writeBuffer(&bytes)
            bytes = partial
            partial = ByteBuffer()
        }
        isReceiving = true
        defer { isReceiving = false }
        while let header = MessageHeader(peeking: bytes),
            let message = bytes.readSlice(length: Int(header.length))
        {
            let flags = MessageFlags(
                rawValue: message.getInteger(
                    at: message.readerIndex + MessageHeader.byteCount, endianness: .little) ?? 0)
            let reply = CommandReply(
                message: message, goesOn: flags.contains(.moreToCome))
            let receiver = receiver
            if !reply.goesOn { self.receiver = nil }
            receiver?(reply)
        }
        partial = bytes
    }

    func channelEnded() {
        channel = nil
        let receiver = receiver
        self.receiver = nil
        receiver?(nil)
    }
}
