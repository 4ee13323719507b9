// The shell's own help texts; no line is longer than 78 columns.

enum ShellHelp {
    static let general = """
        The text language:
          from orders | where status == "open" && total > 100 | sort -total | limit 20
          from orders | group status { n: count(), revenue: sum(total) }
          from orders | join customers on customerId == _id as customer
          from orders | unwind items | group items.sku { n: sum(items.count) }
          insert into orders { status: "open", total: 5 }
          update orders where status == "open" set total = total * 1.1, unset note
          delete from orders where total == 0
          create collection notes softDelete "30d"
          from notes onlyDeleted | select { _id, at: deletedAt() }
          restore notes where _id == 7;  purge notes where true
          create index on orders (status, -createdAt)
        mongosh's form (db.help() and db.orders.help() list the methods):
          db.orders.find({ total: { $gt: 100 } }).sort({ total: -1 }).limit(5)
          db.orders.insertOne({ at: new Date(), customer: ObjectId() })
          show dbs, show collections, show profile, use NAME
        Commands:
          .explain QUERY     how a query runs
          .watch QUERY       its result, drawn again when it changes; Ctrl-C ends it
          .collections       the collections of this database
          .databases         all databases
          .use NAME          another database
          .param NAME VALUE  what $NAME stands for, as JSON or text; alone, lists them
          .format FORMAT     table, json or csv
          .timing on|off     whether to say how long statements take
          .help              this
          .quit              ends the shell; so does Ctrl-D
        A statement goes on over several lines while it is incomplete, or up to an
        empty line; ';' ends one. Tab completes; Ctrl-C gives a line up and cancels
        a running query.
        """

    static let database = """
        Methods of db:
          aggregate([stages])  createCollection(name, options)
          createView(name, on, [stages])  dropDatabase()  getSiblingDB(name)
          getCollectionNames()  getCollectionInfos(filter)  getCollection(name)
          runCommand({…})  adminCommand({…})  watch([stages])
          stats()  serverStatus()  hostInfo()  hello()  version()  listCommands()
          currentOp(filter)  killOp(number)
          setProfilingLevel(level, options)  getProfilingStatus()
        Methods of a collection: db.coll.help()
        """

    static let collection = """
        Reading:
          find(filter, projection)  findOne(filter, projection)
          aggregate([stages], options)  distinct(field, filter)
          countDocuments(filter)  estimatedDocumentCount()  watch([stages])
          behind find: sort limit skip projection hint collation comment batchSize
            maxTimeMS min max allowDiskUse count toArray pretty next explain
        Writing:
          insertOne(doc)  insertMany([docs])  replaceOne(filter, doc, options)
          updateOne(filter, change, options)  updateMany(filter, change, options)
          deleteOne(filter)  deleteMany(filter)  bulkWrite([operations])
          findOneAndUpdate(filter, change, options)
          findOneAndReplace(filter, doc, options)  findOneAndDelete(filter, options)
        Indexes and the collection:
          createIndex(keys, options)  createIndexes([keys], options)  getIndexes()
          dropIndex(name)  dropIndexes()  hideIndex(name)  unhideIndex(name)
          drop()  renameCollection(name)  validate()  stats()  convertToCapped(size)
          explain(verbosity).find(…)
        """
}
