"""`serve --access-log`, its rotation, and what `roost rules replay` says of other rules; coverage.

    rules_replay.py ROOST
"""

import json
import os
import subprocess
import sys
import tempfile

import app_accounts
from app_accounts import App, check, user
from pymongo.errors import OperationFailure
from server import wait_until

OLD = """rules_version = '2';
service cloud.firestore {
  option mode = 'filter';
  match /databases/{db}/documents {
    match /notes/{id} {
      allow read: if resource.data.owner == request.auth.uid || resource.data.public;
      allow create: if request.resource.data.owner == request.auth.uid;
    }
    match /rooms/{id} {
      allow read: if exists(/databases/$(db)/documents/members/$(request.auth.uid)) hide ['code'];
    }
  }
}
"""


def replay(app, rules, *logs, status):
    path = os.path.join(app.server.base, "new.rules")
    with open(path, "w", encoding="ascii") as file:
        file.write(rules)
    options = [part for log in logs for part in ("--log", log)]
    done = subprocess.run([app.server.binary, "rules", "replay", "--json", *options,
                           "--rules", path], capture_output=True, text=True, check=False)
    check(done.returncode == status, done.stdout + done.stderr)
    text = subprocess.run([app.server.binary, "rules", "replay", *options, "--rules", path],
                          capture_output=True, text=True, check=False)
    check(text.returncode == status and "requests:" in text.stdout, text.stdout + text.stderr)
    return json.loads(done.stdout), text.stdout


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def names(list_):
    return {item["what"] for item in list_}


def recorded(binary):
    app = App(binary, mail=False)
    log = os.path.join(app.server.base, "access.log")
    app.server.stop()
    app.server.options += ["--access-log", log]
    app.server.start()
    try:
        app.root.admin.command({"deployRules": 1, "source": OLD})
        made = app.command("signInAnonymously")
        uid, db = made["userID"], user(app.server, made["accessToken"]).app
        data = app.root.app
        data.notes.insert_many([{"_id": "p", "public": True}, {"_id": "o", "owner": "other"}])
        data.members.insert_one({"_id": uid})
        data.rooms.insert_one({"_id": "r", "code": 7})
        db.notes.insert_one({"_id": "m", "owner": uid})
        try:
            db.notes.insert_one({"_id": "x", "owner": "other"})
            raise AssertionError("written for another")
        except OperationFailure as error:
            check(error.code == 13, error)
        check(len(list(db.notes.find())) == 2, "mine and the public one")
        check(db.notes.find_one({"_id": "o"}) is None, "not the other's")
        check(db.rooms.find_one({"_id": "r"}) == {"_id": "r"}, "the code is hidden")
        wait_until(lambda: len(lines(log)) >= 6, 10, f"{lines(log)}")
        check(os.stat(log).st_mode & 0o777 == 0o600, "readable by others")

        same, _ = replay(app, OLD, log, status=0)
        check(same["same"] == same["requests"] >= 6, same)
        # The public ones no more, everybody's to write, the code shown.
        new = (OLD.replace("|| resource.data.public", "")
               .replace("request.resource.data.owner == request.auth.uid", "true")
               .replace(" hide ['code']", ""))
        found, text = replay(app, new, log, status=1)
        check("list notes" in names(found["denied"]), found)
        check("create notes" in names(found["exposed"]), found)
        check("get rooms, shows code" in names(found["exposed"]), found)
        check("newly exposed:" in text and "does not grant" in text, text)
        # A look-up that the old rules didn't make.
        new = OLD.replace("allow create: if", "allow create: if exists(/databases/$(db)/documents/"
                          "bans/x) ||")
        found, _ = replay(app, new, log, status=0)
        check("create notes, looks up bans" in names(found["unknown"]), found)

        # Moved away, the log goes on under its name.
        os.rename(log, log + ".1")
        db.notes.find_one({"_id": "m"})
        wait_until(lambda: os.path.exists(log) and lines(log), 10, "no new file")
        both, _ = replay(app, OLD, log + ".1", log, status=0)
        check(both["requests"] == same["requests"] + len(lines(log)), both)
        check(app.server.stop() == 0, "a graceful stop")
    finally:
        app.server.remove()


def coverage(binary):
    """What no case reaches is named, as text and as a page."""
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/a.rules", "w", encoding="ascii") as file:
            file.write(OLD)
        with open(f"{folder}/a.cases", "w", encoding="ascii") as file:
            file.write('data notes/p {"owner": "ann"}\nallow ann get notes/p\n'
                       'allow ann create notes/q {"owner": "ann"}\n')
        done = subprocess.run([binary, "rules", "test", folder, "--html", f"{folder}/c.html"],
                              capture_output=True, text=True, check=False)
        check(done.returncode == 0 and "2 cases, all as they say" in done.stdout, done.stdout)
        check("resource.data.public" in done.stdout and "never tried" in done.stdout, done.stdout)
        with open(f"{folder}/c.html", encoding="utf-8") as file:
            page = file.read()
        check("<html" in page and "resource.data.public" in page, page[:500])
        with open(f"{folder}/a.cases", "a", encoding="ascii") as file:
            file.write("deny ann get notes/p\n")
        done = subprocess.run([binary, "rules", "test", folder], capture_output=True, text=True,
                              check=False)
        check(done.returncode == 1 and "should be denied" in done.stdout, done.stdout)


def main():
    binary = os.path.abspath(sys.argv[1])
    recorded(binary)
    coverage(binary)
    print(f"rules replayed: {app_accounts.checks} checks passed")


if __name__ == "__main__":
    main()
