// Memory that applying updates reuses from document to document.

import BSON

/// Working memory of `Update.apply`; one per thread of execution, reused for every document.
package struct UpdateScratch: ~Copyable {
    /// A path segment that waits for its element of the document at hand.
    struct Entry {
        var node: Int32
        /// The name's place in the trie's names; -1 is the name of the matched array position.
        var nameStart: Int32
        var nameCount: Int32
        /// The name as an array position, or -1.
        var index: Int
        /// Whether its element was found.
        var isDone: Bool
    }

    /// A stack: the entries of all documents between the root and the one at hand.
    var entries: [Entry] = []
    /// A stack: the nodes that apply together, where more than one does.
    var nodes: [Int32] = []
    /// Which values of a `$addToSet` an array holds.
    var isPresent: [Bool] = []
    /// Elements of an array that `$push` arranges, and room to merge them.
    var slots: [ArraySlot] = []
    var mergedSlots: [ArraySlot] = []
    /// Working memory of the filters in `$pull` and array filters.
    var match = MatchScratch()
    /// Documents on their way: an upsert's base, a result before it is completed.
    var base = DocumentWriter()
    var interim = DocumentWriter()

    /// Ends an update that takes long.
    private(set) var interrupt: Interrupt?

    /// Empty memory.
    package init() {}

    /// Lets `interrupt` end the updates from now on; nil for none.
    package mutating func watch(_ interrupt: Interrupt?) {
        self.interrupt = interrupt
        match.watch(interrupt)
    }

    /// Forgets what an update that failed has left on the stacks.
    mutating func reset() {
        entries.removeAll(keepingCapacity: true)
        nodes.removeAll(keepingCapacity: true)
    }
}
