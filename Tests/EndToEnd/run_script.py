"""Runs the end-to-end script with PyMongo: run_script.py URI SCRIPT"""

import json
import pathlib
import sys

import pymongo
from bson import json_util

OPTIONS = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL)


def canonical(value):
    return json.loads(json_util.dumps(value, json_options=OPTIONS))


def run(database, step):
    collection = database[step["collection"]]
    match step["do"]:
        case "drop":
            collection.drop()
            return {}
        case "insert":
            return {"inserted": len(collection.insert_many(step["documents"]).inserted_ids)}
        case "count":
            return {"n": collection.count_documents(step["filter"])}
        case "find":
            cursor = collection.find(
                step["filter"], step.get("projection"), sort=step.get("sort"),
                limit=step.get("limit", 0), skip=step.get("skip", 0),
                batch_size=step.get("batchSize", 0))
            return {"documents": list(cursor)}
        case "createIndex":
            collection.create_index(step["keys"], **step["options"])
            return {}
        case "update":
            update = collection.update_many if step.get("multi") else collection.update_one
            result = update(step["filter"], step["update"], upsert=step.get("upsert", False))
            return {"matched": result.matched_count, "modified": result.modified_count}
        case "delete":
            delete = collection.delete_many if step["multi"] else collection.delete_one
            return {"deleted": delete(step["filter"]).deleted_count}
        case "aggregate":
            return {"documents": list(collection.aggregate(step["pipeline"]))}
        case "distinct":
            return {"values": sorted(collection.distinct(step["field"], step["filter"]))}
    raise ValueError(step["do"])


def code_of(error):
    if isinstance(error, pymongo.errors.BulkWriteError):
        return error.details["writeErrors"][0]["code"]
    return error.code


def main():
    database = pymongo.MongoClient(sys.argv[1]).end_to_end
    script = json_util.loads(
        pathlib.Path(sys.argv[2]).read_text(), json_options=OPTIONS)
    failed = 0
    for number, step in enumerate(script):
        wanted, problem = step.get("expect", {}), None
        try:
            got = run(database, step)
            if "error" in step:
                problem = f"expected error {step['error']}, got {got}"
            elif wanted and canonical(got) != canonical(wanted):
                problem = f"expected {wanted}\n     got {got}"
        except pymongo.errors.PyMongoError as error:
            if code_of(error) != step.get("error"):
                problem = f"{type(error).__name__}: {error}"
        if problem:
            failed += 1
            print(f"step {number} {step['do']} {step.get('filter', '')}: {problem}"[:2000])
    print(f"PyMongo: {len(script) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
