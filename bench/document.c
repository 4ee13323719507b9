#include "document.h"

#include <stdio.h>
#include <time.h>

#include "bson.h"
#include "load.h"

const char *const document_statuses[DOCUMENT_STATUSES] = {
    "new",     "open",      "waiting",  "approved", "packed",
    "shipped", "delivered", "returned", "refunded", "closed",
};

static const char *const first_names[] = {
    "Ada", "Björn", "Chidi", "Dana", "Emre", "Fatima", "Grace", "Hiro", "Ines", "Jakub",
    "Kenji", "Leila", "Mateo", "Nadia", "Olga", "Pedro",
};
static const char *const last_names[] = {
    "Almeida", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen",
    "Ivanova", "Jensen", "Kowalski", "Lindgren", "Moreau", "Novak", "Okafor", "Papadakis",
};
static const char *const streets[] = {
    "Oak Street", "Mill Lane", "Harbour Road", "Station Square",
    "Church Way", "Garden Row", "River Walk", "Castle Hill",
};
static const char *const cities[] = {
    "Aarhus", "Bremen", "Coimbra", "Dresden", "Esbjerg", "Florence", "Ghent", "Hamburg",
    "Innsbruck", "Jena", "Krakow", "Lyon", "Malmo", "Nantes", "Odense", "Porto",
};
static const char *const words[] = {
    "amber",  "basalt", "cedar",  "delta", "ember",  "fjord",  "gravel", "harvest",
    "island", "juniper", "kelp",  "lantern", "meadow", "nectar", "orchard", "pebble",
    "quartz", "ripple", "saffron", "timber", "upland", "velvet", "willow", "zephyr",
};

#define PICK(list, random) ((list)[(random) % (sizeof(list) / sizeof((list)[0]))])

/* A well-mixed number from the document's number and the field's. */
static uint32_t mixed(uint32_t number, uint32_t field)
{
    uint64_t x = ((uint64_t)number << 8 | field) + 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return (uint32_t)(x >> 32);
}

uint32_t document_score(uint32_t number)
{
    /* 7,919 and 10,000 have no common factor: every score comes up equally often. */
    return (uint32_t)((uint64_t)number * 7919 % DOCUMENT_SCORES);
}

int64_t document_created(uint32_t number)
{
    return 1704067200000LL + (int64_t)number * 60000; /* from 2024-01-01T00:00:00Z */
}

void document_created_text(uint32_t number, char text[25])
{
    time_t seconds = (time_t)(document_created(number) / 1000);
    struct tm civil;
    gmtime_r(&seconds, &civil);
    strftime(text, 25, "%Y-%m-%dT%H:%M:%S.000Z", &civil);
}

/* What both encodings need, so that they can't differ. */
struct values {
    char name[40];
    char email[64];
    const char *status;
    char street[40];
    const char *city;
    char zip[8];
    const char *tags[3];
    char note[DOCUMENT_BYTES];
};

static void make_values(struct values *values, uint32_t number)
{
    const char *first = PICK(first_names, mixed(number, 0));
    const char *last = PICK(last_names, mixed(number, 1));
    snprintf(values->name, sizeof values->name, "%s %s", first, last);
    snprintf(values->email, sizeof values->email, "%s.%07u@example.com", last, number);
    values->status = document_statuses[number % DOCUMENT_STATUSES];
    snprintf(values->street, sizeof values->street, "%s %u", PICK(streets, mixed(number, 2)),
             1 + mixed(number, 3) % 200);
    values->city = PICK(cities, mixed(number, 4));
    snprintf(values->zip, sizeof values->zip, "%05u", mixed(number, 5) % 100000);
    for (uint32_t tag = 0; tag < 3; tag++) {
        values->tags[tag] = PICK(words, mixed(number, 6 + tag));
    }
    values->note[0] = 0;
}

/* Words, `length` bytes of them. */
static void make_note(struct values *values, uint32_t number, size_t length)
{
    size_t filled = 0;
    for (uint32_t field = 16; filled < length; field++) {
        const char *word = PICK(words, mixed(number, field));
        for (; *word && filled < length; word++) {
            values->note[filled++] = *word;
        }
        if (filled < length) {
            values->note[filled++] = ' ';
        }
    }
    values->note[length] = 0;
}

static void write_bson(struct buffer *out, uint32_t number, const struct values *values)
{
    size_t start = bson_begin(out);
    bson_int32(out, "_id", (int32_t)number);
    bson_string(out, "name", values->name);
    bson_string(out, "email", values->email);
    bson_string(out, "status", values->status);
    bson_int32(out, "score", (int32_t)document_score(number));
    bson_date(out, "createdAt", document_created(number));
    size_t address = bson_begin_field(out, BSON_DOCUMENT, "address");
    bson_string(out, "street", values->street);
    bson_string(out, "city", values->city);
    bson_string(out, "zip", values->zip);
    bson_end(out, address);
    size_t tags = bson_begin_field(out, BSON_ARRAY, "tags");
    for (int tag = 0; tag < 3; tag++) {
        bson_string(out, (char[]){(char)('0' + tag), 0}, values->tags[tag]);
    }
    bson_end(out, tags);
    bson_int32(out, "visits", 0);
    bson_string(out, "note", values->note);
    bson_end(out, start);
}

/* The note is as long as brings the document to its size. */
static size_t note_length(uint32_t number, const struct values *values)
{
    struct buffer trial = {0};
    write_bson(&trial, number, values);
    size_t without = trial.length;
    buffer_free(&trial);
    return without < DOCUMENT_BYTES ? DOCUMENT_BYTES - without : 0;
}

void document_bson(struct buffer *out, uint32_t number)
{
    struct values values;
    make_values(&values, number);
    make_note(&values, number, note_length(number, &values));
    write_bson(out, number, &values);
}

void document_json(struct buffer *out, uint32_t number)
{
    struct values values;
    make_values(&values, number);
    make_note(&values, number, note_length(number, &values));
    char created[25];
    document_created_text(number, created);
    char text[2 * DOCUMENT_BYTES];
    int length = snprintf(
        text, sizeof text,
        "{\"_id\":%u,\"name\":\"%s\",\"email\":\"%s\",\"status\":\"%s\",\"score\":%u,"
        "\"createdAt\":\"%s\",\"address\":{\"street\":\"%s\",\"city\":\"%s\",\"zip\":\"%s\"},"
        "\"tags\":[\"%s\",\"%s\",\"%s\"],\"visits\":0,\"note\":\"%s\"}",
        number, values.name, values.email, values.status, document_score(number), created,
        values.street, values.city, values.zip, values.tags[0], values.tags[1], values.tags[2],
        values.note);
    if (length < 0 || (size_t)length >= sizeof text) {
        die("document %u doesn't fit", number);
    }
    buffer_append(out, text, (size_t)length);
}
