// Valid rules in unusual styles: what people could have written, and didn't in the corpus.

enum UnusualRules {
    /// A body within the usual frame.
    static func wrapped(_ body: String) -> String {
        """
        rules_version = '2';
        service cloud.firestore {
          match /databases/{database}/documents {
        \(body)
          }
        }

        """
    }

    /// Whole files.
    static let files: [String] = [
        // Storage rules beside those of documents, as one file of a project.
        """
        rules_version = "2"
        service firebase.storage {
          match /b/{bucket}/o {
            match /avatars/{uid}/{file=**} {
              allow read;
              allow write: if request.auth.uid == uid && request.resource.size < 5 * 1024 * 1024
                && request.resource.contentType.matches('image/.*');
            }
          }
        }
        service cloud.firestore {
          match /databases/{db}/documents { match /a/{b} { allow read: if b != ''; } }
        }
        """,
        // Functions of the file, before the service, and no blank anywhere it can be saved.
        """
        rules_version='2';function me(u){return request.auth!=null&&request.auth.uid==u}
        function any(l,x){return x in l}service cloud.firestore{match/databases/{d}/documents{
        match/u/{u}{allow read,write:if me(u)||any(resource.data.get('friends',[]),request.auth.uid)}}}
        """,
        // Braces on lines of their own.
        """
        rules_version = '2';
        service cloud.firestore
        {
          match /databases/{database}/documents
          {
            function
            isAdmin
            (
            )
            {
              return
                request.auth.token.admin
                ==
                true
              ;
            }
            match
              /logs/{log}
            {
              allow
                read
                ,
                write
                :
                if
                isAdmin
                (
                )
                ;
            }
          }
        }
        """,
        // A licence in front, no version, the old recursive wildcard.
        """
        /**
         * Copyright nobody. { allow read; }
         **/

        // match /x/{y} { allow write; }
        service cloud.firestore {
          match /databases/{database}/documents {
            match /{document=**} {
              allow read, write: if request.time < timestamp.date(2030, 1, 1);
            }
          }
        }
        """,
        // Two services of the same kind and several roots.
        """
        rules_version = '2';
        service cloud.firestore {
          match /databases/{db}/documents/users/{uid} { allow get: if request.auth.uid == uid; }
          match /databases/(default)/documents/open/{id} { allow get; }
          match /databases/{db}/documents { match /{path=**}/posts/{post} { allow list; } }
        }
        """,
        // Nothing but a frame.
        "service cloud.firestore { match /databases/{database}/documents { } }",
        "rules_version = '2';\n\n\nservice cloud.firestore {}\n\n",
        "rules_version = \"1\"; service cloud.firestore { match /databases/{d}/documents "
            + "{ match /a/{rest=**} { allow read: if false; } } }",
        // Ten levels of matches.
        """
        rules_version = '2';
        service cloud.firestore { match /databases/{d}/documents { match /a/{a} { match /b/{b} {
        match /c/{c} { match /d/{e} { match /e/{f} { match /f/{g} { match /g/{h} { match /h/{i} {
        match /i/{j} { allow read: if a == j; }
        } } } } } } } } } }
        """,
    ]

    /// Bodies of the usual frame.
    static let bodies: [String] = [
        // Ternaries in chains, with and without parentheses.
        """
        match /a/{b} { allow read: if b == 'x' ? true : b == 'y' ? request.auth != null
          : b == 'z' ? (request.auth.uid == b ? true : false) : false; }
        """,
        "match /a/{b} { allow read: if (b == 'x' ? 1 : 2) + (b == 'y' ? 3 : 4) == 5; }",
        "match /a/{b} { allow read: if [true, false][b == 'x' ? 0 : 1]; }",
        // Lets in chains, unused parts left out.
        """
        match /a/{b} {
          function f(x) {
            let a = x.data; let c = a.owner
            let d = c == request.auth.uid;
            let e = !d let g = d || e;
            return g && d
          }
          allow read: if f(resource)
        }
        """,
        // Functions that call functions, declared behind their use, on three levels.
        """
        function outer(x) { return inner(x) && x != null; }
        match /a/{b} {
          allow read: if outer(b) && here();
          function here() { return b.size() > 0 && there(b) }
          match /c/{d} { allow read: if here() && d == b; function low() { return d == '1' }
            allow write: if low(); }
        }
        function inner(x) { return x is string; }
        function there(y) { return inner(y) || outer(y); }
        """,
        // The same name at two levels: the inner one wins.
        """
        function ok() { return false; }
        match /a/{b} { function ok() { return b == 'x'; } allow read: if ok(); }
        match /c/{d} { allow read: if ok() || d == 'y'; }
        """,
        // Names that are words of the language.
        """
        match /match/{allow} { match /function/{service} {
          allow read: if allow == service && resource.data.return.let.if.rules_version == 'x';
        } }
        """,
        """
        match /a/{read} { function write(delete, list) { return delete == list }
          allow update: if write(read, 'x') && resource.data.get.list.create == 1; }
        """,
        // Lookups of every kind.
        """
        match /rooms/{room}/messages/{message} {
          function path(of) { return /databases/$(database)/documents/$(of)/$(room); }
          allow read: if exists(path('rooms')) && get(path("rooms")).data.members.hasAny([request.auth.uid]);
          allow create: if getAfter(/databases/$(database)/documents/rooms/$(room)).data.last == request.time
            && existsAfter(path('rooms'));
        }
        """,
        """
        match /a/{b} { allow read: if get(/databases/$(database)/documents/users/$(request.auth.uid)).data['roles'][b] in ['x', "y"]; }
        """,
        """
        match /a/{b} { allow read: if get(path('/databases/' + database + '/documents/u/' + b)).data.ok; }
        """,
        """
        match /a/{b} { allow write: if get(/databases/(default)/documents/u/$(resource.data.by)/x/$(b + '-' + string(1))).data.n / 2 > 1; }
        """,
        // Regular expressions with escapes.
        #"match /a/{b} { allow read: if b.matches('^[A-Za-z0-9._%+-]+@[a-z]+\\.[a-z]{2,}$'); }"#,
        #"match /a/{b} { allow read: if b.matches("\\d{3}-\\d{4}|\\w+\\/\\*") && !b.matches('.*//.*'); }"#,
        #"match /a/{b} { allow read: if b.split('[,;]\\s*').size() == 2 && b.replace('\'', "\"") == b; }"#,
        "match /a/{b} { allow read: if b.matches('(?i)(foo|bar)') && b.matches('[^/]+') ; }",
        // Unicode in strings, remarks and comparisons.
        "match /a/{b} { /* für 日本 🎉 */ allow read: if b == 'Ärger 日本 🎉' && b.size() < 10; // ü\n }",
        "match /a/{b} { allow read: if resource.data['größe'] > 1 && '🎉' in resource.data; }",
        // Numbers of every form.
        "match /a/{b} { allow read: if 1.5 < 2.0 && .5 < 1 && 1e3 > 1 && 1.0e-2 < 1 && -5 < 5; }",
        "match /a/{b} { allow read: if 9223372036854775807 > -9223372036854775808; }",
        "match /a/{b} { allow read: if 7 % 2 == 1 && 7 / 2 == 3 && - 2 * -3 == 6 && 1 - -1 == 2; }",
        // Lists, maps and slices.
        "match /a/{b} { allow read: if {'a': [1, 2, {'b': []}], \"c\": {}}.a[0:2].size() == 2; }",
        "match /a/{b} { allow read: if [[1], [2, 3,],][1][0] == 2 && b[0:1] == 'x' && [] == []; }",
        "match /a/{b} { allow read: if {'x': 1}.keys().hasOnly(['x']) && {'x': 1} == {'x': 1,}; }",
        // Shapes of a write.
        """
        match /a/{b} {
          allow create: if request.resource.data.keys().hasAll(['name', 'age'])
            && request.resource.data.name is string && request.resource.data.name.size() <= 100
            && request.resource.data.age is int && request.resource.data.age in [1, 2, 3]
            && request.resource.data.tags is list && request.resource.data.at == request.time;
          allow update: if request.resource.data.diff(resource.data).affectedKeys()
            .hasOnly(['name', 'age'].toSet()) && request.resource.data.age >= resource.data.age;
        }
        """,
        """
        match /a/{b} { allow update: if request.resource.data.diff(resource.data).addedKeys().size() == 0
          && request.resource.data.diff(resource.data).removedKeys() == [].toSet()
          && !('admin' in request.resource.data.diff(resource.data).changedKeys()); }
        """,
        // Time.
        """
        match /a/{b} { allow write: if request.time < resource.data.until + duration.value(15, 'm')
          && request.time - resource.data.at < duration.time(1, 0, 0, 0)
          && request.time.toMillis() - resource.data.at.toMillis() > 1000
          && request.time.date() == timestamp.date(2026, 1, 1) && request.time.dayOfWeek() in [1, 2]; }
        """,
        "match /a/{b} { allow read: if duration.abs(duration.value(-1, 's')).seconds() == 1; }",
        // Places, hashes, bytes, maths.
        "match /a/{b} { allow read: if latlng.value(1.0, 2).distance(resource.data.at) < 1000; }",
        "match /a/{b} { allow read: if hashing.sha256(b).toHexString() == 'AB' && b'\\x41' == b\"A\"; }",
        "match /a/{b} { allow read: if math.abs(-1) == 1 && math.pow(2, 3) == 8.0 && math.floor(1.5) == 1; }",
        "match /a/{b} { allow read: if b.toUtf8().size() > 1 && hashing.crc32c(b).toBase64() != ''; }",
        // Claims in every way of asking.
        """
        match /a/{b} { allow read: if request.auth.token.get('role', 'none') == 'x'
          || 'admin' in request.auth.token && request.auth.token['admin'] == true
          || request.auth.token.firebase.sign_in_provider != 'anonymous'
          || request.auth.token.email.matches('.*@example[.]com$') && request.auth.token.email_verified; }
        """,
        "match /a/{b} { allow read: if request.auth['uid'] == b && request.auth['token'].x; }",
        // Queries.
        """
        match /a/{b} { allow list: if request.query.limit <= 50 && request.query.offset < 10
          && (request.auth != null || resource.data.public); allow get; }
        """,
        // Every method, alone and together, in several statements.
        """
        match /a/{b} { allow read; allow write: if false; allow get, list: if true; allow create,
          update,delete : if request.auth != null }
        """,
        "match /a/{b} { allow read,write,get,list,create,update,delete; }",
        // Wildcards within.
        "match /a/{b}/{rest=**}/z/{y} { allow read: if rest[0] == 'c' || y == b; }",
        "match /{a}/{b} { allow read: if a in ['x', 'y']; } match /{all=**} { allow read: if all[0] == 'z'; }",
        "match /a/{b} { match /{sub=**} { allow read: if b == request.auth.uid; } }",
        "match /a-b.c_d/{b}/E9/{f} { allow read: if b == f; }",
        // Parentheses, negations, and what binds tighter.
        "match /a/{b} { allow read: if !(!(b == 'x')) && !(b in ['y']) && (!false); }",
        "match /a/{b} { allow read: if true && false || true && !false || (false || true) && true; }",
        "match /a/{b} { allow read: if ((((((((((b == 'x')))))))))); }",
        "match /a/{b} { allow read: if 1 + 2 * 3 - 4 / 2 == 5 && 1 < 2 == true; }",
        // Methods on literals and calls on calls.
        "match /a/{b} { allow read: if 'a,b'.split(',')[0].upper().lower() == 'a' && [1].toSet().hasAll([1]); }",
        "match /a/{b} { allow read: if ['a'].concat(['b']).removeAll(['a']).join('-') == 'b'; }",
        "match /a/{b} { allow read: if {'a': {'b': 1}}.get(['a', 'b'], 0) == 1 && {'a': 1}.values()[0] == 1; }",
        "match /a/{b} { allow read: if ['a'].toSet().union(['b'].toSet()).intersection(['b'].toSet()).size() == 1; }",
        // Seven parameters, ten lets.
        """
        match /a/{b} {
          function seven(a, b, c, d, e, f, g) { return a + b + c + d + e + f + g; }
          function ten() { let a = 1; let b = a; let c = b; let d = c; let e = d; let f = e; let g = f;
            let h = g; let i = h; let j = i; return j == 1; }
          allow read: if seven(1, 2, 3, 4, 5, 6, 7) == 28 && ten();
        }
        """,
        // Beyond Firestore.
        "match /a/{b} { allow read: if request.auth != null hide ['salary', 'home.street']; }",
        "match /a/{b} { allow read: if resource.data.list.all(x, x is string && x.size() < 5); }",
        "match /a/{b} { allow read: if resource.data.l.filter(x, x > 1).map(y, y * 2).any(z, z == 4); }",
    ]
}
