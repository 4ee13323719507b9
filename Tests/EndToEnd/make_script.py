"""Writes the end-to-end script, make_script.py FILE: steps that every driver runs unchanged.

A step is {"do", "collection", …, "expect"} or {…, "error": code}. Keys whose order matters (sort,
index keys) are lists of pairs, so that languages with unordered maps can run the script.
Expected documents are compared field by field, whatever the order of fields.
"""

import json
import pathlib
import sys

STATUSES = ["open", "paid", "sent", "void"]
steps = []


def step(do, collection="orders", **rest):
    steps.append({"do": do, "collection": collection, **rest})


def order(i):
    document = {
        "_id": i,
        "status": STATUSES[i % 4],
        "total": i * 7 % 1000,
        "customer": {"name": f"customer {i % 50}", "city": ["Bern", "Oslo", "Rome"][i % 3]},
        "tags": [f"t{i % 5}", f"t{i % 7}"],
        "paidAt": {"$date": {"$numberLong": str(1_700_000_000_000 + i * 60_000)}},
    }
    if i % 10 == 0:
        document["coupon"] = f"C{i}"
    return document


ORDERS = [order(i) for i in range(1000)]


def matching(predicate, key=None, reverse=False, limit=None):
    found = [o for o in ORDERS if predicate(o)]
    if key:
        found.sort(key=key, reverse=reverse)
    return found[:limit]


step("drop")
step("insert", documents=ORDERS, expect={"inserted": 1000})
step("insert", documents=[{"_id": 5, "status": "twice"}], error=11000)
step("count", filter={}, expect={"n": 1000})
step("find", filter={"_id": 42}, expect={"documents": [ORDERS[42]]})
step("find", filter={"_id": {"$lt": 500}}, sort=[["_id", 1]], batchSize=50,
     expect={"documents": ORDERS[:500]})
step("find", filter={"status": "nowhere"}, expect={"documents": []})

queries = [
    ({"status": "paid"}, lambda o: o["status"] == "paid"),
    ({"total": {"$gte": 100, "$lt": 150}}, lambda o: 100 <= o["total"] < 150),
    ({"customer.city": "Oslo", "total": {"$gt": 900}},
     lambda o: o["customer"]["city"] == "Oslo" and o["total"] > 900),
    ({"tags": "t3"}, lambda o: "t3" in o["tags"]),
    ({"tags": {"$all": ["t1", "t2"]}}, lambda o: {"t1", "t2"} <= set(o["tags"])),
    ({"coupon": {"$exists": True}}, lambda o: "coupon" in o),
    ({"coupon": "C990"}, lambda o: o.get("coupon") == "C990"),
    ({"$or": [{"total": 7}, {"status": "void", "total": {"$lt": 30}}]},
     lambda o: o["total"] == 7 or o["status"] == "void" and o["total"] < 30),
    ({"customer.name": {"$regex": "^customer 1[0-2]$"}},
     lambda o: o["customer"]["name"] in ("customer 10", "customer 11", "customer 12")),
    ({"status": {"$in": ["open", "sent"]}, "total": {"$mod": [100, 3]}},
     lambda o: o["status"] in ("open", "sent") and o["total"] % 100 == 3),
    ({"status": {"$nin": ["open", "sent", "void"]}, "total": {"$lte": 40}},
     lambda o: o["status"] == "paid" and o["total"] <= 40),
]


def run_queries():
    for filter, predicate in queries:
        step("find", filter=filter, sort=[["_id", 1]], expect={"documents": matching(predicate)})
        step("count", filter=filter, expect={"n": len(matching(predicate))})


run_queries()
for keys, options in [
    ([["status", 1]], {}),
    ([["total", -1]], {}),
    ([["customer.city", 1], ["total", -1]], {}),
    ([["tags", 1]], {}),
    ([["coupon", 1]], {"unique": True, "sparse": True}),
    ([["customer.name", 1]], {"partialFilterExpression": {"total": {"$gt": 10}}}),
]:
    step("createIndex", keys=keys, options=options)
run_queries()
step("insert", documents=[{"_id": 2000, "coupon": "C10"}], error=11000)

step("find", filter={"customer.city": "Rome"}, sort=[["total", -1], ["_id", 1]], limit=5, skip=2,
     projection={"total": 1},
     expect={"documents": [
         {"_id": o["_id"], "total": o["total"]}
         for o in sorted(matching(lambda o: o["customer"]["city"] == "Rome"),
                         key=lambda o: (-o["total"], o["_id"]))[2:7]]})

step("update", filter={"_id": 1}, update={"$set": {"customer.city": "Genf"}, "$inc": {"total": 5}},
     expect={"matched": 1, "modified": 1})
step("update", filter={"_id": 1}, update={"$push": {"tags": {"$each": ["a", "b"], "$slice": -2}}},
     expect={"matched": 1, "modified": 1})
step("update", filter={"_id": 1}, update={"$unset": {"paidAt": ""}},
     expect={"matched": 1, "modified": 1})
step("find", filter={"customer.city": "Genf"}, expect={"documents": [
    {"_id": 1, "status": "paid", "total": 12, "customer": {"name": "customer 1", "city": "Genf"},
     "tags": ["a", "b"]}]})
step("update", filter={"_id": 1}, update={"$set": {"status": "paid"}},
     expect={"matched": 1, "modified": 0})
step("update", filter={"status": "void"}, update={"$set": {"closed": True}}, multi=True,
     expect={"matched": 250, "modified": 250})
step("count", filter={"closed": True}, expect={"n": 250})
step("update", filter={"_id": "new", "kind": "x"}, update={"$set": {"a": 1}}, upsert=True,
     expect={"matched": 0, "modified": 0})
step("find", filter={"_id": "new"}, expect={"documents": [{"_id": "new", "kind": "x", "a": 1}]})
step("update", filter={"_id": 1}, update={"$nonsense": {"a": 1}}, error=9)
step("find", filter={"a": {"$nonsense": 1}}, error=2)

totals = {}
for o in ORDERS:
    if o["status"] != "paid":
        totals.setdefault(o["status"], [0, 0])
        totals[o["status"]][0] += 1
        totals[o["status"]][1] += o["total"]
step("aggregate", pipeline=[
    {"$match": {"status": {"$in": ["open", "sent", "void"]}}},
    {"$group": {"_id": "$status", "n": {"$sum": 1}, "total": {"$sum": "$total"}}},
    {"$sort": {"_id": 1}},
], expect={"documents": [{"_id": s, "n": n, "total": t} for s, (n, t) in sorted(totals.items())]})
step("aggregate", pipeline=[
    {"$match": {"_id": {"$lt": 3}}}, {"$unwind": "$tags"}, {"$sort": {"_id": 1}}, {"$limit": 2},
    {"$project": {"tags": 1}},
], expect={"documents": [{"_id": 0, "tags": "t0"}, {"_id": 0, "tags": "t0"}]})
step("distinct", field="status", filter={"total": {"$lt": 500}},
     expect={"values": ["open", "paid", "sent", "void"]})
step("delete", filter={"status": "void"}, multi=True, expect={"deleted": 250})
step("delete", filter={"status": "open"}, multi=False, expect={"deleted": 1})
step("count", filter={}, expect={"n": 750})

values = [
    {"_id": "int32", "v": 1}, {"_id": "int64", "v": {"$numberLong": "9007199254740993"}},
    {"_id": "double", "v": {"$numberDouble": "-0.5"}},
    {"_id": "decimal", "v": {"$numberDecimal": "12345678901234567890.123456789"}},
    {"_id": "string", "v": "naïve 😀"}, {"_id": "null", "v": None}, {"_id": "bool", "v": True},
    {"_id": "id", "v": {"$oid": "0123456789abcdef01234567"}},
    {"_id": "date", "v": {"$date": {"$numberLong": "-1"}}},
    {"_id": "binary", "v": {"$binary": {"base64": "AAEC", "subType": "00"}}},
    {"_id": "array", "v": [1, [2, []], {"a": {}}]},
]
step("drop", collection="values")
step("insert", collection="values", documents=values, expect={"inserted": len(values)})
for value in values:
    step("find", collection="values", filter={"_id": value["_id"]}, expect={"documents": [value]})
step("find", collection="values", filter={"v": {"$gt": {"$numberLong": "9007199254740992"}}},
     sort=[["v", 1]], expect={"documents": [values[1], values[3]]})
step("drop")
step("count", filter={}, expect={"n": 0})

path = pathlib.Path(sys.argv[1])
path.write_text("[\n" + ",\n".join(json.dumps(s, ensure_ascii=False) for s in steps) + "\n]\n")
